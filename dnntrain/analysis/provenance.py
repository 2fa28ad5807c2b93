"""How a study was made: settings, data, versions, machine, time, and command. Every export shows the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dnntrain.config.renamed import to_new_names
from dnntrain.config.shown import ShownSettings, split_settings
from dnntrain.store.provenance import datasets_of
from dnntrain.store.records import EnvironmentRecord
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import StudyDataset, StudyEnvironment, StudyTraining


@dataclass(frozen=True)
class StudyProvenance:
    """How a study was made. What old records do not say is empty or None."""

    settings: ShownSettings
    datasets: list[StudyDataset]
    environment: EnvironmentRecord
    """Of the first run; it has the platform, which does not decide bits."""
    environments: list[StudyEnvironment]
    """All that trained runs, each with its number of runs."""
    runs: int
    """How many runs are recorded."""
    run_seconds: float
    """The wall time of all runs together, each with its share of the population that it was trained in."""
    training: StudyTraining | None
    command: str

    @cached_property
    def software(self) -> dict[str, list[str]]:
        """The versions of all that trained runs, by name."""
        found = {"dnntrain": self.training.dnntrain if self.training else []}
        for name in ("engine", "torch", "numpy", "python"):
            found[name] = self.distinct(name)
        return {name: versions for name, versions in found.items() if versions}

    def distinct(self, field: str) -> list[str]:
        """The different values of a field of the environments; of the first run's, where old files have no others."""
        values = [getattr(each, field, None) for each in [*self.environments, self.environment]]
        return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def study_provenance(results: Results) -> StudyProvenance | None:
    """How a study was made; None for a table that dnntrain did not write."""
    if results.is_table:
        return None
    record = results.record
    return StudyProvenance(
        settings=split_settings({arm.name: to_new_names(arm.settings) for arm in record.arms}),
        datasets=datasets_of(record),
        environment=record.environment,
        environments=record.environments,
        runs=len(results.runs),
        run_seconds=math.fsum(second for second in results.runs["seconds"] if not math.isnan(second)),
        training=record.training,
        command=record.command,
    )
