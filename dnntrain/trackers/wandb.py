"""Weights & Biases: a run for each arm and seed, in a group for each arm of a study, offline by default."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnntrain.reporting.results import StudyResult
from dnntrain.trackers.base import RunLog, TrackedRun, Tracker, mark_whole, study_files, whole_runs
from dnntrain.utils.files import write_atomic

if TYPE_CHECKING:
    import wandb

LONGEST_NAME = 128
"""Characters that W&B takes in the name of a run or group."""


class WandbTracker(Tracker):
    """Logs W&B runs into WHERE/wandb. The environment variables WANDB_MODE and WANDB_PROJECT hold.

    Without WANDB_MODE runs are offline: nothing is sent, nobody is asked to log in, and `wandb sync` uploads them.
    """

    name, summary = "wandb", "Weights & Biases, offline unless WANDB_MODE says otherwise"
    needs, default = "dnntrain[wandb]", "."

    def __init__(self, where: str | Path | None = None) -> None:
        import wandb

        super().__init__(where)
        self.wandb = wandb
        self.folder = Path(self.where).absolute() / "wandb"
        """Where W&B keeps its runs. Absolute, because W&B writes them from a process of its own."""

    def logged(self, study: str) -> set[TrackedRun]:
        return {run for run in whole_runs(self.folder.glob("*run-*")) if run.study == study}

    def open(self, run: TrackedRun) -> RunLog:
        config = {**run.settings, "study": run.study, "arm": run.arm, "seed": run.seed, "run": run.id}
        name, group = f"{run.arm}, seed {run.seed}", f"{run.study}: {run.arm}"
        return WandbRun(self.start([*run.names.values()], name, group, config), run)

    def log_study(self, result: StudyResult) -> None:
        log = self.start([result.name], result.name, result.name, {"study": result.name})
        frame = result.summary.frame
        log.log({"summary": self.wandb.Table(dataframe=frame)})
        table = Path(log.dir, "summary.csv")
        write_atomic(table, [frame.to_csv(index=False)])
        files = self.wandb.Artifact(f"study-{log.id}", type="study", metadata={"study": result.name})
        for file in (table, *study_files(result)):
            files.add_file(str(file))
        log.log_artifact(files)
        log.finish()

    def start(self, names: list[str], name: str, group: str, config: dict[str, Any]) -> wandb.Run:
        """Begin a W&B run whose id follows from `names`, in place of one that has this id."""
        run_id = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
        for left in self.folder.glob(f"*run-*-{run_id}"):
            shutil.rmtree(left)
        self.folder.mkdir(parents=True, exist_ok=True)  # W&B would take a temporary folder instead
        settings = self.wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        return self.wandb.init(
            project=os.environ.get("WANDB_PROJECT", "dnntrain"),
            mode=mode,
            dir=str(self.folder.parent),
            id=run_id,
            name=name[:LONGEST_NAME],
            group=group[:LONGEST_NAME],
            config=config,
            reinit="create_new",  # the seeds of an arm train at the same time
            settings=settings,
        )


class WandbRun(RunLog):
    """One run at W&B."""

    def __init__(self, log: wandb.Run, run: TrackedRun) -> None:
        self.log, self.run = log, run

    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self.log.log({"epoch": epoch, **values}, step=epoch)

    def finish(self, results: Mapping[str, float], outcome: Mapping[str, str]) -> None:
        self.log.summary.update({**results, **outcome})
        self.close()
        mark_whole(Path(self.log.dir).parent, self.run)

    def close(self) -> None:
        self.log.finish()
