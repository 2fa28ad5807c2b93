"""What dnntrain costs on this machine's GPU, next to plain PyTorch and JAX, and whether it agrees with the CPU.

    make bench-gpu

Prints tables of whole epochs, single steps, agreement and targets, and writes them to a JSON file. It needs dnntrain's
dependencies and a GPU; JAX is left out where it is not installed. Exit code 1 if figures disagree or a measurement
fails; 2 if there is no GPU. A missed target is no failure.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=420, metavar="SECONDS", help="the time that it may take (420)")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats; tiny ones on a CPU")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tests only this program")
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="these sections, as agreement or dense")
    parser.add_argument("--json", type=Path, default=Path("build/bench/gpu.json"), help="build/bench/gpu.json")
    return parser.parse_args()


def main() -> int:
    """Measure everything, print the tables, and return the exit code."""
    arguments = parse()
    prepare(arguments.json.parent)
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(missing(torch.version.cuda), file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    from tests.bench.gpu.measure import measure

    return measure(torch.device(arguments.device), arguments.quick, arguments.budget, arguments.json, arguments.only)


def prepare(folder: Path) -> None:
    """Prepare this process as a worker is, and keep caches in the folder. Must come before torch is loaded."""
    from dnntrain.executors.environment import prepare_this_process

    prepare_this_process()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"):
        os.environ.setdefault(name, str((folder / "cache" / name.lower()).absolute()))


def missing(cuda: str | None) -> str:
    """What a GPU run lacks here."""
    if cuda is None:
        return "bench-gpu: this PyTorch is built without CUDA; install one that has it, on a machine with an NVIDIA GPU"
    return f"bench-gpu: PyTorch (CUDA {cuda}) finds no GPU here; see what nvidia-smi says"


if __name__ == "__main__":
    sys.exit(main())
