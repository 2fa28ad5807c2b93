"""How fast this machine trains, compared with what the planner predicts: learned from the studies that it trains.

The planner's prices are those of one processor, and others take up to four times as long. What a study took corrects
them for the next one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dnntrain.data.split import training_count
from dnntrain.errors import InputError
from dnntrain.executors.environment import processor_name
from dnntrain.executors.jobs import RunsFinished
from dnntrain.executors.planner import StepCost
from dnntrain.store.records import DatasetRecord
from dnntrain.utils.files import read_json, write_atomic
from dnntrain.utils.user_dirs import cache_dir

LEAST_SECONDS = 2.0
"""Less training than this says too little: the first steps of a process are slow."""
MEMORY_SECONDS = 600.0
"""So much earlier training counts at most, so that a machine that has changed is known again after some studies."""
PRICED_ELSEWHERE = "on a recent processor (up to four times that on an older or busy one)"
PRICED_HERE = "at the speed of this machine's last studies"


class Speed(NamedTuple):
    """The time that training takes here, as a multiple of what is predicted."""

    ratio: float
    seconds: float
    """The processor time that was measured for it, at most `MEMORY_SECONDS`."""

    def with_study(self, predicted: float, measured: float) -> Speed:
        """The mean, weighted by the time measured, with one more study."""
        total = self.seconds + measured
        ratio = (self.ratio * self.seconds + measured / predicted * measured) / total
        return Speed(ratio, min(total, MEMORY_SECONDS))


def speed_file() -> Path:
    """Where speeds are kept, by the name of the processor: a home folder may be shared by machines."""
    return cache_dir() / "dnntrain" / "speed.json"


def known_speeds() -> dict[str, Any]:
    """The speeds that are kept; none if the file cannot be read, since it is only a cache."""
    try:
        content = read_json(speed_file())
        return content if isinstance(content, dict) else {}
    except InputError:
        return {}


def known_speed() -> Speed | None:
    """This machine's speed; None before its first study."""
    try:
        return Speed(*map(float, known_speeds()[processor_name()]))
    except (KeyError, TypeError, ValueError):
        return None


def priced_on() -> str:
    """Whose speed predicted times are for."""
    return PRICED_HERE if known_speed() else PRICED_ELSEWHERE


def relative_time() -> float:
    """What a predicted time is multiplied with here."""
    speed = known_speed()
    return speed.ratio if speed else 1.0


@dataclass
class TrainingTime:
    """The processor time that a study's runs took, next to what was predicted for them."""

    predicted: float = 0.0
    measured: float = 0.0

    def add(self, event: RunsFinished) -> None:
        """Add runs that have finished, if a CPU trained them from the start to the end as they are priced."""
        job, where = event.job, event.environment
        here = where.get("device") == "cpu" and where.get("cpu") == processor_name()
        if not here or job.compiles or job.specs[0].reuse_from:
            return
        data = DatasetRecord.model_validate(event.data)
        for run in event.runs:
            spec = run.spec
            price = StepCost.of(spec)
            n_train = training_count(data.n_validation or spec.val, spec.train_size, data.train_examples)
            # as in `predicted_seconds`: the forward pass is a third of a step
            steps = (n_train + (data.train_examples - n_train) / 3) / spec.batch_size * len(run.history)
            self.predicted += steps * (price.step / len(job.specs) + price.member)
            self.measured += run.cpu_seconds

    def learn(self) -> None:
        """Keep what was learned for the next study; where the cache folder cannot be written, nothing is kept."""
        if self.predicted <= 0 or self.measured < LEAST_SECONDS:
            return
        speed = (known_speed() or Speed(1.0, 0.0)).with_study(self.predicted, self.measured)
        try:
            speed_file().parent.mkdir(parents=True, exist_ok=True)
            write_atomic(speed_file(), [json.dumps(known_speeds() | {processor_name(): speed})])
        except OSError:
            return
