"""What a study takes over from its record when it is run again: its metric and δ, and the looks at it so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnntrain.analysis.looks import arms_to_judge
from dnntrain.config.renamed import to_new_names
from dnntrain.errors import InputError
from dnntrain.statistics import FEWEST_SEEDS, look_levels, looks_up_to
from dnntrain.store.study_files import read_study
from dnntrain.store.study_record import LookRecord, StudyRecord
from dnntrain.studies.seeds import write_seeds
from dnntrain.studies.study import Study


def continue_study(study: Study, out: Path) -> Study:
    """The study as it goes on from what is recorded under its name.

    A metric and a δ that were not asked for are those of the record. A report that was complete, before more seeds were
    asked for, counts as a look. A record whose arms are all others, or that cannot be read, is replaced.

    Args:
        study: What is asked.
        out: The folder of studies.

    Raises:
        InputError: If the study was judged to see which arms go on, and would now be judged in another way.
    """
    record = recorded_study(study, out)
    if record is None:
        return with_levels(study)
    if study.metric_is_default:
        study = replace(study, metric=record.metric)
    if study.delta is None and study.metric == record.metric:
        study = replace(study, delta=record.delta)
    if any(look.level is not None for look in record.looks):
        check_unchanged(study, record)
        return replace(study, seeds=tuple(record.seeds), levels=record.levels, looks=tuple(record.looks))
    return with_levels(replace(study, looks=tuple(looks_so_far(study, record, out))))


def changes(study: Study, asked: Study, out: Path) -> Iterator[str]:
    """What differs between the study, what was asked for, and what is recorded: notes for the user.

    Args:
        study: The study that `continue_study` made.
        asked: The study that it was made from.
        out: The folder of studies.
    """
    try:
        record = StudyRecord.read(out / study.name / "study.json")
    except InputError:
        return  # no study yet, or an unreadable one, which is written again
    if study.metric != asked.metric:
        yield f"judged by {study.metric}, as recorded; a new study would be by {asked.metric}"
    elif study.metric != record.metric:
        yield f"judged by {study.metric} now, before by {record.metric}"
    if seeds := len({*record.seeds} - {*study.seeds}):
        yield f"seeds that leave its tables now: {seeds}; their runs stay in the store"
    known, now = settings_by_arm(record), settings_by_arm(study.to_record())
    if gone := [name for name, settings in known.items() if not settings.items() <= now.get(name, {}).items()]:
        which = ", ".join(gone)
        yield f"arms that leave its tables now, or change their settings: {which}; their runs stay in the store"


def check_seeds_kept(study: Study, out: Path) -> None:
    """Raise InputError if a finished study would lose seeds from its tables.

    Args:
        study: What is asked.
        out: The folder of studies.
    """
    try:
        record = StudyRecord.read(out / study.name / "study.json")
        lost = {*record.seeds} - {*study.seeds}
        if not lost or study.max_seeds is not None or any(look.level is not None for look in record.looks):
            return  # looks say which seeds a study has; see `continue_study`
        made = runs_made(out / study.name)
    except InputError:
        return  # no study yet, or an unreadable one, which is written again
    is_finished = made >= sum(len(record.seeds_of(arm.name)) for arm in record.arms)
    is_same = bool(settings_by_arm(record).keys() & {arm.name for arm in study.arms})
    if not (is_finished and is_same):
        return
    raise InputError(
        f"seeds {write_seeds(study.seeds)}: {study.name} is finished with {len(record.seeds)} seeds, and its "
        f"tables would lose {len(lost)} of them. To keep them, give --seeds "
        f"{write_seeds({*record.seeds, *study.seeds})}; to drop them from the tables, give --yes (in Python "
        "drop_seeds=True), which deletes no run"
    )


def recorded_study(study: Study, out: Path) -> StudyRecord | None:
    """The record under the study's name, if it compares some of the same arms."""
    try:
        record = StudyRecord.read(out / study.name / "study.json")
    except InputError:
        return None
    now = settings_by_arm(study.to_record())
    # a setting that an older version did not have is not a change
    same = [name for name, known in settings_by_arm(record).items() if known.items() <= now.get(name, {}).items()]
    return record if same else None


def runs_made(folder: Path) -> int:
    """How many runs of a study ended, those whose jobs failed included; InputError if its files are damaged."""
    results = read_study(folder)
    return len(results.runs) + sum(map(len, results.record.failed.values()))


def settings_by_arm(record: StudyRecord) -> dict[str, dict[str, Any]]:
    """Each arm's settings, under today's names."""
    return {arm.name: to_new_names(arm.settings) for arm in record.arms}


def with_levels(study: Study) -> Study:
    """The study with the level of each look, if there is more than one."""
    if study.max_seeds is not None:
        looks = looks_up_to(study.max_seeds)
    else:
        n = len(study.seeds)
        looks = (*sorted({look.n for look in study.looks if look.n < n}), n)
    return replace(study, levels=dict(zip(looks, look_levels(looks), strict=True)) if len(looks) > 1 else {})


def looks_so_far(study: Study, record: StudyRecord, out: Path) -> Iterator[LookRecord]:
    """The looks of the record, and the one that its complete report was, if more seeds are asked for now."""
    yield from record.looks
    n = len(record.seeds)
    is_asked_for_more = study.max_seeds is not None or {*record.seeds} < {*study.seeds}
    is_new = n >= FEWEST_SEEDS and is_asked_for_more and n not in [look.n for look in record.looks]
    if is_new and arms_to_judge(record) and runs_made(out / study.name) >= len(record.arms) * n:
        yield LookRecord(n=n)


def check_unchanged(study: Study, record: StudyRecord) -> None:
    """Raise InputError if a study that was judged at a look would be judged in another way at the next."""
    looks = [look.n for look in record.looks if look.level is not None]
    judged = f"{study.name} was judged at {', '.join(map(str, looks))} seeds to see which arms go on"
    if study.max_seeds is None:
        raise InputError(f"seeds: {judged}; continue with --until-resolved, or choose another name or --out")
    known, asked = settings_by_arm(record), settings_by_arm(study.to_record())
    changed = [name for name in {**known, **asked} if not known.get(name, {}).items() <= asked.get(name, {}).items()]
    added = [name for name in asked if name not in known]
    if changed or added:
        which = ", ".join([*changed, *added])
        raise InputError(f"arms: {judged}, so its arms cannot change ({which}); choose another name or --out")
    for key, before, now in (
        ("max_seeds", record.max_seeds, study.max_seeds),
        ("metric", record.metric, study.metric),
        ("delta", record.delta, study.delta),
        ("baseline", record.baseline, study.baseline),
    ):
        if before != now:
            was, new = ("the default" if value is None else value for value in (before, now))
            raise InputError(f"{key}: {judged}, so it cannot change from {was} to {new}; choose another name or --out")
