"""Runs a preset as `dnntrain ablate` does, and prints what it cost this process alone, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from dnntrain.executors.local import LocalExecutor
from dnntrain.store.run_store import RunStore
from dnntrain.studies.presets import load_preset
from dnntrain.studies.progress import ProgressDisplay
from dnntrain.studies.runner import StudyRunner


def main() -> None:
    """Run it, with plain progress lines."""
    from rich.console import Console

    study = load_preset(sys.argv[1])
    executor = LocalExecutor(device="cpu")
    started = time.process_time()
    StudyRunner(study, RunStore(Path("runs"))).run(executor, ProgressDisplay(Console(stderr=True)))
    own = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"coordinator_s": own, "peak_mib": peak}))


if __name__ == "__main__":
    main()
