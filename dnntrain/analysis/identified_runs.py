"""Which run each row of anyone's table is: its arm, its seed or block, and whether it is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dnntrain.analysis.table_layout import TableLayout
from dnntrain.errors import InputError
from dnntrain.store.run_tables import RunTable


@dataclass(frozen=True)
class IdentifiedRuns:
    """Which run each row of a table is."""

    arms: Sequence[str]
    """The arm of each row."""
    numbers: Sequence[int]
    """What stands for the seed: runs of two arms with equal numbers are pairs, or belong to one block."""
    blocks: Sequence[int]
    """The number of each row's block; empty without blocks."""
    block_names: tuple[str, ...]
    is_lost: Sequence[bool | None]
    """Whether the status says that the run is lost; None where no column says so."""
    statuses: Sequence[str]

    @property
    def arm_names(self) -> list[str]:
        """The arms in the order of the table."""
        return list(dict.fromkeys(self.arms))


def identified_runs(table: RunTable, layout: TableLayout) -> IdentifiedRuns:
    """Reads which run each row is; InputError for a run that is there twice, or for fewer than two arms."""
    arms = filled(table, layout.arm, "--arm")
    names = dict.fromkeys(arms)
    if len(names) < 2:
        raise InputError(f"--arm {layout.arm}: the only arm in {table.shown_paths} is '{arms[0]}', but two are needed")
    seeds = filled(table, layout.seed, "--seed") if layout.seed else []
    blocks = filled(table, layout.block, "--block") if layout.block else []
    if seeds:
        check_unique(table, layout, arms, blocks, seeds)
    if blocks:
        runs = seeds or running_numbers(arms, blocks)
        numbers = numbered([f"{block}\0{run}" for block, run in zip(blocks, runs, strict=True)])
    else:
        numbers = numbered(seeds) if seeds else list(range(len(arms)))
    block_names = tuple(dict.fromkeys(blocks))
    codes = [block_names.index(block) for block in blocks]
    statuses = table.column(layout.status, "--status") if layout.status else [""] * len(arms)
    return IdentifiedRuns(arms, numbers, codes, block_names, lost_by_status(table, layout, statuses), statuses)


def filled(table: RunTable, column: str, option: str) -> Sequence[str]:
    """The cells of a column; InputError names a row in which it is empty."""
    cells = table.column(column, option)
    if "" in cells:
        raise InputError(f"{table.places[cells.index('')]}: column {column} is empty ({option})")
    return cells


def check_unique(
    table: RunTable, layout: TableLayout, arms: Sequence[str], blocks: Sequence[str], seeds: Sequence[str]
) -> None:
    """Raise InputError for a run that is there twice."""
    seen: dict[tuple[str, ...], str] = {}
    in_blocks = blocks or [""] * len(arms)
    for arm, block, seed, place in zip(arms, in_blocks, map(as_integer, seeds), table.places, strict=True):
        run = (arm, block, seed)
        if run in seen:
            where = f" in {layout.block} {block}" if block else ""
            hint = "" if blocks else "; --block COLUMN, if the table has several data sets"
            raise InputError(f"{place}: arm {arm} has seed {seed}{where} twice, before at {seen[run]}{hint}")
        seen[run] = place


def running_numbers(arms: Sequence[str], blocks: Sequence[str]) -> list[str]:
    """The number of each row among those of its arm and block."""
    counts: Counter[tuple[str, str]] = Counter()
    numbers = []
    for run in zip(arms, blocks, strict=True):
        counts[run] += 1
        numbers.append(str(counts[run]))
    return numbers


def as_integer(text: str) -> str:
    """A whole number without its decimal point, as tables with a missing seed have; other text as it is."""
    whole, point, rest = text.partition(".")
    return whole if point and whole.isdigit() and not rest.strip("0") else text


def numbered(texts: Sequence[str]) -> list[int]:
    """Numbers that are equal where the texts are: the texts' own if all are whole numbers."""
    texts = [as_integer(text) for text in texts]
    if all(text.isdecimal() and len(text) < 16 for text in texts):
        return [int(text) for text in texts]
    codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return [codes[text] for text in texts]


def lost_by_status(table: RunTable, layout: TableLayout, statuses: Sequence[str]) -> list[bool | None]:
    """Whether each row's status says that its run is lost; InputError if it says so of every run."""
    if not layout.status:
        return [None] * len(statuses)
    known = ", ".join(dict.fromkeys(status or "(empty)" for status in statuses))
    if not layout.ok:
        raise InputError(f"--status {layout.status}: say with --ok which values have a result; there are {known}")
    if not set(layout.ok) & set(statuses):
        raise InputError(f"--ok {','.join(layout.ok)}: no run has this {layout.status}; there are {known}")
    return [status not in layout.ok for status in statuses]
