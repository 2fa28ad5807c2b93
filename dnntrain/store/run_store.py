"""The run store: one folder for all runs, and one for each study made of them.

    runs/
      store/<run>/run.json              settings, data, environment, results, history
      store/<run>/weights.safetensors   the weights that were kept
      store/<run>/predictions.npz       what these predict for validation and test examples (unless left out)
      store/<run>/mc-100.npz            the same, averaged over 100 passes with dropout on (see `runs evaluate --mc`)
      store/.code/<sha256>/…            the user's own code that runs used, each version once
      store/.targets/<sha256>.npy       the targets of such examples, shared by all runs of a split
      store/.checkpoints/<run>…         the state of an unfinished run
      <study>/study.json                what was asked: arms, seeds, question, published values
      <study>/preset.yaml               the preset as run (where there was one)
      <study>/results.csv               a row per run
      <study>/history.csv               a row per run and epoch; per-layer values are separated by spaces, lowest first
      <study>/timing.json               the arms' times, where `dnntrain runs time` measured them

Runs are stored under their digest, so studies share them and none is trained twice. Everything is written atomically.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from dnntrain.errors import InputError
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.code import read_kept_code, write_code
from dnntrain.store.locks import RunLocks, is_locked, study_lock
from dnntrain.store.predictions import Predictions, read_predictions, target_files, write_predictions
from dnntrain.store.records import RunRecord
from dnntrain.utils.files import atomic_file, atomic_folder, scratch_folder, write_errors
from dnntrain.utils.user_code.sources import UserCode


class RunStore:
    """The folder that holds the runs and the studies made of them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.root / "store" / run_id

    def weights_file(self, run_id: str) -> Path:
        """The file with a run's weights."""
        return self.folder(run_id) / "weights.safetensors"

    def predictions_file(self, run_id: str, samples: int | None = None) -> Path:
        """The file with a run's predictions, or with their means over `samples` passes with dropout on."""
        return self.folder(run_id) / ("predictions.npz" if samples is None else f"mc-{samples}.npz")

    @property
    def targets(self) -> Path:
        """The folder with the targets of all predictions."""
        return self.root / "store" / ".targets"

    @property
    def code(self) -> Path:
        """The folder with the user's own code that runs used: see `store.code`."""
        return self.root / "store" / ".code"

    def has(self, run_id: str) -> bool:
        """Whether the run is recorded, with its weights."""
        return all((self.folder(run_id) / file).is_file() for file in ("run.json", "weights.safetensors"))

    def run_ids(self) -> list[str]:
        """The runs that are recorded."""
        return sorted(path.parent.name for path in (self.root / "store").glob("[!.]*/run.json"))

    def prepare(self) -> None:
        """Check that the store can be written to, before anything is trained.

        Raises:
            InputError: The store is a file.
            DnntrainError: It cannot be written to.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"--out {self.root}: is a file, not a folder")
        with write_errors(self.root):
            is_new = not self.root.exists()
            self.root.mkdir(parents=True, exist_ok=True)
            scratch_folder(self.root).rmdir()
            if is_new:
                self.root.rmdir()

    def read(self, run_id: str) -> RunRecord:
        """Read a run's record; InputError where it is missing, damaged or changed."""
        return RunRecord.read(self.folder(run_id) / "run.json", run_id)

    def weights(self, run_id: str) -> dict[str, np.ndarray]:
        """Read a run's kept weights by name; InputError where the file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.weights_file(run_id)
        try:
            return load(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        except SafetensorError as error:
            raise InputError(f"{path}: damaged ({error}); remove its folder, and the run is trained again") from None

    def predictions(self, run_id: str, samples: int | None = None) -> Predictions | None:
        """Read what a run's kept weights predict, alone or on average over `samples` passes with dropout on.

        Returns:
            The predictions; None if they are not recorded.

        Raises:
            InputError: A file is damaged.
        """
        return read_predictions(self.predictions_file(run_id, samples), self.targets)

    def write_predictions(self, run_id: str, predictions: Predictions, samples: int | None = None) -> None:
        """Add the predictions of a recorded run, or their means over `samples` passes with dropout on."""
        with write_errors(self.root), atomic_file(self.predictions_file(run_id, samples)) as scratch:
            write_predictions(scratch, predictions, self.targets)

    def samples(self, run_id: str) -> list[int]:
        """The numbers of passes with dropout on over which a run's predictions were averaged."""
        names = (path.stem.removeprefix("mc-") for path in self.folder(run_id).glob("mc-*.npz"))
        return sorted(int(name) for name in names if name.isdecimal())

    def unused_targets(self, runs: Iterable[str]) -> list[Path]:
        """The files of targets that none of these runs' predictions name."""
        files = [self.predictions_file(run, samples) for run in runs for samples in (None, *self.samples(run))]
        used = {target for file in files for target in target_files(file, self.targets)}
        return sorted({*self.targets.glob("*.npy")} - used)

    def write(
        self,
        record: RunRecord,
        weights: Mapping[str, np.ndarray],
        predictions: Predictions | None = None,
        code: Iterable[UserCode] = (),
    ) -> RunRecord:
        """Write a run's record, its kept weights, its predictions and its code, and remove its checkpoint.

        `code` may hold more than the record refers to, which is left out.

        Returns:
            The record as it was written, with checksums.
        """
        from safetensors.numpy import save

        content = save(dict(weights), metadata={"run": record.run})
        record = record.with_checksums(content)
        used = {each.digest for each in record.code}
        with write_errors(self.root):
            write_code(self.code, (each for each in code if each.digest in used))
        with write_errors(self.root), atomic_folder(self.folder(record.run)) as scratch:
            (scratch / "run.json").write_text(record.to_json(), encoding="utf-8")
            (scratch / "weights.safetensors").write_bytes(content)
            if predictions:
                write_predictions(scratch / "predictions.npz", predictions, self.targets)
        with write_errors(self.root):
            self._checkpoint(record.run).unlink(missing_ok=True)
        return record

    def problem(self, run_id: str) -> str:
        """What is wrong with a run's files; empty where they are as they were written."""
        try:
            record = self.read(run_id)
            self.weights(run_id)
            predictions, *_ = [self.predictions(run_id, samples) for samples in (None, *self.samples(run_id))]
            for code in record.code:
                if code.digest:
                    read_kept_code(self.code, code)
        except InputError as error:
            return str(error)
        if record.checksums is None:
            return f"{self.folder(run_id) / 'run.json'}: changed since it was written"
        weights = self.weights_file(run_id)
        if record.checksums.weights != hashlib.sha256(weights.read_bytes()).hexdigest():
            return f"{weights}: changed since it was written"
        if predictions and (difference := predictions.difference(record)):
            return f"{self.predictions_file(run_id)}: {difference}"
        return ""

    def checkpoint(self, run_id: str) -> Checkpoint | None:
        """Read an unfinished run's checkpoint; None without one. A damaged one is reported on stderr and ignored."""
        path = self._checkpoint(run_id)
        try:
            return Checkpoint.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InputError) as error:
            print(f"{path}: {error}; the run is trained from its start", file=sys.stderr)
            return None

    def write_checkpoint(self, run_id: str, checkpoint: Checkpoint) -> None:
        """Write an unfinished run's checkpoint, which `write` removes."""
        with write_errors(self.root):
            path = self._checkpoint(run_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as scratch:
                scratch.write_bytes(checkpoint.to_bytes())

    def _checkpoint(self, run_id: str) -> Path:
        return self.root / "store" / ".checkpoints" / f"{run_id}.safetensors"

    @contextmanager
    def run_locks(self) -> Iterator[RunLocks]:
        """The locks of the runs that this process trains, all released at the end."""
        run_locks = RunLocks(self.root / ".claims")
        try:
            yield run_locks
        finally:
            run_locks.release_all()

    def study_lock(self, study: str, join: bool = False) -> AbstractContextManager[None]:
        """The lock of a study: see `locks.study_lock`."""
        return study_lock(self.root, study, join)

    def is_training(self) -> bool:
        """Whether some process is training for this store."""
        return any(is_locked(path) for path in (*self.root.glob(".*.lock"), *self.root.glob(".claims/*")))


MOST_EPOCHS_IN_MEMORY = 20_000
"""History rows that `RunRecords` keeps: up to about 5 KB each, so the memory of a study does not grow with its runs."""


class RunRecords(Mapping[str, RunRecord]):
    """The recorded runs of a study, by run id and in the study's order.

    Records stay in memory once they were written or read, up to MOST_EPOCHS_IN_MEMORY epochs of history. Those beyond
    are read from the store each time.
    """

    def __init__(self, store: RunStore, runs: Iterable[str]) -> None:
        self.store, self.runs = store, tuple(dict.fromkeys(runs))
        self.recorded: set[str] = set()
        self._in_memory: dict[str, RunRecord] = {}
        self._epochs = 0
        self.refresh()

    def refresh(self) -> None:
        """Look for runs that other processes have recorded since."""
        self.recorded.update(run for run in self.runs if run not in self.recorded and self.store.has(run))

    def add(self, record: RunRecord) -> None:
        """Add a run that is recorded."""
        self.recorded.add(record.run)
        if self._epochs + len(record.history) <= MOST_EPOCHS_IN_MEMORY and record.run not in self._in_memory:
            self._in_memory[record.run] = record
            self._epochs += len(record.history)

    def __getitem__(self, run: str) -> RunRecord:
        if run not in self.recorded:
            raise KeyError(run)
        if run not in self._in_memory:
            record = self.store.read(run)
            self.add(record)
            return record
        return self._in_memory[run]

    def __iter__(self) -> Iterator[str]:
        return (run for run in self.runs if run in self.recorded)

    def __len__(self) -> int:
        return len(self.recorded)

    def __contains__(self, run: object) -> bool:
        return run in self.recorded
