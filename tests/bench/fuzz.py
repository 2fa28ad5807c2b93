"""Bad input by the thousand: random presets, files and command lines, none of which may end in a traceback.

    python -m tests.bench.fuzz [--minutes 3] [--workers 2] [--seed 0]

Commands run within forked processes, what is small is trained; every fiftieth runs again as a process of its own, and
has to end with the same exit code. What goes wrong is put into tests/corpus, for tests/test_fuzz.py to hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from dnntrain.config.keys import flag
from dnntrain.config.spec import flat_keys
from tests.support.command import dnntrain
from tests.support.command_lines import Known, is_sendable
from tests.support.inline import Answer
from tests.support.strategies import BRIEF, PRESET_FILES, Strategy, any_settings, as_json, mutated, spoiled, tables
from tests.support.trial import Case, Trials, keep

MEMORY = 12 << 30
"""Bytes of address space that a worker may take: what fills the memory fails, and is found."""
SECONDS = 60.0
"""What a command may take."""
AT_ONCE = 25
"""Examples between two fresh folders."""
EVERY = 50
"""One in so many commands is run as a process too."""


@dataclass
class Tally:
    """What came of some inputs."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind of input and exit code."""
    processes: int = 0
    troubles: dict[str, tuple[Case, str]] = field(default_factory=dict)
    """One input for each kind of trouble."""


# What is tried


def as_flags(given: dict[str, object]) -> list[str]:
    """Settings as flags; what no flag takes is given all the same."""
    words: list[str] = []
    for key, value in given.items():
        if key in flat_keys() and flat_keys()[key].annotation is bool:
            words.append(flag(key) if value else f"--no-{flag(key)[2:]}")
        else:
            words += [flag(key), str(value)]
    return words


def on_presets(*words: str) -> Strategy:
    """A command on a preset's file."""
    return PRESET_FILES.map(lambda content: Case([words[0], "p.yaml", *words[1:]], {"p.yaml": content}))


def trained() -> Strategy:
    """A small run with settings of any kind."""
    return any_settings().map(lambda some: Case(["train", *as_flags(BRIEF), *as_flags(some)]))


def on_tables() -> Strategy:
    """A command on a person's own table."""
    brief = ["--hidden", "2", "--epochs", "1", "--val", "1"]
    commands = st.sampled_from([["data", "info", "p.csv"], ["train", "--data", "p.csv", *brief]])
    target = st.sampled_from([[], ["--target", "x"], ["--target", "y"], ["--target", "[/x]"], ["--target", "$"]])
    return st.builds(lambda c, t, content: Case([*c, *t], {"p.csv": content}), commands, target, tables())


ABOUT = """
report runs
report runs --json
report runs --html -
report runs --latex -
report runs --md - --wide
report runs --figures out
report runs --against small small
runs list
runs verify
ablate study.yaml
transfer --from runs/small --plan
data info arrays.npz
""".strip().splitlines()
"""Commands on what is recorded."""


def on_damaged(known: Known, folder: Path) -> Strategy:
    """A command that meets a file of ours that somebody has changed."""

    def damaged(name: str) -> Strategy:
        content = (folder / name).read_bytes()
        changed = mutated(st.just(content))
        if name.endswith(".json"):
            changed |= st.builds(as_json, spoiled(st.builds(json.loads, st.just(content))))
        return changed.map(lambda data: {name: data})

    files = [name for name in known.files if (folder / name).is_file()]
    files += [
        f"{name}/{file}" for name in known.files if "store" in name for file in ("run.json", "weights.safetensors")
    ]
    about = st.sampled_from(ABOUT).map(str.split)
    changed = st.sampled_from(files).flatmap(damaged)
    return st.builds(lambda words, content: Case(words, content), about | known.lines, changed)


def kinds(known: Known, folder: Path) -> dict[str, Strategy]:
    """What is tried, by what it is called in the table."""
    return {
        "command line": known.lines.map(Case),
        "preset, planned": on_presets("ablate", "--plan"),
        "preset, run": on_presets("ablate"),
        "preset, transfer": on_presets("transfer", "--plan"),
        "small run": trained(),
        "own table": on_tables(),
        "damaged file": on_damaged(known, folder),
    }


# How it is tried


class Fuzzer:
    """One process that tries inputs till its time is over."""

    def __init__(self, root: Path, number: int) -> None:
        self.trials, self.number, self.tally = Trials(root), number, Tally()
        self.last = root / "last.json"
        """The input at work, for whoever finds this process dead."""
        self.kinds = kinds(self.trials.known, self.trials.template)

    def go(self, until: float, first_seed: int) -> Tally:
        """Try all kinds of input in turns."""
        turn = first_seed * 1_000_000 + self.number
        while time.monotonic() < until:
            for kind, inputs in self.kinds.items():
                self.some(kind, inputs, turn)
            turn += 1000
        return self.tally

    def some(self, kind: str, inputs: Strategy, turn: int) -> None:
        """Try some inputs of one kind in a fresh folder."""
        self.trials.renew()

        @seed(turn)
        @settings(max_examples=AT_ONCE, database=None, deadline=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(inputs)
        def tried(case: Case) -> None:
            self.one(kind, case)

        tried()

    def one(self, kind: str, case: Case) -> None:
        """Try one input."""
        self.last.write_text(case.as_json())
        answer = case.answer(self.trials.folder, SECONDS)
        self.tally.codes[kind, str(answer.code)] += 1
        trouble = answer.trouble or self.astray(case)
        if not trouble and sum(self.tally.codes.values()) % EVERY == 0:
            trouble = self.as_process(case, answer)
        if trouble:
            self.tally.troubles.setdefault(signature(trouble), (replace(case, why=trouble[:200]), trouble))
        if answer.code is None or not self.trials.folder.is_dir():
            self.trials.renew()

    def astray(self, case: Case) -> str:
        """What a command has written elsewhere that was told of no place to write to but its own."""
        if case.words[:1] not in (["ablate"], ["train"], ["transfer"]) or any(".." in word for word in case.words):
            return ""
        strays = self.trials.strays()
        return f"wrote elsewhere: {', '.join(strays)}" if strays else ""

    def as_process(self, case: Case, answer: Answer) -> str:
        """How the same command ends as a process, where that is another end; what is dear is not tried again."""
        if not all(map(is_sendable, case.words)) or "ray" in case.words or "too dear" in answer.err:
            return ""
        self.tally.processes += 1
        home = str(self.trials.folder)
        self.trials.renew()  # what others have left behind is not to make the difference
        answer = case.answer(self.trials.folder, SECONDS)
        self.trials.renew()
        case.furnish(self.trials.folder)
        try:
            nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
            done = dnntrain(
                *case.words, cwd=self.trials.folder, HOME=home, DNNTRAIN_DATA=f"{home}/data-home", **nowhere
            )
        except subprocess.TimeoutExpired:
            return "as a process: no end"
        same = done.returncode == answer.code and "Traceback" not in done.stderr
        return "" if same else f"as a process: {done.returncode}, not {answer.code}: {done.stderr[-300:]}"


def signature(trouble: str) -> str:
    """What two troubles of one kind have in common."""
    place = trouble.rpartition(" at ")[2] if " at " in trouble else trouble
    return re.sub(r"'[^']*'|\d+|\(.*?\)", "", place)[:60]


def fuzz(root: Path, number: int, until: float, first_seed: int, results: SimpleQueue[Tally]) -> None:
    """A worker's life."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(5)
    results.put(Fuzzer(root, number).go(until, first_seed))


def together(tallies: list[Tally]) -> Tally:
    """All that came."""
    made = Tally()
    for tally in tallies:
        made.codes += tally.codes
        made.processes += tally.processes
        made.troubles = tally.troubles | made.troubles
    return made


def in_workers(count: int, minutes: float, first_seed: int, root: Path) -> list[Tally]:
    """What the workers found; a worker that died is told with the input that it died of."""
    context = multiprocessing.get_context("fork")
    results: SimpleQueue[Tally] = context.SimpleQueue()
    until = time.monotonic() + 60 * minutes
    folders = [root / str(number) for number in range(count)]
    workers = [
        context.Process(target=fuzz, args=(folder, number, until, first_seed, results))
        for number, folder in enumerate(folders)
    ]
    for worker in workers:
        worker.start()
    tallies = []
    while any(worker.is_alive() for worker in workers) or not results.empty():
        if results.empty():
            time.sleep(0.2)
        else:
            tallies.append(results.get())
    for worker, folder in zip(workers, folders, strict=True):
        if worker.exitcode:
            last = (folder / "last.json").read_text()[:2000] if (folder / "last.json").exists() else "nothing yet"
            print(f"a worker died ({worker.exitcode}); at work: {last}", file=sys.stderr)
    return tallies


def table(tally: Tally) -> str:
    """The exit codes by kind of input."""
    codes = sorted({code for _, code in tally.codes})
    rows = [["input", *(f"exit {code}" for code in codes), "tried"]]
    for kind in dict.fromkeys(kind for kind, _ in tally.codes):
        counts = [tally.codes[kind, code] for code in codes]
        rows.append([kind, *map(str, counts), str(sum(counts))])
    sums = [sum(n for (_, code), n in tally.codes.items() if code == each) for each in codes]
    rows.append(["all", *map(str, sums), str(sum(sums))])
    return "\n".join(f"{row[0]:<18}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def main() -> None:
    """Fuzz, tell, and keep what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        tally = together(in_workers(options.workers, options.minutes, options.seed, Path(root)))
    print(table(tally))
    print(f"{tally.processes} of them as processes too; {len(tally.troubles)} kinds of trouble")
    for case, trouble in tally.troubles.values():
        name = f"found-{hashlib.sha256(case.as_json().encode()).hexdigest()[:8]}"
        print(f"\n{keep(case, name)}: {trouble[:400]}\n  {' '.join(case.words)[:300]!r}")
    sys.exit(1 if tally.troubles else 0)


if __name__ == "__main__":
    main()
