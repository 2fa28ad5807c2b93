"""The settings of one training run: a frozen object that holds data source and techniques as objects.

Flags, presets, and records write the same settings flat, one key per setting: `RunSpec.parse` reads that form,
`RunSpec.settings` writes it, and `config.keys` says which keys there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from dnntrain.config.data import DataSettings
from dnntrain.config.keys import flat_model, read_flat, switch_fields, write_flat
from dnntrain.config.parsing import AutoInitializer, AutoLoss, HiddenWidths, LayerActivations
from dnntrain.config.renamed import to_new_names
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import DatasetInfo, DataSource, find_source
from dnntrain.errors import InputError
from dnntrain.metrics import VAL_LOSS, Metric, metric_of
from dnntrain.nn.precision import Precision
from dnntrain.techniques.accumulation import Accumulation
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import CATALOGUE, Choice, Switch, Technique
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.dropout import DropoutBase, MonteCarloDropout
from dnntrain.techniques.early_stopping import BEST, BestEpoch, EarlyStopping, read_select
from dnntrain.techniques.initializers import Initializer
from dnntrain.techniques.losses import TrainingLoss
from dnntrain.techniques.networks.base import Net, fill_auto
from dnntrain.techniques.normalization import BatchNorm, Normalization
from dnntrain.techniques.optimizers.base import Optimizer
from dnntrain.techniques.regularization import WeightRegularizer
from dnntrain.techniques.schedules.base import Schedule, Warmup
from dnntrain.utils.fields import field_extra, format_validation_error, hyperparameter
from dnntrain.utils.plugins import plugin_references
from dnntrain.utils.user_code.reference import CodeReference

S = TypeVar("S", bound=Switch)


def _in_catalogue_order(switches: tuple[S, ...]) -> tuple[S, ...]:
    """The switches in the catalogue's order, which is the order in which they act; ValueError for one given twice."""
    names = [switch.name for switch in switches]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice} is given twice")
    return tuple(sorted(switches, key=lambda switch: [*CATALOGUE].index(switch.name)))


class RunSpec(DataSettings, TransferSettings):
    """The settings of one training run.

    Two specs are equal when they describe the same run, and a spec is hashable. A technique that is off is None::

        RunSpec(hidden=(50, 50), optimizer=SGD(momentum=0.9), norm=BatchNorm(), dropout=Dropout(rate=0.1))
        RunSpec.parse({"hidden": "2x50", "optimizer": "sgd:momentum=0.9", "bn": True, "dropout": 0.1})
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, defer_build=True)

    net: Annotated[Net, BeforeValidator(Net.parse), PlainSerializer(str)] = hyperparameter(
        "mlp", "network", essential=True
    )
    hidden: HiddenWidths = hyperparameter(
        "auto",
        "hidden layers: 300,100 or 20x100. Auto is 300,100 for net mlp, 128 for cnn, none for others",
        essential=True,
    )
    act: LayerActivations = hyperparameter(
        "auto",
        "activation, or one for each layer. Commas separate layers: relu,elu,tanh. Auto is relu; your own module "
        "keeps its own",
        essential=True,
    )
    init: AutoInitializer = hyperparameter(
        "auto", "initializer of the hidden layers. Auto follows the activation", per_member=True
    )
    optimizer: Annotated[Optimizer, BeforeValidator(Optimizer.parse), PlainSerializer(str)] = hyperparameter(
        "sgd", "optimizer", essential=True
    )
    output: Literal["softmax", "sigmoid"] = hyperparameter(
        "softmax", "softmax with one unit per class, or sigmoid with one unit for two classes"
    )
    loss: AutoLoss = hyperparameter(
        "auto",
        "loss to train on. Auto is cross_entropy, or squared in a regression, as in validation and test",
    )
    lr: float = hyperparameter(0.01, "learning rate η₀", gt=0, le=1e6, per_member=True, essential=True)
    schedule: Annotated[Schedule, BeforeValidator(Schedule.parse), PlainSerializer(str)] = hyperparameter(
        "constant", "learning-rate schedule", per_member=True, essential=True
    )
    batch_size: int = hyperparameter(32, "examples per mini-batch", ge=1, le=65_536, essential=True, short="b")
    precision: Precision = hyperparameter(
        "fp32",
        "products and convolutions in fp32, tf32 (NVIDIA GPUs), or bf16. fp32 is torch's own default, in which cuDNN's "
        "convolutions use tf32",
    )
    epochs: int = hyperparameter(
        10, "maximum number of epochs", ge=1, le=100_000, per_member=True, essential=True, short="e"
    )
    select: Annotated[str, BeforeValidator(read_select)] = hyperparameter(
        "auto",
        "which epoch's weights are kept: last, best:METRIC (the best by a validation metric, such as best:val_acc), "
        "or auto: the best by early stopping's own metric if that is on and restores it, else the last",
        per_member=True,
    )
    seed: int = hyperparameter(0, "seed of the run's random streams", ge=0, lt=2**63, per_member=True)

    replicate: int = hyperparameter(
        0,
        "draw other random numbers for the same seeds and settings (1, 2, …): shows what chance alone changes",
        ge=0,
        lt=2**63,
        per_member=True,
    )

    source: InstanceOf[DataSource]
    """The data source that `data` names, with its options. Without options it follows from `data`."""
    clipping: InstanceOf[Clipping] | None = None
    dropout: InstanceOf[DropoutBase] | None = None
    mc_dropout: InstanceOf[MonteCarloDropout] | None = None
    norm: InstanceOf[Normalization] | None = None
    regularizers: Annotated[tuple[InstanceOf[WeightRegularizer], ...], AfterValidator(_in_catalogue_order)] = ()
    warmup: InstanceOf[Warmup] | None = None
    early_stopping: InstanceOf[EarlyStopping] | None = None
    other_switches: Annotated[tuple[InstanceOf[Switch], ...], AfterValidator(_in_catalogue_order)] = ()
    """Switches of families that have no field of their own here."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = fill_auto(values)
        return values if "source" in values else values | {"source": find_source(values.get("data", "fashion-mini"))}

    @model_validator(mode="after")
    def _check_consistent(self) -> Self:
        if self.source != find_source(self.data, self.source.model_dump(exclude={self.source.place})):
            raise ValueError(f"source {self.source!r} is not the data set '{self.data}'")
        self.net.check(self.hidden, self.act)
        self.check_reuse(self.epochs)
        exclusive: dict[str, str] = {}
        for switch in self.switches:
            if switch.exclusive and (other := exclusive.setdefault(switch.family, switch.name)) != switch.name:
                raise ValueError(f"{other} and {switch.name} exclude each other: give one")
        if conflict := self.optimizer.conflict(self.schedule, self.switches):
            raise ValueError(conflict)
        if self.mc_dropout and not self.dropout:
            raise ValueError("mc_dropout needs dropout or alpha_dropout")
        if self.select.startswith(BEST) and self.early_stopping and not self.early_stopping.restore:
            raise ValueError(f"select {self.select} keeps the best epoch, early_stop_restore off the last: give one")
        self._check_batch_norm()
        return self

    def _check_batch_norm(self) -> None:
        if not isinstance(self.norm, BatchNorm):
            return
        for key in ("batch_size", "train_size"):
            if getattr(self, key) == 1:
                raise ValueError(f"bn: needs {key} of at least 2: one example has no variance")
        if (ghost := self.norm.ghost) and 2 * ghost > self.batch_size:
            raise ValueError(f"bn_ghost {ghost}: a batch of {self.batch_size} has no two such parts")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """The run that flat settings describe.

        Args:
            settings: keys and values as in a preset; text is accepted wherever it is unambiguous ("1e-3", "on").

        Raises:
            InputError: names the key, the value, and what would be right.
        """
        try:
            return cls(**read_flat(cls, settings))
        except ValidationError as error:
            raise InputError(format_validation_error(error)) from None
        except UnicodeError:
            raise InputError("a setting contains invalid Unicode") from None

    @classmethod
    def from_record(cls, settings: Mapping[str, Any]) -> Self:
        """The run that recorded settings describe; those of older versions may have other names."""
        return cls.parse(to_new_names(settings))

    def changed(self, **settings: Any) -> Self:
        """This run with some flat settings changed, validated again."""
        return self.parse(self.settings() | settings)

    def settings(self) -> dict[str, Any]:
        """Every flat key with its value as plain text, number, or None; `parse` reads it back."""
        return write_flat(self, self.source, self.switches)

    def references(self) -> tuple[CodeReference, ...]:
        """The user's own code that the run uses, and that of plug-ins."""
        own = (reference for part in self._parts() for reference in part.references())
        return tuple(dict.fromkeys([*own, *self.plugin_references()]))

    def plugin_references(self) -> tuple[CodeReference, ...]:
        """What the run uses of plug-ins: techniques, and the metrics that it watches."""
        used = [type(each) for each in (*self._parts(), *self.watched.values())]
        return tuple(dict.fromkeys(reference for each in used for reference in plugin_references(each)))

    def _parts(self) -> list[DataSource | Technique]:
        fields = (part for _, value in self for part in (value if isinstance(value, tuple) else (value,)))
        return [part for part in fields if isinstance(part, DataSource | Technique)]

    @property
    def stream_seed(self) -> int:
        """The seed that keys the run's random streams: its own, or for a replicate another one below 2**63."""
        if not self.replicate:
            return self.seed
        digest = hashlib.sha256(f"{self.seed}/{self.replicate}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    @property
    def watched(self) -> dict[str, Metric]:
        """The metrics that the schedule, early stopping, or `select` watches, by the setting that names them."""
        columns = {}
        if self.schedule.watched_metric != VAL_LOSS:  # which every run records
            columns[f"schedule {self.schedule}"] = self.schedule.watched_metric
        if self.early_stopping:
            columns[f"early_stop_metric {self.early_stopping.metric}"] = self.early_stopping.metric
        if self.select.startswith(BEST):
            columns[f"select {self.select}"] = self.select.removeprefix(BEST)
        return {setting: metric_of(column) for setting, column in columns.items()}

    @property
    def watched_metrics(self) -> list[Metric]:
        """Those among them that runs do not record anyway."""
        metrics = {metric.name: metric for metric in self.watched.values()}
        return [metric for metric in metrics.values() if not metric.recorded]

    @property
    def best_epoch(self) -> BestEpoch | None:
        """How the epoch is found whose weights are kept; None if that is the last one."""
        if self.select.startswith(BEST):
            return BestEpoch(self.select.removeprefix(BEST))
        stop = self.early_stopping
        return stop.best_epoch if self.select == "auto" and stop and stop.restore else None

    @property
    def switches(self) -> tuple[Switch, ...]:
        """The switches that are on, in the order of their keys."""
        held = (getattr(self, field) for field in dict.fromkeys(switch_fields(type(self)).values()))
        return tuple(switch for value in held for switch in (value if isinstance(value, tuple) else (value,)) if switch)

    @property
    def batches_per_step(self) -> int:
        """Mini-batches whose gradients make one optimizer step."""
        return next((accumulation.batches for accumulation in self.techniques(Accumulation)), 1)

    def techniques(self, family: type[S]) -> tuple[S, ...]:
        """The switches of a family that are on."""
        return tuple(switch for switch in self.switches if isinstance(switch, family))

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One activation for each unit of the network: convolution blocks, then hidden dense layers."""
        return self.act * (self.net.conv_units + len(self.hidden)) if len(self.act) == 1 else self.act

    def n_outputs(self, outline: DatasetInfo) -> int:
        """Units of the output layer; InputError for a sigmoid where there are not two classes."""
        if self.output == "softmax":
            return outline.n_outputs
        if len(outline.classes) != 2:
            raise InputError(f"output sigmoid: for two classes, and there are {len(outline.classes) or 'none'}")
        return 1

    def graph(self) -> str:
        """What runs must have in common to train as one population: all settings but those that a member may vary."""
        settings, keys = self.settings(), flat_keys()
        # a cycled momentum is another computation; other schedules may share a population
        cycled = {"momenta": True} if self.schedule.cycles_momentum else {}
        outside = {t.key(name) for t in switch_fields(type(self)) if not t.in_graph for name in t.model_fields}
        shared = {
            key: value is not None if field_extra(keys[key], "per_member") else value
            for key, value in settings.items()
            if key not in outside
        }
        return json.dumps(shared | cycled)


def flat_keys() -> dict[str, FieldInfo]:
    """Every flat key with its type, default, and help, in the order of recorded settings."""
    return flat_model(RunSpec).model_fields


def default_settings(net: Net | None = None) -> dict[str, Any]:
    """The flat settings of a run for which nothing is given; `hidden` and `act` are those of the network."""
    return RunSpec.parse({}).settings() | dict(net.auto if net else {})


def choice_keys() -> dict[str, type[Choice]]:
    """The keys whose value is the name of a technique, each with the family it chooses from."""
    return {family.slot: family for family in (Net, Activation, Initializer, Optimizer, TrainingLoss, Schedule)}
