"""An arm that lacks seeds, and an arm that lost one run: what they do to the error and to the other arms."""

from __future__ import annotations

import numpy as np

from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import moderate, moderate_alone
from tests.bench.error_rates.checks import Check, at_least, at_most, number_of_studies
from tests.bench.error_rates.methods import critical, moderated_margins

ARMS = 5

MISSING_SEEDS = {(5, 1): (0.54, 0.30), (5, 2): (0.54, 0.19), (10, 2): (0.93, 0.78)}
"""Seeds, and how many of them one arm lacks; the reference's power at 2 SD of a complete arm and of this one."""

LOST_ARMS = (4, 5, 8, 20)
LOSSES = (10.0, 75.0)
"""How many SDs of a run below the others a lost run counts."""


def incomplete_arm(scale: float) -> list[Check]:
    """Simulate studies of five arms of which the last lacks seeds."""
    checks = []
    studies = number_of_studies(6_000, scale)
    print(f"\nFive arms, the last without its last seeds; {studies:,} studies a row\n")
    print(f"{'':32}{'error %':>9}   power at 2 SD (reference): complete arm, incomplete arm")
    for (n, missing), reference in MISSING_SEEDS.items():
        for deviation in (1.0, 4.0):
            random = np.random.default_rng([19, n, missing, int(deviation)])
            values = random.standard_normal((studies, ARMS + 1, n))
            values[:, -1] *= deviation
            means, margins = judge_incomplete(values[:, 1:] - values[:, :1], missing)
            error = 100 * float((np.abs(means) > margins).any(1).mean())
            first, last = (100 * float((np.abs(means[:, i] + 2) > margins[:, i]).mean()) for i in (0, -1))
            at = f"n = {n}, {missing} missing, SD {deviation:g}"
            print(f"{at:32}{error:9.2f}   {first:.1f} ({100 * reference[0]:.0f})", end="")
            print(f"   {last:.1f} ({100 * reference[1]:.0f})" if deviation == 1 else "", flush=True)
            checks.append(at_most("error %, an arm lacks seeds", at, error, 6.6, studies))
            if deviation == 1:
                checks.append(at_least("power of an arm that lacks seeds", at, last, 100 * reference[1] - 3, studies))
            checks.append(at_least("power beside an arm that lacks seeds", at, first, 100 * reference[0] - 3, studies))
    return checks


def judge_incomplete(differences: Array, missing: int) -> tuple[Array, Array]:
    """Means and half widths, [study, arm], where the last arm lacks its last seeds."""
    arms, n = differences.shape[-2:]
    complete = moderate(differences[:, :-1])
    alone = moderate_alone(differences[:, -1, : n - missing], complete.pool, arms)
    means, errors, df = (
        np.concatenate([getattr(complete, field), getattr(alone, field)], -1) for field in ("mean", "se", "df")
    )
    return means, critical(df, arms, n) * errors


def one_lost_run(scale: float) -> list[Check]:
    """Simulate five seeds, of which the last arm lost one: the intervals and power of the other arms."""
    checks = []
    studies = number_of_studies(6_000, scale)
    print(f"\nFive seeds; the last arm lost one run; {studies:,} studies a row; the other arms\n")
    print(f"{'':32}{'width, median ratio':>20}{'found at 2 SD %':>18}{'without the loss':>18}{'ratio %':>9}")
    for arms in LOST_ARMS:
        for loss in LOSSES:
            random = np.random.default_rng([20, arms, int(loss)])
            values = random.standard_normal((studies, arms + 1, 5))
            differences = values[:, 1:] - values[:, :1]
            whole = moderated_margins(differences)[:, :-1]
            differences[:, -1, -1] -= loss
            beside = moderated_margins(differences)[:, :-1]
            means = differences.mean(-1)[:, 0] + 2
            ratio = float(np.median(beside / whole))
            found, before = (100 * float((np.abs(means) > margins[:, 0]).mean()) for margins in (beside, whole))
            at = f"{arms} arms, {loss:g} SD lost"
            print(f"{at:32}{ratio:20.3f}{found:18.1f}{before:18.1f}{100 * found / before:9.0f}", flush=True)
            checks.append(Check("width beside a lost run, % changed", at, 100 * abs(ratio - 1), 10))
            checks.append(at_least("power beside a lost run, % of that without", at, 100 * found / before, 80, studies))
    return checks
