"""The lines below a study's tables: how arms were compared, what was lost, and what more seeds would show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from dnntrain.analysis import looks
from dnntrain.analysis.averaged_predictions import recorded_scores
from dnntrain.analysis.selection import arms_by_kept_epoch, choices_by_validation
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.training_losses import arms_by_training_loss
from dnntrain.config.renamed import to_new_names
from dnntrain.metrics import TRAIN_LOSS, split_column
from dnntrain.reporting import formatting
from dnntrain.reporting.averaged_predictions import scores_notes
from dnntrain.reporting.class_tables import missing_predictions_line
from dnntrain.reporting.constant_notes import constant_lines
from dnntrain.reporting.design_notes import design_notes
from dnntrain.reporting.example_notes import example_notes
from dnntrain.reporting.lost_runs import lost_lines
from dnntrain.reporting.planning import planning_lines
from dnntrain.reporting.progress import progress_lines
from dnntrain.reporting.provenance import provenance_lines
from dnntrain.reporting.secondary import secondary_lines
from dnntrain.reporting.timing import time_lines
from dnntrain.statistics import LEVEL, ComparisonFamily
from dnntrain.statistics.verdicts import BETTER, WORSE
from dnntrain.store.study_record import StudyRecord

METHODS_IN_WORDS = {
    "moderated": "moderated t (each arm's variance and the arms' common one, weighted), Dunnett's correction",
    "dunnett": "Dunnett's method (one variance for all arms; Dunnett 1955)",
    "paired": "paired t (Student 1908) with Bonferroni's correction (Dunn 1961)",
    "crossed": "t over seeds and test examples (crossed; Cornfield and Tukey 1956), Dunnett's correction",
    "welch": "Welch's t (Welch 1947) with Bonferroni's correction (Dunn 1961)",
}
"""How each method is named."""

MIXING = ("mixup", "cutmix")
"""Settings that mix pairs of training examples."""

EVERY_STEP = 0.9995
"""A share of clipped steps from which on it is shown as 100 %."""

OWN_VARIANCE = 0.1
"""An arm that shares less of the common variance than this is named."""

NOTED = ("data", "data note", "environments")
"""What a table that is printed alone says of how the study was made."""

OPTION_ADVICE = re.compile(r" \(--[a-z][^)]*\)|; (see )?--[a-z][^.;]*|(?<=\.)( From the start,)? --[a-z][^.]*(5 %)?\.")
"""What a line advises its reader to do with an option: in parentheses, after a semicolon, or as a sentence."""

MAX_ARMS = 6
"""With more arms than this, a line that says something of each arm is shortened, unless the report is wide."""


def footer(summary: Summary, *, wide: bool = False) -> Iterator[str]:
    """All lines below a study's tables.

    Args:
        summary: The study.
        wide: Name every arm, however many there are. A wide report has a table of the planned seeds, so that they are
            not repeated here.
    """
    most = len(summary.arms) if wide else MAX_ARMS
    if summary.results.progress:
        yield from progress_lines(summary.results.progress)
    yield from method_lines(summary)
    yield from secondary_lines(summary, most)
    yield from looks.lines(summary.results.record)
    yield from table_lines(summary)
    yield from constant_lines(summary, most)
    yield from lost_lines(summary, most)
    yield from missing_predictions_line(summary)
    yield from selection_lines(summary, most)
    yield from training_loss_line(summary, most)
    yield from mixed_lines(summary, most)
    yield from clipping_lines(summary, most)
    yield from best_line(summary)
    yield from other_baseline_line(summary)
    if not wide:
        yield from planning_lines(summary, most)
    yield from outlying_lines(summary)
    yield from scores_notes(recorded_scores(summary.results))
    if summary.times:
        yield from time_lines(summary.times, summary.baseline)
    yield from design_notes(summary)
    yield from example_notes(summary, most, seed_in_words(summary.results.record))
    if summary.results.record.tuning_note:
        yield f"Tuning: {summary.results.record.tuning_note}"
    if summary.results.record.note:
        yield f"The preset's note: {summary.results.record.note}"


def caption(summary: Summary) -> Iterator[str]:
    """The lines that a table needs wherever it is printed alone, without advice on options of the command line."""
    yield from (OPTION_ADVICE.sub("", line) for line in caption_lines(summary))


def caption_lines(summary: Summary) -> Iterator[str]:
    """The lines of the footer that a caption is made of."""
    if summary.results.progress:
        yield from progress_lines(summary.results.progress)
    yield from method_lines(summary)
    yield from secondary_lines(summary, MAX_ARMS)
    yield from looks.lines(summary.results.record)
    yield from table_lines(summary)
    yield from constant_lines(summary, MAX_ARMS)
    yield from lost_lines(summary, MAX_ARMS)
    yield from (f"{label.capitalize()}: {text}" for label, text in provenance_lines(summary) if label in NOTED)
    yield from example_notes(summary, MAX_ARMS, seed_in_words(summary.results.record))


def method_lines(summary: Summary) -> Iterator[str]:
    """How the arms were compared with the baseline, and by which variances."""
    family = summary.family
    if family is None:
        return
    level, unit = formatting.percent(family.level), formatting.difference_unit(summary.metric)
    unit += "" if summary.higher_is_better else " (lower is better)"
    how = METHODS_IN_WORDS[family.method]
    if family.method == "moderated" and family.pool is None:
        how = "paired t" if family.k == 1 else "paired t (each arm's own variance), Dunnett's correction"
    if family.k == 0:
        yield f"Δ from {summary.baseline} in {unit}, without intervals; {formatting.delta_in_words(summary)}."
        return
    kind = f"simultaneous {level} intervals of {family.k} comparisons" if family.k > 1 else f"its {level} interval"
    yield f"Δ from {summary.baseline} in {unit}, with {kind} by {how}; {formatting.delta_in_words(summary)}."
    yield from variance_lines(family, str(summary.baseline))
    if summary.delta > 0 and any(not c.note for c in family.comparisons.values()):
        narrow, alpha = (formatting.percent(share) for share in (2 * family.level - 1, 1 - family.level))
        over = ", over all arms" if family.k > 1 else ""
        yield f"Equivalent: the {narrow} interval lies within ±δ (two one-sided tests at {alpha}{over})."


def table_lines(summary: Summary) -> Iterator[str]:
    """How a table that dnntrain did not write was read, and that several metrics are judged."""
    results, family = summary.results, summary.family
    if results.is_table and summary.options.baseline is None:
        yield f"{summary.baseline} is the baseline because it comes first; --baseline names another."
    yield from results.notes
    if family and summary.options.metrics > 1:
        level, k = formatting.percent(family.level), summary.options.metrics
        yield f"{k} metrics are judged, each at {level}: in 95 % of studies all intervals cover the true differences."


def variance_lines(family: ComparisonFamily, baseline: str) -> Iterator[str]:
    """The arms that are judged by their own variance, and why the common one counts for less."""
    if family.method != "moderated" or family.pool is None:
        return
    judged = {name: c for name, c in family.comparisons.items() if c.is_judged}
    own = [name for name, c in judged.items() if c.pooling < OWN_VARIANCE]
    if own:
        differs, judged_by = ("differs", "it is") if len(own) == 1 else ("differ", "each is")
        what = f"The variance{'s' if len(own) > 1 else ''} of {', '.join(own)}"
        yield f"{what} {differs} too much from that of the other arms, so {judged_by} judged by its own alone."
    p_baseline, p_arms = float(family.pool.p_baseline), float(family.pool.p_sphericity)
    if float(family.pool.trust) < OWN_VARIANCE:
        p, what = p_arms, "the arms' variances, or their correlations over seeds, differ"
        if p_baseline < 1 - LEVEL:  # the arms' test fails as well where the baseline is the odd one
            p, what = p_baseline, f"the variance of {baseline} differs from the arms'"
        df, shown = f"{float(family.pool.df):.2g}", formatting.p_value(p)
        equals = "" if shown.startswith("<") else "= "
        yield (
            f"The arms' common variance gets little weight, as of {df} degrees of freedom: {what} (p {equals}{shown})."
        )


def selection_lines(summary: Summary, most: int) -> Iterator[str]:
    """Which epochs the arms keep, and how optimistic a validation metric is that chose something."""
    study = summary.results.record
    by_epoch = arms_by_kept_epoch(study)
    if len(by_epoch) > 1:
        kept = (f"{epoch} ({formatting.listed(names, most)})" for epoch, names in by_epoch.items())
        yield f"The arms keep the weights of different epochs: {'; '.join(kept)}."
    choices = choices_by_validation(study)
    if split_column(summary.metric)[0] != "val" or not choices:
        return
    text = f"{summary.metric} is optimistic, because the validation part chose {' and '.join(choices)}."
    gaps = {arm.name: arm.other_part_gap for arm in summary.arms if not math.isnan(arm.other_part_gap)}
    if not gaps:
        yield f"{text} {summary.other_part} is not recorded."
        return
    shown = {name: formatting.signed(gap, summary.metric, abs(gap)) for name, gap in gaps.items()}
    ends = [min(gaps, key=lambda name: gaps[name]), max(gaps, key=lambda name: gaps[name])]
    each = ", ".join(f"{name} {gap}" for name, gap in shown.items())
    if len(gaps) > most:
        each = " to ".join(f"{shown[name]} ({name})" for name in ends)
    yield (
        f"{text} Mean {summary.metric} − {summary.other_part} of the finished runs: {each} "
        f"{formatting.difference_unit(summary.metric)}; --metric {summary.other_part} judges by the test part."
    )


def training_loss_line(summary: Summary, most: int) -> Iterator[str]:
    """That train_loss cannot be compared, if the arms train on different losses."""
    by_loss = arms_by_training_loss(summary.results.record)
    if len(by_loss) > 1:
        losses = "; ".join(f"{loss} ({formatting.listed(names, most)})" for loss, names in by_loss.items())
        if summary.metric == TRAIN_LOSS:
            yield "These verdicts compare different losses and say nothing; --metric val_loss compares the plain loss."
        yield (
            f"The arms train on different losses, so that train_loss cannot be compared: {losses}. All other figures "
            "are comparable: validation and test are measured by the plain loss."
        )


def mixed_lines(summary: Summary, most: int) -> Iterator[str]:
    """The arms whose training metrics are not comparable with others', since they train on mixed examples."""
    part, name = split_column(summary.metric)
    mixed = [arm.name for arm in summary.results.record.arms if any(arm.settings.get(key) for key in MIXING)]
    if part == "train" and mixed:
        target = "" if name == "loss" else ", against the target of the first one of each pair"
        yield f"{summary.metric} is measured on mixed examples for {formatting.listed(mixed, most)}{target}."


def clipping_lines(summary: Summary, most: int) -> Iterator[str]:
    """The arms that clip in every step, and what the cosine is."""
    clipping = {arm.name: arm.clipped for arm in summary.arms if arm.clipped}
    always = [name for name, clipped in clipping.items() if clipped.share >= EVERY_STEP]
    if always:
        arms = formatting.listed(always, most)
        yield f"Clipped 100 % of all steps: {arms}. That is a rescaled gradient, not clipping."
    if any(not math.isnan(clipped.cosine) for clipped in clipping.values()):
        yield "The cosine is between the clipped and the raw gradient; 1 keeps the direction."


def best_line(summary: Summary) -> Iterator[str]:
    """The arms that may be the best, judged by a test of its own: not by the differences from the baseline."""
    if not summary.best:
        return
    first, *others = summary.best
    seeds = [set(arm.values) for arm in summary.arms if not arm.runs.never_finishes]
    shared = len(set.intersection(*seeds))
    over = f", over the {shared} seeds of all arms" if 0 < shared < max(map(len, seeds)) else ""
    rest, what = "clearly better than all others", "it is the best"
    if others:
        rest, what = f"no clear difference from: {', '.join(others)}", "the best is among these"
    how = "each arm compared with the best one, not with the baseline"
    yield f"best: {first}; {rest} ({how}; in {100 * summary.best_level:.3g} of 100 studies {what}{over})"
    yield from best_against_table(summary, first)


def best_against_table(summary: Summary, first: str) -> Iterator[str]:
    """Why an arm may be left out of the best although the table is not clear about it; nothing if it is."""
    if summary.family is None or (first != summary.baseline and summary.baseline in summary.best):
        return
    judged = [arm for arm in summary.arms if arm.name != summary.baseline]
    if first == summary.baseline:
        unclear = [arm.name for arm in judged if arm.name not in summary.best and WORSE not in arm.verdict]
    else:
        unclear = [arm.name for arm in judged if arm.name == first and BETTER not in arm.verdict]
    if unclear:
        table, here = formatting.percent(summary.family.level), formatting.percent(summary.best_level)
        yield (
            f"The table compares {formatting.listed(unclear, MAX_ARMS)} with {summary.baseline} in both directions, "
            f"at {table}; the line of the best arms asks in one direction only which may be the best, at {here}, so it "
            "can be clear where the table is not."
        )


def other_baseline_line(summary: Summary) -> Iterator[str]:
    """Another arm to compare with, if the baseline loses runs."""
    baseline = next((arm for arm in summary.arms if arm.name == summary.baseline), None)
    if baseline is None or not baseline.runs.lost:
        return
    text = f"{baseline.name} lost runs, so only large differences from it can be shown"
    sign = 1 if summary.higher_is_better else -1
    whole = [arm for arm in summary.arms if arm.finished and not arm.runs.lost]
    if whole:
        other = max(whole, key=lambda arm: sign * arm.mean)
        text += f"; --baseline {other.name} compares with the best arm that lost none"
    yield f"{text}."


def outlying_lines(summary: Summary) -> Iterator[str]:
    """The single runs that cause most of their arm's spread."""
    runs = {arm.name: arm.runs.finished for arm in summary.arms}
    named = [
        f"{name} seed {seed} ({formatting.number(runs[name][seed], summary.metric, summary.arm(name).deviation)})"
        for name, seeds in summary.outlying.items()
        for seed in seeds
    ]
    if named:
        yield f"Single runs that cause most of their arm's spread: {', '.join(named)}."


def seed_in_words(record: StudyRecord) -> str:
    """What a seed varies in the study's runs; empty if their settings are not recorded."""
    settings = [to_new_names(arm.settings) for arm in record.arms]
    if not all("epochs" in each for each in settings):
        return ""
    draws = [bool(each.get("train_size")) and each.get("subset") != "shared" for each in settings]
    varied, fixed = ["the initial weights", "the order of the examples", "random masks"], []
    if any(draws):
        arms = "" if all(draws) else " of some arms"
        varied.append(f"which examples{arms} are trained on (--subset shared keeps them the same)")
    else:
        fixed.append("which examples are trained on")
    if any(each.get("reuse_from") for each in settings):
        fixed.append("the network that is reused")
    but = f", but not {' or '.join(fixed)}" if fixed else ""
    return f" A seed varies {', '.join(varied[:-1])}, and {varied[-1]}{but}."
