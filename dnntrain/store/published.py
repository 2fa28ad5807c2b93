"""Published values that an arm is compared with, as study.json keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PublishedValue(BaseModel):
    """A published value of a metric, in the metric's own unit."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    mean: float
    sd: float | None = Field(None, ge=0)
    """Standard deviation over the published runs; None if it was not published."""
    n: int | None = Field(None, ge=1)
    """The number of published runs; None if it was not published."""

    @model_validator(mode="after")
    def _sd_needs_runs(self) -> Self:
        if self.sd is not None and self.n == 1:
            raise ValueError("sd needs an n of 2 or more: one run has none")
        return self

    @property
    def runs(self) -> int:
        """The number of published runs. Where it was not published, the fewest possible."""
        return self.n or (1 if self.sd is None else 2)


def published_by_metric(given: Mapping[str, Any], metric: str) -> dict[str, dict[str, Any]]:
    """An arm's published values in full: `{val_acc: {mean: 0.87, sd: 0.004, n: 5}}`.

    Args:
        given: In full, or in short as `{val_acc: 0.87, sd: 0.004, n: 5}`. In short form, n is that of every metric. The
            sd is that of the only metric, or among several that of `metric`.
        metric: What the study is judged by.
    """
    metrics = [key for key in given if key not in ("sd", "n")]
    owner = metrics[0] if len(metrics) == 1 else metric
    values = {}
    for key in metrics:
        shared = {part: given[part] for part in ("sd", "n") if part in given and (part == "n" or key == owner)}
        values[key] = dict(given[key]) if isinstance(given[key], Mapping) else {"mean": given[key]} | shared
    return values


def published_values(recorded: Mapping[str, PublishedValue | float], metric: str) -> dict[str, PublishedValue]:
    """Published values by metric, from a record in full or in short form; see `published_by_metric`."""
    given = {
        key: value.model_dump(exclude_unset=True) if isinstance(value, PublishedValue) else value
        for key, value in recorded.items()
    }
    return {key: PublishedValue(**value) for key, value in published_by_metric(given, metric).items()}
