"""dnntrain beside what its users would take instead: the same data, network, batch size, epochs and metric, in turn.

    make bench
    make bench-quick
    .venv/bin/python -m tests.bench.peers [--quick] [--json FILE] [--figure FILE] [--keep FOLDER]
    make bench-cnn

dnntrain trains each workload whole, from the command line to the report. A peer trains a stated part of it in a
process of its own, is timed by the epoch after a warm-up, and is scaled to the epochs that dnntrain trained: neither
its start nor its compilation is held against it. Every round times all contenders in turn, so that a machine whose
speed drifts slows all of them alike; ratios are taken within a round, and the medians over the rounds count. From 6
rounds on, each ratio has its 95 % interval; a claim takes 15 rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.as_worker import check_target
from tests.bench.epoch_ratio import median_interval
from tests.bench.peers import figure, own, report, results
from tests.bench.peers.command_line import STARTS, command_seconds
from tests.bench.peers.contenders import DNNTRAIN, PEERS, Contender, Timing, field_of, medians, time_dnntrain, time_peer
from tests.bench.peers.machine import Failure, cores, description, matmul_rate, median
from tests.bench.peers.targets import Judgment, Measured, judge_all, plain, targets_table
from tests.bench.peers.workload import Exported, Workload, available, export
from tests.bench.peers.workloads import WORKLOADS, part

PEERS_PYTHON = ".venv-bench/bin/python"
ROUNDS = 3
COMMANDS, QUICK_STARTS = "command line", 1


@dataclass
class Bench:
    """One run of the benchmark."""

    quick: bool
    peers: tuple[str, ...]
    """How the labels begin of those that are timed beside dnntrain."""
    python: str
    """The peers' interpreter."""
    exported: dict[str, Exported]
    timings: dict[str, dict[str, list[Timing]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By workload and contender, one for each round; dnntrain's is the first."""
    rates: list[float] = field(default_factory=list)
    """The cores' matmul rate, before each round and at the end: the highest is what they can do."""
    failures: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    troubles: list[str] = field(default_factory=list)
    """What could not be measured, and why."""
    started: float = field(default_factory=time.perf_counter)

    def say(self, line: str) -> None:
        """Progress, on stderr."""
        print(f"{time.perf_counter() - self.started:6.0f} s  {line}", file=sys.stderr, flush=True)

    def round(self, workloads: Sequence[Workload]) -> None:
        """Time all contenders once on these workloads; a peer trains all of them in one process."""
        self.rates.append(matmul_rate())
        for workload in workloads:
            self.say(f"{workload.name}: dnntrain")
            self.timings[workload.name][report.OURS].append(self.time_ours(workload))
        fields = {workload.name: field_of(workload) for workload in workloads}
        for peer in dict.fromkeys(peer for peers in fields.values() for peer in peers):
            if (peer.quick or not self.quick) and peer.label.startswith(self.peers):
                self.time_peer(peer, [workload for workload in workloads if peer in fields[workload.name]])

    def time_ours(self, workload: Workload) -> Timing:
        """dnntrain's whole work; a single run's as the peers' is timed."""
        if not workload.alone:
            return time_dnntrain(workload, self.exported[workload.name])
        work = (workload, self.exported[workload.name], {"constant": workload.epochs})
        return time_peer(DNNTRAIN, sys.executable, [work])[workload.name]

    def time_peer(self, peer: Contender, workloads: Sequence[Workload]) -> None:
        """A peer's timings, or why there are none."""
        self.say(f"{', '.join(workload.name for workload in workloads)}: {peer.label}")
        ours = {w.name: self.timings[w.name][report.OURS][-1].epochs for w in workloads}
        try:
            timings = time_peer(peer, self.python, [(w, self.exported[w.name], ours[w.name]) for w in workloads])
        except Failure as failure:
            for workload in workloads:
                self.failures[workload.name][peer.label] = str(failure)
            return
        for name, timing in timings.items():
            self.timings[name][peer.label].append(timing)

    def result(self, workload: Workload) -> report.Result:
        """The medians over the rounds; a contender that failed once has none."""
        timings, failures = self.timings[workload.name], self.failures[workload.name]
        ours = [timing.seconds for timing in timings[report.OURS]]
        trained = [timing.trained for timing in timings[report.OURS] if timing.trained]

        def row(name: str, found: Sequence[Timing]) -> report.Row:
            references = [ours, trained] if trained else [ours]
            ratios = [[t.seconds / r for t, r in zip(found, seconds, strict=True)] for seconds in references]
            intervals = [median_interval(values) for values in ratios if len(values) >= report.FEWEST_ROUNDS]
            return report.Row(name, medians(found), median(ratios[0]), intervals)

        rows = [row(name, found) for name, found in timings.items() if name not in failures]
        rate = max(self.rates) / (len(cores()) if workload.alone else 1)
        return report.Result(workload, self.exported[workload.name], rows, rate, failures)

    def by_itself(self, workloads: Sequence[Workload], rounds: int) -> dict[str, Any]:
        """What dnntrain takes by itself, where the lecture's table is among the workloads and whole."""
        lecture = next((w for w in workloads if w.name == "lecture" and not self.quick), None)
        if lecture is None:
            return {}
        try:
            return own.measure(lecture, self.exported[lecture.name], max(self.rates), rounds, self.say)
        except Failure as failure:  # the tables took an hour, and are not lost for this
            self.troubles.append(f"dnntrain by itself was not measured: {failure}")
            return {}

    def judgments(self, found: Sequence[report.Result], seconds: Mapping[str, float]) -> list[Judgment]:
        """The targets, and whether they hold."""
        ratios = {result.workload.name: {row.name: row.ratio for row in result.rows} for result in found}
        return judge_all(Measured(ratios, seconds, max(self.rates), self.quick))


def main() -> None:
    """Measure, print, and write what was asked for."""
    arguments = read_arguments()
    chosen = [w for w in WORKLOADS if not arguments.only or w.name in arguments.only]
    workloads, notes = available([part(w) for w in chosen] if arguments.quick else chosen)
    rounds = arguments.rounds or (1 if arguments.quick else ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        exported = {w.name: export(w, Path(folder, str(i))) for i, w in enumerate(workloads)}
        bench = Bench(arguments.quick, tuple(arguments.peer or ("",)), arguments.peers_python, exported)
        # all workloads in one process save the peers' starts; one by one they are timed closer to each other
        batches = [workloads] if arguments.quick else [[workload] for workload in workloads]
        for batch in batches:
            for number in range(rounds if batch else 0):
                bench.say(f"round {number + 1} of {rounds}")
                bench.round(batch)
            for workload in batch:  # at once, since what follows may take long, or fail
                print(report.table(bench.result(workload)), end="\n\n", flush=True)
        bench.rates.append(matmul_rate())
        found = [bench.result(workload) for workload in workloads]
        by_itself = bench.by_itself(workloads, rounds)
        commands = not arguments.only or COMMANDS in arguments.only
        seconds = command_seconds(QUICK_STARTS if arguments.quick else STARTS, bench.say) if commands else {}
    record = {
        "environment": description() | {"peers": versions(arguments.peers_python)},
        "matmul_rates": bench.rates,
        "quick": arguments.quick,
        "rounds": rounds,
        "notes": notes + bench.troubles + report.disturbance(found),
        "dnntrain": by_itself | {"seconds": seconds},
        "targets": plain(judgments := bench.judgments(found, seconds)),
    }
    print_rest(by_itself, judgments, record["notes"], arguments.quick)
    write_all(arguments, bench, found, record)


def write_all(
    arguments: argparse.Namespace, bench: Bench, found: Sequence[report.Result], record: dict[str, Any]
) -> None:
    """The whole record, the figure, and what is kept of both for this machine."""
    if arguments.json:
        raw = {w: {c: [vars(t) for t in found] for c, found in by.items()} for w, by in bench.timings.items()}
        whole = record | {"workloads": [report.as_json(result) for result in found], "timings": raw}
        arguments.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    if arguments.figure and found:
        figure.save_figure(found, arguments.figure)
    if arguments.keep:
        results.keep(arguments.keep, results.shortened(record) | {"workloads": [report.kept(r) for r in found]})
        figure.save_figure(found, results.kept_file(arguments.keep, "-peers.png"))


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tests.bench.peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="on parts of the work, in a few minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record there")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the ratios there (.png, .svg)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep this machine's results and figure there")
    parser.add_argument("--rounds", type=int, help=f"how often everybody is timed (default {ROUNDS}, quick 1)")
    labels = "one of: " + "; ".join(peer.label for peer in PEERS)
    parser.add_argument("--peer", action="append", metavar="LABEL", help="time only those whose label begins so")
    parser.add_argument("--only", action="append", choices=[*(w.name for w in WORKLOADS), COMMANDS],
                        help="repeatable")  # fmt: skip
    parser.add_argument("--peers-python", default=PEERS_PYTHON, metavar="FILE", help=f"default {PEERS_PYTHON}")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: at least 1")
    for file in filter(None, (arguments.json, arguments.figure)):
        check_target(parser, file)
    if arguments.keep and (arguments.quick or arguments.only):
        parser.error("--keep: only all workloads are kept whole, without --quick and --only")
    if arguments.keep and not arguments.keep.is_dir():
        parser.error(f"--keep {arguments.keep}: no such folder")
    for peer in arguments.peer or ():
        if not any(other.label.startswith(peer) for other in PEERS):
            parser.error(f"--peer {peer!r}: no label begins so; {labels}")
    if not Path(arguments.peers_python).is_file():
        parser.error(f"{arguments.peers_python} is not there: `make bench` installs the peers' environment")
    return arguments


def print_rest(by_itself: dict[str, Any], judgments: Sequence[Judgment], notes: Sequence[str], in_parts: bool) -> None:
    """What comes after the workloads' tables."""
    if by_itself:
        print(report.own_table(by_itself), end="\n\n")
    print(targets_table(judgments, in_parts))
    for note in notes:
        print(note)


def versions(python: str) -> dict[str, str]:
    """What the peers' environment holds."""
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    installed = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    wanted = ("keras", "tensorflow-cpu", "tensorflow_cpu", "jax", "lightning", "torch", "numpy")
    return {name: installed[name] for name in wanted if name in installed}


if __name__ == "__main__":
    main()
