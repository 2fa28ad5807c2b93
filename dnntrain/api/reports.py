"""Functions that judge recorded runs: `report`, `load` and `compare`. They import neither torch nor what trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from dnntrain.analysis.foreign_table import read_comparison
from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import summarize
from dnntrain.analysis.table_layout import TableLayout
from dnntrain.analysis.table_looks import at_look
from dnntrain.errors import InputError
from dnntrain.metrics import column_named, metric_of
from dnntrain.reporting.gates import inconclusive_if_partial, judge
from dnntrain.reporting.results import Report, StudyResult, StudySummary
from dnntrain.statistics import METHODS, WELCH
from dnntrain.store.studies import find_studies, named_study, open_study
from dnntrain.store.study_files import Results
from dnntrain.utils.lazy import pandas


def report(
    paths: str | Path | Iterable[str | Path] = "runs",
    *,
    out: str | Path = "runs",
    metric: str | None = None,
    sort: str | None = None,
    delta: str | float | None = None,
    baseline: str | None = None,
    method: str | None = None,
    pairs: bool = False,
    population: bool = False,
    per_class: bool = False,
    within: str | None = None,
    order: Sequence[str] | None = None,
    require: str | Iterable[str] = (),
    allow_partial: bool = False,
) -> Report:
    """Analyze recorded studies. Those in training are shown as far as they are, without verdicts.

    Args:
        paths: Folders of studies, folders that hold studies, or names of studies in `out`.
        out: The folder where studies are recorded.
        metric: What arms are compared by, such as 'val_acc' or 'macro_f1' (on the test part); by default each study's
            own. One that the runs did not record is computed from their predictions, without training.
        sort: Order of the arms: 'arm', 'mean' or 'seconds'.
        delta: The smallest difference that matters: '0.3pp' (points of a share), '2%' (of the baseline's mean), or a
            number in the metric's own unit. By default as the metric declares.
        baseline: The arm to compare with; by default each study's own.
        method: How to compare: 'moderated' (the default), 'dunnett', 'paired' or 'welch'.
        pairs: Whether to compare every arm with every other as well.
        population: Whether to judge over other test examples as well, and not only over other seeds.
        per_class: Whether to show precision, recall and F1 of each class, and confusion matrices. The CSV then has a
            row for each arm and class.
        within: A factor of a factorial design, whose levels are compared with the first one at each setting of the
            other factors; by default the study's own, if any.
        order: At least three arms, the best first. Each is compared with the next one, and the trend over all is
            tested. By default the study's own, if any.
        require: Requirements to check, such as 'elu >= relu - 0.3pp'; see `dnntrain.reporting.gates`.
        allow_partial: Whether to check them in studies whose planned runs are not all made, too. Without it they are
            inconclusive there.

    Raises:
        InputError: If there is no study, a file is damaged, or an argument is invalid.
    """
    folders = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not folders:
        raise InputError("paths: none are given")
    options = AnalysisOptions(
        delta=None if delta is None else str(delta),
        baseline=baseline,
        method=method or METHODS[0],
        sort=sort,
        pairs=pairs,
        population=population,
        per_class=per_class,
        within=within,
        order=None if order is None else tuple(order),
    )
    if population and require:
        raise InputError("--population: not with --require, which judges over seeds")
    metric = None if metric is None else column_named(metric)
    summaries = [summarize(results, metric, options) for results in find_studies(folders, Path(out))]
    studies = [summary.results for summary in summaries]
    requirements = as_strings(require)
    check_partial(allow_partial, requirements)
    gates = [
        gate
        for requirement in requirements
        for gate in judge(requirement, studies, metric, options, allow_partial=allow_partial)
    ]
    return Report([StudyResult(StudySummary(summary)) for summary in summaries], gates)


def load(path: str | Path, *, out: str | Path = "runs") -> StudyResult:
    """Load one study. One that is in training or was interrupted has the runs that are recorded, without verdicts.

    Args:
        path: The study's folder, or its name in `out`.
        out: The folder where studies are recorded.

    Raises:
        InputError: If it is not a study's folder, or a file in it is damaged.
    """
    return StudyResult(StudySummary(summarize(open_study(named_study(Path(path), Path(out)).absolute()))))


def compare(
    tables: str | Path | pandas.DataFrame | Iterable[str | Path | pandas.DataFrame],
    *,
    out: str | Path = "runs",
    arm: str = "",
    value: str | Sequence[str] = (),
    seed: str = "",
    block: str = "",
    status: str = "",
    ok: str | Sequence[str] = (),
    lost_value: Mapping[str, float] | None = None,
    baseline: str | None = None,
    delta: str | float | None = None,
    method: str | None = None,
    pairs: bool = False,
    looks: int | Sequence[int] | None = None,
    require: str | Iterable[str] = (),
    keep_if: str | None = None,
    allow_partial: bool = False,
    sort: str | None = None,
) -> Report:
    """Judge anyone's runs: the arms in tables with a row per run, by one or several metrics.

        dt.compare("runs.csv", arm="optimizer", seed="seed", value=["f1", "loss:min"])
        dt.compare(frame, arm="model", seed="seed", value="f1", baseline="resnet")

    Args:
        tables: CSV, TSV, Parquet, JSON lines, or JSON files, or DataFrames, with the same columns; or folders of
            dnntrain's studies, or their names in `out`, which need no other argument. The column `file` says which
            file a row is from.
        out: The folder where studies are recorded.
        arm: The column that names the arms.
        value: The columns to compare by: COLUMN if higher is better, or COLUMN:min. Several are judged as one family.
        seed: The column by which runs of two arms are paired. Without it, arms are compared by Welch's intervals.
        block: A column such as the data set. Pairs are blocks then, by their means over runs.
        status: The column that says which runs have a result. Without it, a run without a value is lost.
        ok: The values of `status` for runs that have a result. All other runs are lost.
        lost_value: What a lost run counts as, by metric. Without it, arms that lost runs get no verdict.
        baseline: The arm to compare with; by default the first one.
        delta: The smallest difference that matters: '2%' (of the baseline's mean, by default '1%'), or a number.
        method: 'moderated', 'dunnett', 'paired' or 'welch'.
        pairs: Whether to compare every arm with every other as well.
        looks: The numbers of seeds at which the growing table is judged, or the largest of them. Verdicts are then
            at a level that makes up for the repetition.
        require: Requirements to check, such as 'new >= base - 2%'; see `dnntrain.reporting.gates`.
        keep_if: The requirement by which a loop keeps a change or discards it.
        allow_partial: Whether to check requirements although an arm lacks seeds that others have. Without it they are
            inconclusive, because the runs may be missing for a reason.
        sort: Order of the arms: 'arm' or 'mean'.

    Returns:
        A study for each value column.

    Raises:
        InputError: If a table cannot be read, or an argument is invalid.
    """
    layout = TableLayout(arm, as_strings(value), seed, block, status, as_strings(ok), lost_value or {})
    is_one = isinstance(tables, str | Path) or hasattr(tables, "columns")  # as a DataFrame has
    given = cast("Iterable[str | Path | pandas.DataFrame]", [tables] if is_one else tables)
    sources = [named_study(Path(each), Path(out)) if isinstance(each, str | Path) else each for each in given]
    if not sources:
        raise InputError("tables: none are given")
    studies = read_comparison(sources, layout)
    options = AnalysisOptions(
        delta=None if delta is None else str(delta),
        baseline=baseline,
        method=method_for(studies[0], method, pairs),
        sort=sort,
        metrics=len(studies),
        pairs=pairs,
    )
    if looks is not None:
        studies = at_look(studies, looks)
    summaries = [summarize(study, options=options) for study in studies]
    requirements = [("--require", requirement) for requirement in as_strings(require)]
    requirements += [] if keep_if is None else [("--keep-if", keep_if)]
    check_partial(allow_partial, requirements)
    columns = [study.record.metric for study in studies]
    gates = []
    for option, requirement in requirements:
        found = judge(
            requirement, studies, options=options, metrics=columns, allow_partial=allow_partial, option=option
        )
        if len({metric_of(column).higher_is_better for column in columns}) > 1 and len({g.reason for g in found}) > 1:
            raise InputError(
                f"{option} {requirement!r}: higher is better in some columns and worse in others; name the one that is "
                f"meant, such as ARM.{columns[0]}"
            )
        gates += found if allow_partial else [inconclusive_if_partial(gate, studies[0]) for gate in found]
    # by several metrics, requirements that name their own metric or count runs have the same answer several times
    answers = {(gate.requirement, gate.reason): gate for gate in gates}
    return Report([StudyResult(StudySummary(summary)) for summary in summaries], list(answers.values()))


def method_for(table: Results, wanted: str | None, pairs: bool) -> str:
    """The method to compare by: Welch's if runs are not paired. InputError for one that needs pairs then."""
    if table.is_paired:
        return wanted or METHODS[0]
    if pairs:
        raise InputError("--pairs: compares runs with the same seed, and --seed names no column")
    if wanted in METHODS and wanted != WELCH:
        raise InputError(f"--method {wanted}: pairs runs by seed, and --seed names no column; or use --method {WELCH}")
    return wanted or WELCH


def check_partial(allow_partial: bool, requirements: Sequence[object]) -> None:
    """Raise InputError for --allow-partial without a requirement that it could be about."""
    if allow_partial and not requirements:
        raise InputError("--allow-partial: is about requirements, and none is given")


def as_strings(given: str | Iterable[str]) -> tuple[str, ...]:
    """One or several names as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)
