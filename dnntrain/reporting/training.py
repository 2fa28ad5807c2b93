"""What `train` shows of its runs: the metrics of every part, with their spread over seeds, and the settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnntrain.config.spec import RunSpec, default_settings, flat_keys
from dnntrain.metrics import METRICS, PARTS
from dnntrain.reporting import formatting
from dnntrain.store.records import RunRecord
from dnntrain.utils.fields import field_extra, format_value


def training_report(records: Sequence[RunRecord], where: Path) -> str:
    """The results of one setting in a few lines.

    Args:
        records: Its runs, which differ in the seed only.
        where: The folder of their study, which the next command takes, such as `dnntrain report`.
    """
    several = len(records) > 1
    epochs = extent(record.epochs for record in records)
    kept = extent(record.best_epoch for record in records if record.best_epoch)
    best = f", kept epoch {kept}" if kept else ""
    status = ", ".join(tally(record.status for record in records))
    return "\n".join(
        [
            *(["seeds:    " + ", ".join(str(record.seed) for record in records)] if several else []),
            *metric_lines(records),
            f"status:   {status} after {epochs} epoch{'' if epochs == '1' else 's'}{best}",
            f"health:   {', '.join(tally(record.health for record in records))}",
            f"time:     {formatting.brief(sum(record.seconds for record in records))} s",
            f"settings: {settings_in_words(records[0])}",
            f"records:  {where}" if several else f"record:   {where} (run {records[0].run})",
        ]
    )


def metric_lines(records: Sequence[RunRecord]) -> Iterator[str]:
    """A line for each part of the data: its metrics, with their standard deviation over several runs."""
    for part in PARTS:
        shown = []
        for metric in METRICS.values():
            column = f"{part}_{metric.name}"
            values = [value for record in records if (value := record.results.get(column)) is not None]
            if values:
                figures = formatting.spread_of_runs(values, column)
                lost = f" ({len(values)} of {len(records)} runs)" if len(values) < len(records) else ""
                shown.append(f"{metric.label} {figures}{' %' if metric.is_share else ''}{lost}")
        if shown:
            yield f"{part + ':':<9} {'   '.join(shown)}"


def tally(words: Iterator[str]) -> list[str]:
    """How many runs each word is true of, the most frequent first; only the word where it is true of all."""
    counted = Counter(words)
    return [word if len(counted) == 1 else f"{count} {word}" for word, count in counted.most_common()]


def extent(numbers: Iterator[int]) -> str:
    """The numbers from the smallest to the largest: '8 to 10'; '8' for equal ones, and nothing for none."""
    found = sorted(numbers)
    return " to ".join(map(str, dict.fromkeys(found[:1] + found[-1:])))


def settings_in_words(record: RunRecord) -> str:
    """The settings that everybody asks for, and the others that are not the default."""
    spec = RunSpec.from_record(record.settings)
    defaults = default_settings(spec.net)
    shown = {
        key: value
        for key, value in spec.settings().items()
        if key != "seed" and (value != defaults[key] or (field_extra(flat_keys()[key], "essential") and value))
    }
    return ", ".join(f"{key}={format_value(value)}" for key, value in shown.items())
