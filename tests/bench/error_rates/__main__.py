"""Runs the simulations named on the command line, or all of them, and lists what misses its bound."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

from tests.bench.error_rates import best, effects, grid, incomplete, lost, pairs, planning, sequential
from tests.bench.error_rates.checks import Check, print_verdicts

PARTS: dict[str, Callable[[float], list[Check]]] = {
    "grid": grid.grid,
    "heldout": grid.held_out_scenarios,
    "incomplete": incomplete.incomplete_arm,
    "lost": lambda scale: [*incomplete.one_lost_run(scale), *lost.lost_runs(scale)],
    "effects": effects.all_effects,
    "order": effects.order_steps,
    "pairs": pairs.all_pairs,
    "best": best.best_set,
    "sequential": sequential.until_resolved,
    "planning": planning.advised_seeds,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts, and print what they were to reach."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.error_rates", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--studies-scale", type=float, default=1.0, help="0.1 simulates a tenth of the studies")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    checks = []
    for name in arguments.parts or PARTS:
        start = time.process_time()
        print(f"\n## {name}", flush=True)
        checks += PARTS[name](arguments.studies_scale)
        print(f"\n{name}: {time.process_time() - start:.0f} s", flush=True)
    print_verdicts(checks)


if __name__ == "__main__":
    main()
