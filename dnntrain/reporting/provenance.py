"""How a study was made, as text: the same lines on the terminal, in Markdown, HTML, and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from typing import Any

from dnntrain.analysis.provenance import StudyProvenance, study_provenance
from dnntrain.analysis.summary import Summary
from dnntrain.config.shown import as_in_module, write_settings
from dnntrain.store.provenance import data_notes, environments_line
from dnntrain.store.study_record import StudyDataset, StudyTraining
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable
from dnntrain.utils.times import duration
from dnntrain.utils.words import count_noun

SOFTWARE_NAMES = {"engine": "engine", "torch": "PyTorch", "numpy": "NumPy", "python": "Python"}
"""How software is called in a sentence, where that is not its package's name."""


def provenance_lines(summary: Summary, *, full: bool = False) -> Iterator[tuple[str, str]]:
    """Yields a label and a text for each line; none for a table that dnntrain did not write.

    Args:
        summary: The study.
        full: Add what identifies the data, for pages that are read without the records. The settings of each arm are
            in `settings_table` then.
    """
    made = study_provenance(summary.results)
    if made is None:
        return
    settings, record = made.settings, summary.results.record
    if settings.common:
        yield "settings of all arms" if len(settings.by_arm) > 1 else "settings", write_settings(settings.common)
    if settings.varied and not full:
        yield "settings that differ", f"{', '.join(settings.varied)} (--wide has those of each arm)"
    for data in made.datasets:
        arms = f", arms {', '.join(data.arms)}" if len(made.datasets) > 1 else ""
        yield "data", f"{data.name} ({data_size(data)}){arms}{data_identity(data) if full else ''}"
    for note in data_notes(record):
        yield "data note", note
    if line := environments_line(record):
        yield "environments", line
    yield from machine_lines(made)
    if made.runs:
        yield "training", training_text(made)
    if made.command:
        yield "command", made.command


def settings_table(summary: Summary) -> TextTable | None:
    """A row for each arm with its values of the settings that differ; None if there are none.

    A technique that is off is left out, unless it is on in the baseline.
    """
    made = study_provenance(summary.results)
    if made is None or not made.settings.varied:
        return None
    by_arm = made.settings.by_arm
    on = {key for key, value in by_arm.get(str(summary.baseline), {}).items() if format_value(value) != "off"}
    rows = []
    for arm in summary.arms:
        settings = {k: v for k, v in by_arm[arm.name].items() if k in on or format_value(v) != "off"}
        settings = as_in_module(settings, made.settings.common.get("net") or by_arm[arm.name].get("net"))
        rows.append([arm.name, "; ".join([write_settings(settings) or "none of these", *arm.implied])])
    return TextTable("settings that differ", ["arm", "settings"], rows, wraps=frozenset({"settings"}))


def data_size(data: StudyDataset) -> str:
    """The numbers of examples: '10,000 training and 2,000 test examples'."""
    return f"{data.train_examples:,} training and {data.test_examples:,} test examples"


def data_identity(data: StudyDataset) -> str:
    """What says exactly which data these are, as far as it is recorded: shape, task, fingerprint, and license."""
    shape = f"{'×'.join(map(str, data.shape))} {data.kind}" if data.shape else ""
    task = f"{len(data.classes)} classes" if data.classes else data.task
    parts = [shape, task, f"fingerprint {data.fingerprint}" if data.fingerprint else "", data.license]
    return "; " + "; ".join(filter(None, parts))


def machine_lines(made: StudyProvenance) -> Iterator[tuple[str, str]]:
    """The versions of the software, and what it ran on."""
    software = [
        f"{SOFTWARE_NAMES.get(name, name)} {' and '.join(versions)}" for name, versions in made.software.items()
    ]
    if software:
        yield "software", ", ".join(software)
    hardware = [*made.distinct("cpu"), *made.distinct("device"), made.environment.platform or ""]
    if any(hardware):
        yield "machine", ", ".join(filter(None, hardware))


def training_text(made: StudyProvenance) -> str:
    """When the runs were trained, and how long that took: one figure, on the clock. JSON has the others as well."""
    training, runs = made.training, count_noun(made.runs, "run")
    took = f"{duration(made.run_seconds)} of training time in all"
    if training is None:
        return f"{runs}, {took}; the records do not say when"
    times = f"{dates(training)}, {duration(training.wall_seconds)} of wall time"
    if training.runs == made.runs:
        return f"{runs}, {times}"
    return f"{runs}, {took}; {training.runs} of them {times}; older records do not say when"


def dates(training: StudyTraining) -> str:
    """The time from the first run's start to the last one's end, in UTC: '2026-11-27 16:15 to 16:53 UTC'.

    One time where both are in the same minute.
    """
    started, ended = (moment.astimezone(UTC) for moment in (training.started, training.ended))
    if f"{started:%Y-%m-%d %H:%M}" == f"{ended:%Y-%m-%d %H:%M}":
        return f"{started:%Y-%m-%d %H:%M} UTC"
    end = ended.strftime("%H:%M" if started.date() == ended.date() else "%Y-%m-%d %H:%M")
    return f"{started:%Y-%m-%d %H:%M} to {end} UTC"


def provenance_json(summary: Summary) -> dict[str, Any]:
    """The same for JSON."""
    made = study_provenance(summary.results)
    if made is None:
        return {"settings": None, "software": {}, "training": None, "command": ""}
    return {
        "settings": asdict(made.settings),
        "software": made.software,
        "platform": made.environment.platform,
        "training": {"runs": made.runs, "run_seconds": made.run_seconds}
        | ({"recorded": made.training.content()} if made.training else {}),
        "command": made.command,
    }
