"""Reads the .wandb file of an offline run: W&B's own records, in the framing of LevelDB's logs."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
HEADER = 7
"""Bytes at the start of the file, and before each chunk: checksum, length and kind."""
FULL, LAST = 1, 4


def read_records(path: Path) -> Iterator[Any]:
    """The records in a file, as W&B's protocol buffers. It has no reader of its own for Python."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:  # the rest of a block that is too short for a header is empty
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        parts += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def read_whole(path: Path) -> list[Any]:
    """The records of a run that has ended; W&B's process may still be writing the last ones."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        records = [*read_records(path)]
        if records and records[-1].WhichOneof("record_type") == "exit":
            return records
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def items(found: Any) -> dict[str, Any]:
    """The items of a record by key, those of nested keys by the path."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in found}
