"""MLflow: an experiment for each study, and in it a run for each arm and seed, and one for the study."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dnntrain.reporting.results import StudyResult
from dnntrain.trackers.base import RunLog, TrackedRun, Tracker, study_files
from dnntrain.utils.fields import format_value

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STUDY = "dnntrain.study"
"""The tag of the run that holds a study's summary and files."""
ALLOW_FOLDERS = "MLFLOW_ALLOW_FILE_STORE"
"""The environment variable without which newer versions of MLflow take no folder."""
MOST_PARAMS, MOST_METRICS = 100, 1000
"""How many MLflow takes at a time."""


class MLflowTracker(Tracker):
    """Logs to a folder, or to a server by its URI. The environment variable MLFLOW_TRACKING_URI is the default."""

    name, summary = "mlflow", "MLflow, in a folder or at a server's URI"
    needs, default = "dnntrain[mlflow]", "mlruns"

    def __init__(self, where: str | Path | None = None) -> None:
        import mlflow  # noqa: F401  missing packages are reported at once

        super().__init__(where or os.environ.get("MLFLOW_TRACKING_URI"))
        self.unfinished: dict[TrackedRun, list[str]] = defaultdict(list)
        """MLflow's ids of the runs that were interrupted."""

    def logged(self, study: str) -> set[TrackedRun]:
        whole = set()
        self.unfinished.clear()
        for found in self.search(study):
            tags = found.data.tags
            if STUDY not in tags and tags.keys() >= {"arm", "seed", "run"}:
                run = TrackedRun(study, tags["arm"], int(tags["seed"]), tags["run"])
                if found.info.status == "FINISHED":
                    whole.add(run)
                else:
                    self.unfinished[run].append(found.info.run_id)
        return whole

    def open(self, run: TrackedRun) -> RunLog:
        for left in self.unfinished.pop(run, ()):
            self.client.delete_run(left)
        name = f"{run.arm}, seed {run.seed}"
        made = self.client.create_run(self.experiment(run.study), run_name=name, tags=run.names)
        return MLflowRun(self.client, made.info.run_id, run)

    def log_study(self, result: StudyResult) -> None:
        found = next((run for run in self.search(result.name) if STUDY in run.data.tags), None)
        run = found or self.client.create_run(
            self.experiment(result.name), run_name=result.name, tags={STUDY: result.name, "study": result.name}
        )
        run_id = run.info.run_id
        with TemporaryDirectory() as folder:
            table = Path(folder, "summary.csv")
            table.write_text(result.summary.frame.to_csv(index=False), encoding="utf-8")
            for file in (table, *study_files(result)):
                self.client.log_artifact(run_id, str(file))
        self.client.set_terminated(run_id)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client. It looks at the environment variable only here, which then is as it was before."""
        from mlflow import MlflowClient

        is_folder = "://" not in self.where and self.where != "databricks"
        uri = Path(self.where).absolute().as_uri() if is_folder else self.where
        before = os.environ.get(ALLOW_FOLDERS)
        try:
            if is_folder:
                os.environ[ALLOW_FOLDERS] = "true"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that folders are an older kind of store
                return MlflowClient(uri, registry_uri=uri)
        finally:
            if before is not None:
                os.environ[ALLOW_FOLDERS] = before
            else:
                os.environ.pop(ALLOW_FOLDERS, None)

    def experiment(self, study: str) -> str:
        """The id of a study's experiment, which is created if there is none."""
        found = self.client.get_experiment_by_name(study)
        return str(found.experiment_id if found else self.client.create_experiment(study))

    def search(self, study: str) -> Iterator[Run]:
        """All runs of a study's experiment."""
        experiment, token = self.client.get_experiment_by_name(study), None
        while experiment:
            page = self.client.search_runs([experiment.experiment_id], page_token=token)
            yield from page
            if not (token := page.token):
                return


class MLflowRun(RunLog):
    """One run in MLflow."""

    def __init__(self, client: MlflowClient, run_id: str, run: TrackedRun) -> None:
        from mlflow.entities import Param

        self.client, self.run_id = client, run_id
        params = [Param(key, format_value(value)) for key, value in run.settings.items()]
        for first in range(0, len(params), MOST_PARAMS):
            client.log_batch(run_id, params=params[first : first + MOST_PARAMS])

    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        # a layer's name may have characters that MLflow does not take
        metrics = [Metric(re.sub(r"[^\w. :/-]", "_", name), value, now, epoch) for name, value in values.items()]
        for first in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=metrics[first : first + MOST_METRICS])

    def finish(self, results: Mapping[str, float], outcome: Mapping[str, str]) -> None:
        self.log_epoch(self.epochs, results)
        for name, text in outcome.items():
            self.client.set_tag(self.run_id, name, text)
        self.client.set_terminated(self.run_id)

    def close(self) -> None:
        self.client.set_terminated(self.run_id, status="KILLED")
