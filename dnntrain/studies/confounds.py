"""Confounds: whether two arms differ only in what the study is about."""

from __future__ import annotations

from collections.abc import Collection

from dnntrain.config.spec import RunSpec
from dnntrain.engine.network import layer_specs, network_settings
from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import walk
from dnntrain.utils.fields import format_value

EXAMPLE_SETTINGS = ("data", "classes", "target", "test")
"""Settings that say which examples an arm is tested on, and for what."""


def setting_differences(arm: RunSpec, baseline: RunSpec) -> list[str]:
    """The settings in which two runs differ, apart from the seed."""
    ours, theirs = arm.settings(), baseline.settings()
    return [key for key in ours if key != "seed" and ours[key] != theirs[key]]


def check_declared(arm: RunSpec, baseline: RunSpec, declared: Collection[str]) -> None:
    """Raise InputError if the arms differ in a setting that the study did not declare."""
    for key in setting_differences(arm, baseline):
        if key not in declared:
            ours, theirs = (format_value(spec.settings()[key]) for spec in (arm, baseline))
            raise InputError(f"{key} differs from the baseline ({ours}, not {theirs}), and `varies` does not list it")


def check_same_examples(arm: RunSpec, baseline: RunSpec) -> None:
    """Raise InputError if the arms have other data, classes, or targets, so that their metrics cannot be compared."""
    differing = setting_differences(arm, baseline)
    for key in differing:
        if key in EXAMPLE_SETTINGS:
            ours, theirs = (format_value(spec.settings()[key]) for spec in (arm, baseline))
            raise InputError(
                f"{key} differs from the baseline ({ours}, not {theirs}), so the two are not tested on the same "
                f"examples; if that is meant, declare it: varies: [{', '.join(differing)}]"
            )


def implied_changes(arm: RunSpec, baseline: RunSpec) -> list[str]:
    """What the differing settings change besides: initialization, biases, the number of parameters."""
    changes = []
    ours, theirs = initializers(arm), initializers(baseline)
    if arm.init is None and arm.net.name != "module" and ours and ours != theirs:
        changes.append(f"init {ours} by its activation, not {theirs}")
    if biases(arm) != biases(baseline):
        changes.append(f"{'no' if not biases(arm) else 'a'} bias in hidden layers")
    if (own := parameter_count(arm)) != (other := parameter_count(baseline)):
        changes.append(f"{own:,} parameters, not {other:,}")
    return changes


def initializers(spec: RunSpec) -> str:
    """The distinct initializers of all layers but the output."""
    settings = network_settings(spec, spec.source.outline())
    return ", ".join(dict.fromkeys(str(settings.initializer(unit + 1)) for unit in range(len(spec.activations))))


def biases(spec: RunSpec) -> bool:
    """Whether hidden layers have biases."""
    return spec.norm is None or not spec.norm.cancels_biases


def parameter_count(spec: RunSpec) -> int:
    """The number of trained parameters."""
    return sum(layer.n_parameters for layer in walk(layer_specs(spec, spec.source.outline())))
