"""Arms differ in what the study declares; what follows from it is listed."""

from __future__ import annotations

from typing import Any

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.studies.confounds import check_declared, implied_changes, parameter_count
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
    with pytest.raises(InputError, match="lr differs from the baseline"):
        check_declared(RunSpec.parse({"act": "elu", "lr": 0.1}), RunSpec.parse({}), {"act"})
    check_declared(RunSpec.parse({"act": "elu", "seed": 5}), RunSpec.parse({}), {"act"})


def test_a_preset_with_an_undeclared_difference_does_not_start() -> None:
    with pytest.raises(InputError, match=r"p\.yaml:6: factors\.selu: lr differs"):
        read_preset(PRESET, "p.yaml")
    assert len(read_preset(PRESET.replace("[act]", "[act, lr]"), "p.yaml").arms) == 3
    with pytest.raises(InputError, match="did you mean 'act'"):
        read_preset(PRESET.replace("[act]", "[actt]"), "p.yaml")


def test_what_a_change_brings_along_is_listed() -> None:
    relu = RunSpec.parse({"hidden": "7,5"})
    assert implied_changes(relu.changed(lr=0.1), relu) == []
    assert implied_changes(relu.changed(act="selu"), relu) == ["init lecun by its activation, not he"]
    no_bias, parameters = implied_changes(relu.changed(bn=True), relu)
    assert no_bias == "no bias in hidden layers"
    assert parameters == "5,607 parameters, not 5,595"
