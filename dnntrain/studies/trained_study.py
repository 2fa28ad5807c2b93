"""A study all of whose runs are recorded, and what can be read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from dnntrain.analysis.predicted_metrics import no_metric, with_metric
from dnntrain.analysis.runs import column_by_arm
from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.store.run_store import RunRecords
from dnntrain.store.study_files import Results, StudyFiles
from dnntrain.store.study_record import LookRecord
from dnntrain.studies.study import Study


@dataclass(frozen=True)
class TrainedStudy:
    """A study all of whose runs are recorded."""

    study: Study
    ids: Mapping[RunSpec, str]
    """The run id of every run."""
    records: RunRecords
    """By run id."""
    files: StudyFiles
    """The files in the study's folder."""

    @cached_property
    def results(self) -> Results:
        """The study's results, from memory: the same as `read_study` of its folder."""
        return self.files.results(self.records.store.root / self.study.name)

    def with_look(self, look: LookRecord) -> TrainedStudy:
        """The same study with one more look, which is written to its folder."""
        study = replace(self.study, looks=(*self.study.looks, look))
        files = replace(self.files, record=self.files.record.model_copy(update={"looks": list(study.looks)}))
        files.write(self.records.store.root / study.name)
        return replace(self, study=study, files=files)

    def figures(self, metric: str) -> dict[str, list[float]]:
        """A metric's value for every run, by arm and in the order of the seeds; nan for a run that diverged."""
        results = with_metric(self.results, metric)
        if metric not in results.runs.columns or results.notes:  # some runs have no predictions to compute it from
            raise InputError("; ".join(results.notes) or no_metric(results, metric))
        by_arm = column_by_arm(results.runs, metric)
        return {
            arm.name: [by_arm[arm.name].get(seed, math.nan) for seed in self.study.seeds_of(arm.name)]
            for arm in self.study.arms
        }
