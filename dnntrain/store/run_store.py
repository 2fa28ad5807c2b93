"""The run store: what every run was, what came of it, and the tables of a study. One writer; files appear whole.

    runs/
      store/<run>/run.json              spec, data, environment, results, history
      store/<run>/weights.safetensors   the weights that were kept
      store/.checkpoints/<run>…         where an unfinished run was last
      <study>/study.json                what was asked: arms, seeds, question, published values
      <study>/preset.yaml               the preset as run (where there was one)
      <study>/results.csv               a row a run
      <study>/history.csv               a row a run and epoch; layers' figures separated by spaces, lowest first

A run is stored by its digest, so that studies share it and none trains it twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dnntrain.engine.health import diagnose
from dnntrain.engine.run import ENGINE_VERSION, Run
from dnntrain.errors import DnntrainError, InputError
from dnntrain.metrics import results_of
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.run_locks import RunLocks, is_locked
from dnntrain.utils import locks
from dnntrain.utils.files import holds, read_json, replacing, scratch_folder, write_whole, writing
from dnntrain.utils.finite import nan_to_none

FORMAT = 1
"""The layout of the store; raised when an older dnntrain could no longer read it."""

RECORD = {"run", "settings", "data", "environment", "status", "epochs", "best_epoch", "results", "health", "seconds",
          "history"}  # fmt: skip
"""What every record has."""

Record = dict[str, Any]
"""One run.json."""


def record(run: Run, run_id: str, data: dict[str, Any], environment: dict[str, Any]) -> Record:
    """What is kept of a run, as plain JSON: figures that are not finite become null."""
    names = results_of(data["task"])
    results = {name: run.kept.get(name) for name in names} | run.test
    made: Record = nan_to_none(
        {
            "format": FORMAT,
            "run": run_id,
            "engine": ENGINE_VERSION,
            "settings": run.spec.settings(),
            "data": data,
            "environment": environment,
            "status": run.status,
            "epochs": len(run.history),
            "best_epoch": run.kept_epoch or None,
            "results": {name: results[name] for name in names if run.status == "finished"},
            "health": str(diagnose(run.history, run.status)),
            "seconds": round(run.seconds, 4),
            "history": run.history,
        }
    )
    return made


CHANGED = "{}: changed since it was written; the same `dnntrain ablate` writes it anew from the records"


class RunStore:
    """The folder that holds the runs and the studies made of them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run_id: str) -> Path:
        """Where a run's record is."""
        return self.root / "store" / run_id

    def weights_file(self, run_id: str) -> Path:
        """Where a run's weights are."""
        return self.folder(run_id) / "weights.safetensors"

    def has(self, run_id: str) -> bool:
        """Whether the run is recorded, with its weights."""
        return all((self.folder(run_id) / file).is_file() for file in ("run.json", "weights.safetensors"))

    def prepare(self) -> None:
        """Make the folder, before anything is trained for it; says why where that cannot be."""
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"--out {self.root}: is a file, not a folder")
        with writing(self.root):
            made = not self.root.exists()
            self.root.mkdir(parents=True, exist_ok=True)
            scratch_folder(self.root).rmdir()
            if made:
                self.root.rmdir()

    def read(self, run_id: str) -> Record:
        """A run's record; raises InputError where it is missing or damaged."""
        path = self.folder(run_id) / "run.json"
        record: Record = read_json(path)
        whole = isinstance(record, dict) and record.get("run") == run_id and record.keys() >= RECORD
        if isinstance(record, dict) and isinstance(record.get("format"), int) and record["format"] > FORMAT:
            raise InputError(f"{path}: written by a newer dnntrain (format {record['format']}); update to read it")
        if not whole or not record["history"]:
            raise InputError(f"{path}: not the record of run {run_id}; remove its folder, and it is trained again")
        if "checksums" in record and record["checksums"].get("record") != checksum(record):
            raise InputError(f"{path}: changed since it was written; remove its folder, and it is trained again")
        return record

    def weights(self, run_id: str) -> dict[str, np.ndarray]:
        """A run's kept weights by name; raises InputError where the file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.weights_file(run_id)
        try:
            return load(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        except SafetensorError as error:
            raise InputError(f"{path}: damaged ({error}); remove its folder, and the run is trained again") from None

    def write(self, record: Record, run: Run) -> None:
        """Record a run: the folder appears whole."""
        from safetensors.numpy import save

        with writing(self.root):
            target = self.folder(record["run"])
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = scratch_folder(target.parent)
            try:
                weights = save(run.weights, metadata={"run": record["run"]})
                sums = {"record": checksum(record), "weights": hashlib.sha256(weights).hexdigest()}
                (scratch / "run.json").write_text(json.dumps(record | {"checksums": sums}, indent=1), encoding="utf-8")
                (scratch / "weights.safetensors").write_bytes(weights)
                if target.exists():
                    shutil.rmtree(target)
                scratch.rename(target)
                self._checkpoint(record["run"]).unlink(missing_ok=True)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise

    def write_study(self, name: str, files: Mapping[str, Iterable[str]]) -> None:
        """Write a study's files, given in parts, each whole or not at all."""
        with writing(self.root):
            folder = self.root / name
            folder.mkdir(parents=True, exist_ok=True)
            for file, parts in files.items():
                write_whole(folder / file, parts)

    def has_study(self, name: str, files: Mapping[str, Iterable[str]]) -> bool:
        """Whether the study's files, given in parts, are there as they would be written."""
        return all(holds(self.root / name / file, parts) for file, parts in files.items())

    def checkpoint(self, run_id: str) -> Checkpoint | None:
        """Where the run was when its training was cut off; None, and a line on stderr, where that is damaged."""
        path = self._checkpoint(run_id)
        try:
            return Checkpoint.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InputError) as error:
            print(f"{path}: {error}; the run is trained from its start", file=sys.stderr)
            return None

    def write_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Keep where a run is, until it is recorded."""
        with writing(self.root):
            path = self._checkpoint(run_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as scratch:
                scratch.write_bytes(checkpoint.to_bytes())

    def _checkpoint(self, run_id: str) -> Path:
        return self.root / "store" / ".checkpoints" / f"{run_id}.safetensors"

    @contextmanager
    def claimed(self) -> Iterator[RunLocks]:
        """The runs that this process trains, for others that help with the same study to see."""
        claims = RunLocks(self.root / ".claims")
        try:
            yield claims
        finally:
            claims.release_all()

    @contextmanager
    def held(self, study: str, join: bool = False) -> Iterator[None]:
        """Hold a study while it is trained; DnntrainError that says who does where another process holds it.

        Who joins holds it where nobody else does.

        The lock is the operating system's, so it ends with its holder, however that ends.
        """
        from filelock import FileLock, Timeout

        made = not self.root.exists()
        lock = FileLock(self.root / f".{study}.lock")
        try:
            locked = locks.acquire_if_possible(lock)
        except Timeout:
            if join:
                yield
                return
            raise DnntrainError(
                f"{self.root / study}: another process is at work on this study{self._holder(study)}; wait for it, "
                f"help it with --join, or give another --out"
            ) from None
        if not locked:
            yield  # a file system without locks
            return
        holder = self.root / f".{study}.holder"
        try:
            with writing(self.root):
                write_whole(holder, [f"process {os.getpid()} on {socket.gethostname()}"])
            yield
        finally:
            holder.unlink(missing_ok=True)
            locks.release(lock)
            if made and not any(self.root.iterdir()):
                self.root.rmdir()  # nothing was recorded: leave nothing behind

    def at_work(self) -> bool:
        """Whether some process is training for this store."""
        return any(is_locked(path) for path in (*self.root.glob(".*.lock"), *self.root.glob(".claims/*")))

    def _holder(self, study: str) -> str:
        try:
            return f" ({(self.root / f'.{study}.holder').read_text(encoding='utf-8')})"
        except OSError:
            return ""

    def run_ids(self) -> list[str]:
        """The runs that are recorded."""
        return sorted(path.parent.name for path in (self.root / "store").glob("[!.]*/run.json"))

    def problem(self, run_id: str) -> str:
        """What is wrong with a run's files; empty where they are whole and as they were written."""
        try:
            record = self.read(run_id)
            weights = self.weights_file(run_id)
            self.weights(run_id)
        except InputError as error:
            return str(error)
        if "checksums" not in record:
            return f"{self.folder(run_id) / 'run.json'}: changed since it was written"
        if record["checksums"].get("weights") != hashlib.sha256(weights.read_bytes()).hexdigest():
            return f"{weights}: changed since it was written"
        return ""


class RunRecords(Mapping[str, Record]):
    """The runs of a study that are in the store, by run id and in the study's order; read when they are asked for."""

    def __init__(self, store: RunStore, runs: Iterable[str]) -> None:
        self.store, self.runs = store, tuple(dict.fromkeys(runs))
        self.there: set[str] = set()
        self.look()

    def look(self) -> None:
        """Take in what was recorded since."""
        self.there.update(run for run in self.runs if run not in self.there and self.store.has(run))

    def add(self, run: str) -> None:
        """Take in a run that is recorded."""
        self.there.add(run)

    def __getitem__(self, run: str) -> Record:
        if run not in self.there:
            raise KeyError(run)
        return self.store.read(run)

    def __iter__(self) -> Iterator[str]:
        return (run for run in self.runs if run in self.there)

    def __len__(self) -> int:
        return len(self.there)

    def __contains__(self, run: object) -> bool:
        return run in self.there


def checksum(record: Record) -> str:
    """SHA-256 of a record's content, its checksums aside."""
    content = {key: value for key, value in record.items() if key != "checksums"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
