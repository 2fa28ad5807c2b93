"""The networks that a preset's arms reuse: its key `pretrain`.

pretrain: {data: mnist, epochs: 5}                           # one network: reuse_from: pretrain
pretrain: {similar: {data: mnist}, other: resnet18}          # several: reuse_from: pretrain.similar
"""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.studies.feasibility import check_run
from dnntrain.studies.preset_settings import read_settings
from dnntrain.studies.study import PRETRAIN, check_name
from dnntrain.studies.yaml_document import Document
from dnntrain.transfer_learning.image_models import ARCHITECTURES


def read_networks(document: Document, home: DataLocation | None) -> dict[str, RunSpec | str]:
    """The networks by the value of `reuse_from` that stands for each; empty without the key.

    Args:
        document: The preset.
        home: Where data sets are found.

    Raises:
        InputError: A name or the settings of a network cannot be; with file, line, and key.
    """
    value = document.content.get(PRETRAIN)
    if value is None:
        return {}
    # no setting is a mapping or an image network's name, so what contains one has named networks
    given = value.values() if isinstance(value, Mapping) else []
    if not any(isinstance(network, Mapping) or str(network) in ARCHITECTURES for network in given):
        with document.at(PRETRAIN):
            return {PRETRAIN: read_network(value, document.where, home)}
    networks = {}
    for name, network in value.items():
        with document.at(PRETRAIN, name):
            networks[f"{PRETRAIN}.{check_name(name, 'network')}"] = read_network(network, document.where, home)
    return networks


def read_network(value: object, where: str, home: DataLocation | None) -> RunSpec | str:
    """A network to reuse: settings to train first, or a pretrained network's name."""
    if isinstance(value, str):
        if value not in ARCHITECTURES:
            raise InputError(f"unknown network '{value}'{did_you_mean(value, ARCHITECTURES)}")
        return value
    spec = RunSpec.parse(read_settings(value, where))
    check_run(spec, spec.source.outline(home))
    return spec
