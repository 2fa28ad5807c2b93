"""The origin of a study's runs: the data sets they were trained on, the environments that trained them, and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dnntrain.store.records import RunRecord
from dnntrain.store.study_record import StudyDataset, StudyEnvironment, StudyRecord, StudyTraining

DECIDES_BITS = tuple(name for name in StudyEnvironment.model_fields if name != "runs")
"""The fields that distinguish environments. A run may differ in its last bits between two of them."""


class Provenance:
    """Collects the distinct data sets and environments of a study's records, and their times, for study.json."""

    def __init__(self) -> None:
        self._datasets: dict[str, StudyDataset] = {}
        self._runs: dict[StudyEnvironment, int] = {}
        self._versions: dict[str, None] = {}
        self._times: dict[str, tuple[datetime, datetime, float | None]] = {}
        """By run: start, end, and CPU time."""

    def add(self, arm: str, record: RunRecord) -> None:
        """Add one run of an arm."""
        data = record.data.without_preprocessing()
        # the same data have other notes where runs split them differently
        key = data.model_dump_json(exclude={"notes"})
        known = self._datasets.get(key) or StudyDataset(**data.content() | {"notes": [], "arms": []})
        notes, arms = ([*dict.fromkeys(names)] for names in ([*known.notes, *data.notes], [*known.arms, arm]))
        self._datasets[key] = known.model_copy(update={"notes": notes, "arms": arms})
        fields = record.environment.model_dump() | {"engine": record.engine}
        environment = StudyEnvironment(**{name: fields[name] for name in DECIDES_BITS}, runs=0)
        self._runs[environment] = self._runs.get(environment, 0) + 1
        if record.started and record.ended:
            self._times[record.run] = record.started, record.ended, record.cpu_seconds
            self._versions[record.dnntrain] = None

    @property
    def datasets(self) -> list[StudyDataset]:
        """Each data set with its arms, in the order in which they were added."""
        return list(self._datasets.values())

    @property
    def environments(self) -> list[StudyEnvironment]:
        """Each environment with its number of runs."""
        return [environment.model_copy(update={"runs": runs}) for environment, runs in self._runs.items()]

    @property
    def training(self) -> StudyTraining | None:
        """When the runs were trained, and what that took; None if no record says so."""
        if not self._times:
            return None
        starts, ends, cpu = zip(*self._times.values(), strict=True)
        known = [seconds for seconds in cpu if seconds is not None]
        return StudyTraining(
            runs=len(self._times),
            dnntrain=sorted(self._versions),
            started=min(starts),
            ended=max(ends),
            wall_seconds=busy_time(zip(starts, ends, strict=True)).total_seconds(),
            cpu_seconds=round(sum(known), 1) if len(known) == len(cpu) else None,
        )


def busy_time(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """The time that is in at least one of some spans, each a start and an end."""
    total, until = timedelta(), datetime.min.replace(tzinfo=UTC)
    for start, end in sorted(spans):
        total += max(timedelta(), end - max(start, until))
        until = max(until, end)
    return total


def datasets_of(study: StudyRecord) -> list[StudyDataset]:
    """A study's data sets; old study files have only that of the first run, without arms."""
    return study.datasets or ([StudyDataset(**study.data.content())] if study.data else [])


def data_notes(study: StudyRecord) -> list[str]:
    """What was left out of a study's data sets or read in a special way, each note once, with the data set's name."""
    return list(dict.fromkeys(f"{data.name}: {note}" for data in datasets_of(study) for note in data.notes))


def environments_line(study: StudyRecord) -> str:
    """How the environments of a study's runs differ; empty where there is only one."""
    environments = study.environments
    if len(environments) < 2:
        return ""
    values = [each.model_dump() for each in environments]
    differ = [name for name in DECIDES_BITS if len({str(each[name]) for each in values}) > 1]
    shown = [
        ", ".join(f"{name} {'unknown' if each[name] is None else each[name]}" for name in differ)
        + f" ({each['runs']} run{'s' if each['runs'] > 1 else ''})"
        for each in values
    ]
    return f"Runs come from {len(shown)} environments, and their bits may differ: {'; '.join(shown)}."
