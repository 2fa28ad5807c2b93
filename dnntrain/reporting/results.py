"""Recorded studies as objects: what the Python API returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dnntrain.errors import InputError, did_you_mean
from dnntrain.reporting.arm_result import ArmResult
from dnntrain.utils.console import as_text
from dnntrain.utils.python_calls import python_call

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dnntrain.analysis.summary import Summary
    from dnntrain.reporting.gates import GateResult, GateResults
    from dnntrain.store.records import RunRecord


@dataclass(frozen=True, repr=False, eq=False)
class StudySummary:
    """A study's main table: a row for each arm. `print` shows it as text, a notebook as HTML."""

    analysis: Summary
    """The numbers behind the table."""

    @property
    def frame(self) -> pd.DataFrame:
        """The table in full precision: a row for each arm with its mean, difference, interval, p and verdict."""
        import pandas as pd

        from dnntrain.reporting.exports.csv_json import row_of

        return pd.DataFrame([row_of(arm, self.analysis) for arm in self.analysis.arms])

    def __str__(self) -> str:
        from dnntrain.reporting.tables import main_table

        return as_text(main_table(self.analysis, wide=False)).strip("\n")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from dnntrain.reporting.exports.html import html_table
        from dnntrain.reporting.tables import main_table

        return html_table(main_table(self.analysis, wide=False))


@dataclass(frozen=True, repr=False, eq=False)
class StudyResult:
    """A recorded study. `study["bn"]` is one of its arms; iterating gives their names.

    `print` shows its table, and a notebook shows it as HTML.
    """

    summary: StudySummary
    """The main table."""
    tuned: StudyResult | None = None
    """The comparison with values tuned for each arm, for a preset with `tune`."""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.summary.analysis.results.name

    @property
    def folder(self) -> Path:
        """Where study.json, results.csv and history.csv are."""
        return self.summary.analysis.results.folder

    @property
    def metric(self) -> str:
        """What the arms are compared by, such as val_acc."""
        return self.summary.analysis.metric

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for each run, as in results.csv. Settings that are numbers in all runs are numeric."""
        import pandas as pd

        from dnntrain.config.parsing import takes_number
        from dnntrain.config.spec import flat_keys  # the whole catalogue, which `compare` does without

        runs = self.summary.analysis.results.runs.frame()
        for key in runs.columns.intersection([key for key, field in flat_keys().items() if takes_number(field)]):
            with suppress(ValueError, TypeError):  # a word, as in `lr: auto`
                runs[key] = pd.to_numeric(runs[key])
        return runs

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row for each run and epoch, as in history.csv. Columns such as grad_norm hold a figure for each layer."""
        return self.summary.analysis.results.history()

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict on each arm compared with the baseline, such as 'better'; empty without a baseline."""
        return {arm.name: arm.verdict for arm in self.summary.analysis.arms if arm.verdict}

    @property
    def records(self) -> Mapping[str, RunRecord]:
        """The full record of each run, by run id. Records that are not in memory are read on access."""
        from dnntrain.store.run_store import RunRecords, RunStore

        in_memory = self.summary.analysis.results.run_records
        return in_memory if in_memory is not None else RunRecords(RunStore(self.folder.parent), self.runs["run"])

    def __getitem__(self, arm: str) -> ArmResult:
        """An arm by its name.

        Raises:
            InputError: If there is no such arm; suggests the nearest name.
        """
        if arm not in self:
            raise InputError(f"no arm {arm!r} in {self.name}{did_you_mean(str(arm), self)}")
        analysis = self.summary.analysis
        return ArmResult(analysis.arm(arm), analysis)

    def __iter__(self) -> Iterator[str]:
        return (arm.name for arm in self.summary.analysis.arms)

    def __len__(self) -> int:
        return len(self.summary.analysis.arms)

    def __contains__(self, arm: object) -> bool:
        return any(name == arm for name in self)

    @python_call
    def plot(self, kind: str = "effects", *, titles: bool = True) -> Figure:
        """Draw a figure, without a window or state of pyplot. Notebooks show it; `figure.savefig` writes it.

        Args:
            kind: 'effects', 'interactions', 'curves', 'gradients', 'sensitivity', 'rates', 'tuning', 'confusion',
                'time', 'sizes', or 'strategies'; or the name in files, such as 'learning-curves'.
            titles: Whether it has its title, subtitle and caption.

        Raises:
            InputError: If the kind is unknown, or the study has no data for it.
        """
        from dnntrain.reporting.figures import draw_figure  # matplotlib takes long to import

        return draw_figure(kind, self.summary.analysis, titles=titles)

    @python_call
    def require(self, requirement: str | Iterable[str], *, allow_partial: bool = False) -> GateResult | GateResults:
        """Check a requirement such as 'bn >= base + 0.5pp' by the study's metric, as `dnntrain report --require` does.

            assert study.require("bn >= base + 0.5pp")

        Args:
            requirement: One requirement or several; see `dnntrain.reporting.gates`.
            allow_partial: Whether to check it although planned runs are missing. Without it, it is inconclusive then.

        Returns:
            The answer, which is true only if the requirement holds; for several requirements a list of answers, which
            is true only if all of them hold.

        Raises:
            InputError: If a requirement cannot be read, or names what the study lacks, or there is none.
        """
        from dnntrain.reporting.gates import GateResults, judge_summary

        analysis = self.summary.analysis
        if isinstance(requirement, str):
            return judge_summary(requirement, analysis, allow_partial=allow_partial)
        answers = GateResults(judge_summary(each, analysis, allow_partial=allow_partial) for each in requirement)
        if not len(answers):
            raise InputError("requirement: there is none in the list")
        return answers

    def __repr__(self) -> str:
        count = f"{len(self.runs)} run{'' if len(self.runs) == 1 else 's'}"
        return f"<StudyResult {self.name}: {count} in {self.folder}>\n{self.summary}"

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()


@dataclass(frozen=True, repr=False, eq=False)
class Report:
    """Several analyzed studies. `print` shows their tables."""

    studies: list[StudyResult]
    gates: list[GateResult]
    """The answer to each requirement."""

    @property
    def summary(self) -> StudySummary:
        """The table of the only study; InputError unless there is one."""
        if len(self.studies) != 1:
            names = ", ".join(study.name for study in self.studies)
            raise InputError(f"summary: there are {len(self.studies)} studies ({names}); use studies[0].summary")
        return self.studies[0].summary

    @property
    def summaries(self) -> list[Summary]:
        """The analysis of each study."""
        return [study.summary.analysis for study in self.studies]

    def to_csv(self) -> str:
        """A row for each arm as CSV, in full precision."""
        from dnntrain.reporting.exports.csv_json import to_csv

        return to_csv(self.summaries)

    def to_layer_csv(self) -> str:
        """The figures of each layer, such as gradient norms, as CSV: a row for each run, epoch, and layer."""
        from dnntrain.reporting.exports.layer_history import to_layer_csv

        return to_layer_csv(self.summaries)

    def to_json(self) -> str:
        """Everything as JSON, in full precision."""
        from dnntrain.reporting.exports.csv_json import to_json

        return to_json(self.summaries, [gate.as_dict() for gate in self.gates])

    def to_markdown(self) -> str:
        """The tables as Markdown."""
        from dnntrain.reporting.exports.markdown import to_markdown

        return to_markdown(self.summaries)

    def to_latex(self) -> str:
        """The tables as LaTeX (booktabs), with their notes."""
        from dnntrain.reporting.exports.latex import to_latex

        return to_latex(self.summaries)

    def to_html(self) -> str:
        """Tables, figures and runs as one HTML page."""
        from dnntrain.reporting.exports.html import to_html

        return to_html(self.summaries)

    @python_call
    def save_figures(self, folder: str | Path, *, titles: bool = True) -> list[Path]:
        """Write the figures as PNG (300 dpi), SVG, and PDF; returns their paths.

        Args:
            folder: Where to write.
            titles: Whether the figures have their title, subtitle and caption.
        """
        from dnntrain.reporting.figures import save_figures

        return save_figures(self.summaries, Path(folder), titles=titles)

    def __str__(self) -> str:
        return "\n\n".join(f"{study.name}\n{study.summary}" for study in self.studies)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        return "".join(f"<h3>{escape(study.name)}</h3>{study.summary._repr_html_()}" for study in self.studies)
