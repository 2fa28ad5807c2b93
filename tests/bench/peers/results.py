"""What is kept of a run of the benchmark: one small JSON file for each machine, and a figure next to it."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.peers.machine import description

KNOWN = ("xeon", "epyc")


def kept_file(folder: Path, ending: str = ".json") -> Path:
    """This machine's file in the folder of results."""
    return folder / f"{machine_name(description()['processor'])}{ending}"


def machine_name(processor: str) -> str:
    """A short name of a processor: xeon-2.5ghz for Intel(R) Xeon(R) Processor @ 2.50GHz."""
    known = next((name for name in KNOWN if name in processor.lower()), "")
    clock = re.search(r"@ ([\d.]+)GHz", processor)
    if known and clock:
        return f"{known}-{float(clock[1]):g}ghz"
    return known or re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-") or "unknown"


def keep(folder: Path, found: Mapping[str, Any]) -> Path:
    """Put what was found into this machine's file, in place of what was there under the same names."""
    file = kept_file(folder)
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(readable(before | found) + "\n", encoding="utf-8")
    return file


def shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the benchmark without what is raw or changes with every run."""
    environment = record["environment"]
    return {
        "date": datetime.date.today().isoformat(),
        "environment": {
            "processor": environment["processor"],
            "cores": environment["cores"],
            "matmul_gflops": round(max(record["matmul_rates"]) / 1e9),
            "python": environment["python"],
            "peers": environment["peers"],
        },
        "rounds": record["rounds"],
        "notes": record["notes"],
        "targets": record["targets"],
        "dnntrain": rounded_all({k: v for k, v in record["dnntrain"].items() if k != "overhead_seconds"}),
    }


def rounded_all(value: Any) -> Any:
    """Three decimals for all numbers in dicts."""
    if isinstance(value, dict):
        return {key: rounded_all(part) for key, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def readable(value: Any, indent: str = "") -> str:
    """JSON in which what holds no further lists or objects of its own stands on one line."""
    inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(part, dict | list) and part for part in inner):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{deeper}{json.dumps(key, ensure_ascii=False)}: {readable(v, deeper)}" for key, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + readable(part, deeper) for part in value) + f"\n{indent}]"
