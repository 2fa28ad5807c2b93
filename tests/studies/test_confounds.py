"""Arms differ in what the study declares; what follows from it is listed."""

from __future__ import annotations

from typing import Any

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.studies.confounds import check_declared, implied_changes, parameter_count
from dnntrain.studies.feasibility import equal_arms
from dnntrain.studies.presets import read_preset
from tests.support.catalogue import EVERY_TECHNIQUE
from tests.support.networks import new_network

PRESET = """
base: {act: relu}
varies: [act]
factors:
  elu: {act: elu}
  selu: {act: selu, lr: 0.1}
"""


@pytest.mark.parametrize(
    "settings", [{}, {"hidden": "none"}, {"bn": True, "bn_input": True}, *EVERY_TECHNIQUE.values()]
)
def test_parameters_are_counted_as_the_network_has_them(settings: dict[str, Any]) -> None:
    spec = RunSpec.parse({"hidden": "7,5"} | settings)
    network = new_network([spec])
    assert parameter_count(spec) == sum(p.numel() for p in network.parameters.values())


def test_an_undeclared_difference_is_refused_with_its_name() -> None:
    with pytest.raises(InputError, match=r"lr differs from the baseline \(0.1, not 0.01\)"):
        check_declared(RunSpec.parse({"act": "elu", "lr": 0.1}), RunSpec.parse({}), {"act"})
    check_declared(RunSpec.parse({"act": "elu", "seed": 5}), RunSpec.parse({}), {"act"})


def test_a_preset_with_an_undeclared_difference_does_not_start() -> None:
    with pytest.raises(InputError, match=r"p\.yaml:6: factors\.selu: lr differs"):
        read_preset(PRESET, "p.yaml")
    assert len(read_preset(PRESET.replace("[act]", "[act, lr]"), "p.yaml").arms) == 3
    with pytest.raises(InputError, match="did you mean 'act'"):
        read_preset(PRESET.replace("[act]", "[actt]"), "p.yaml")


def test_arms_on_other_examples_are_refused_unless_declared() -> None:
    text = "factors:\n  two: {classes: 'sandal,shirt', act: elu}\n"
    with pytest.raises(InputError, match=r"p\.yaml:2: factors\.two: classes differs .* varies: \[act, classes\]"):
        read_preset(text, "p.yaml")
    assert len(read_preset(f"{text}varies: [act, classes]\n", "p.yaml").arms) == 2


def test_arms_with_the_same_settings_are_named() -> None:
    text = "base: {hidden: 8}\nfactors: {relu: {act: relu}, elu: {act: elu}, ae: {act: elu, epochs: 3}, be: {act: elu}}"
    assert [*equal_arms(read_preset(text, "p.yaml"))] == [
        "arms 'baseline' and 'relu' have the same settings (act=relu, epochs=10), so they are the same runs; "
        "leave 'relu' out, or call the baseline so with `baseline: relu`",
        "arms 'elu' and 'be' have the same settings (act=elu, epochs=10), so they are the same runs; leave 'be' out",
    ]
    named = read_preset(f"{text}\nbaseline: relu", "p.yaml")
    assert [arm.name for arm in named.arms] == ["relu", "elu", "ae", "be"] and named.baseline == "relu"
    tuned = "factors: {a: {lr: {tune: [0.1, 0.2]}}, b: {lr: {tune: [0.1, 0.3]}}, c: {lr: {tune: [0.1, 0.3]}}}"
    [warning] = equal_arms(read_preset(tuned, "p.yaml"))
    assert warning.startswith("arms 'b' and 'c' have")


def test_what_a_change_brings_along_is_listed() -> None:
    relu = RunSpec.parse({"hidden": "7,5"})
    assert implied_changes(relu.changed(lr=0.1), relu) == []
    assert implied_changes(relu.changed(act="selu"), relu) == ["init lecun by its activation, not he"]
    assert implied_changes(relu.changed(hidden="none"), relu) == ["7,850 parameters, not 5,595"]
    no_bias, parameters = implied_changes(relu.changed(bn=True), relu)
    assert no_bias == "no bias in hidden layers"
    assert parameters == "5,607 parameters, not 5,595"
