"""A recorded run as a model: predicts from raw inputs with the weights that it kept, without its training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, DatasetInfo, DataSource, OwnSource
from dnntrain.data.array_preprocessing import ArrayPreprocessing
from dnntrain.data.dataset import InputArray, InputKind
from dnntrain.data.image_folder import ImageFolder
from dnntrain.data.image_preprocessing import ImagePreprocessing
from dnntrain.data.images import with_progress
from dnntrain.data.npz import Npz
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.data.user_callable import MODULE_PREFIX, UserCallable
from dnntrain.engine.network import Network, layer_specs, load_layers, tensor_names
from dnntrain.engine.padding import evaluation_rows
from dnntrain.engine.scaling import scaled_as_recorded
from dnntrain.errors import InputError
from dnntrain.nn.layer import ForwardContext
from dnntrain.store.code import runnable_code
from dnntrain.store.records import RunRecord, TargetScale
from dnntrain.store.run_store import RunStore
from dnntrain.techniques.augmentation.test_time import TestTimeFlips
from dnntrain.techniques.losses import choose_loss
from dnntrain.techniques.losses.plain import ClassLoss
from dnntrain.transfer_learning.backbone import Backbone
from dnntrain.transfer_learning.resolve import resolve_backbone
from dnntrain.transfer_learning.stages import stages_of
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.reference import pinned
from dnntrain.utils.user_code.sources import UserCode

CPU = "cpu"
FEW_BATCHES = 20
"""Progress is shown for more batches than this."""
TYPES: dict[InputKind, type[np.generic]] = {"images": np.uint8, "numbers": np.float32, "tokens": np.int32}


@dataclass(frozen=True, eq=False)
class RecordedModel:
    """A finished run with its network. Its inputs are as in the data; it fills gaps and scales them itself."""

    record: RunRecord
    spec: RunSpec
    info: DatasetInfo
    """The data that it was trained on."""
    weights: Mapping[str, np.ndarray]
    """All that its weights file holds, by name."""
    network: Network
    """Its trained layers (P = 1). In a transfer they come after the frozen layers of the backbone."""
    backbone: Backbone | None
    """What the run reuses; None if it is no transfer."""
    frozen: int
    """How many layers of the backbone come first."""
    target: TargetScale | None
    """What turns outputs into the target's unit; None for classes, and for old records without predictions."""
    code: tuple[UserCode, ...] = ()
    """The user's code that the network is made of."""

    @classmethod
    def load(cls, store: RunStore, run_id: str, home: DataLocation, trust_code: bool = False) -> Self:
        """Build the network of a recorded run, with its weights.

        Args:
            store: Where the run is recorded.
            run_id: The run.
            home: Where the image model that it reuses is found.
            trust_code: Whether to run the recorded code of a user's module if the code here is another.

        Raises:
            InputError: The run is not there or did not finish, its code may not be run, or its weights do not fit.
        """
        record = store.read(run_id)
        if record.status != "finished":
            raise InputError(f"run {run_id} {record.status}, so it has no model; name one that finished")
        weights, code = store.weights(run_id), network_code(store, record, trust_code)
        backbone, frozen = None, 0
        with pinned(code):
            spec = RunSpec.from_record(record.settings)
            info = data_info(record, spec.source)
            if spec.reuse_from:
                backbone = resolve_backbone(spec.reuse_from, store, home).for_run(spec)
                frozen = stages_of(spec, backbone)[-1].frozen
                example = np.zeros((1, *info.shape), TYPES[info.kind])
                shape = backbone.outputs(example, spec, frozen, torch.device(CPU)).shape[1:]
                layers = backbone.trained_layers(spec, frozen, info._replace(shape=shape, kind="numbers"))
            else:
                layers = layer_specs(spec, info)
            if missing := set(tensor_names(layers)) - weights.keys():
                file = store.weights_file(run_id)
                raise InputError(f"{file}: has no tensor {min(missing)}, which its network needs")
            network = Network(spec, layers, load_layers(layers, weights, torch.device(CPU)))
        target = None if info.classes else target_scale(record, store)
        return cls(record, spec, info, weights, network, backbone, frozen, target, code)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, indexed by class number; empty for regression."""
        return self.info.classes

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How new data become its inputs; InputError if an old record does not say so."""
        if self.record.data.preprocessing is None:
            return preprocessing_of_old(self.record, self.spec.source, self.info)
        try:
            return Preprocessing.parse(self.record.data.preprocessing)
        except InputError as error:
            raise InputError(f"run {self.record.run}: {error}") from None

    def outputs(self, inputs: InputArray, progress: bool = False) -> np.ndarray:
        """The network's outputs, as in predictions.npz: with test-time augmentation if it is on, without dropout.

        Args:
            inputs: (N, *shape), as `preprocessing` reads them: levels, numbers with nan for gaps, or tokens.
            progress: Whether to show progress on stderr if this takes long.

        Returns:
            float32 (N, units): logits, or numbers in standard deviations from the mean.
        """
        mirrored = bool(self.spec.techniques(TestTimeFlips))
        loss = choose_loss(self.record.data.task, self.spec.output)
        rows = evaluation_rows(self.network.layer_specs) if self.backbone is None else 64
        starts: Iterable[int] = range(0, len(inputs), rows)
        if progress:
            what = f"batches of {rows} examples"
            starts = with_progress(starts, -(-len(inputs) // rows), what, "predicting", FEW_BATCHES)
        parts = []
        with torch.no_grad(), pinned(self.code):
            for start in starts:
                chunk = inputs[start : start + rows]
                outputs = self.forward(chunk)
                if mirrored:
                    outputs = loss.average((outputs, self.forward(chunk[..., ::-1])), 2)
                parts.append(outputs[0].cpu().numpy())
        return np.concatenate(parts)

    def forward(self, inputs: InputArray) -> torch.Tensor:
        """The outputs (1, N, units) for a batch of inputs (N, *shape), without test-time augmentation."""
        values, device = np.ascontiguousarray(inputs), torch.device(CPU)
        if self.backbone:
            x = torch.from_numpy(self.backbone.outputs(values, self.spec, self.frozen, device)).flatten(1)
        else:
            x = scaled_as_recorded(torch.from_numpy(values).flatten(1), self.weights, self.spec.scale)
        return self.network.forward(x.unsqueeze(0), ForwardContext(len(values)))

    def log_probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """The logarithm of each class's probability, float64 (N, classes), from outputs (N, units)."""
        loss = choose_loss(self.record.data.task, self.spec.output)
        assert isinstance(loss, ClassLoss)
        found: np.ndarray = loss.log_probabilities(torch.from_numpy(outputs).double().unsqueeze(0))[0].T.numpy()
        return found

    def to_numbers(self, outputs: np.ndarray) -> np.ndarray:
        """Predictions in the target's unit, float64 (N,), from the outputs (N, 1) of a regression.

        Raises:
            InputError: An old record does not say what the unit is.
        """
        if self.target is None:
            run = self.record.run
            raise InputError(f"run {run}: recorded without the target's mean; `dnntrain runs evaluate {run}` adds it")
        numbers: np.ndarray = outputs[:, 0].astype(np.float64) * self.target.deviation + self.target.mean
        return numbers

    def probabilities(self, inputs: InputArray) -> np.ndarray:
        """Each class's probability, float64 (N, classes), for inputs (N, *shape)."""
        found: np.ndarray = np.exp(self.log_probabilities(self.outputs(inputs)))
        return found

    def numbers(self, inputs: InputArray) -> np.ndarray:
        """Predictions in the target's unit, float64 (N,), for inputs (N, *shape)."""
        return self.to_numbers(self.outputs(inputs))


def network_code(store: RunStore, record: RunRecord, trust_code: bool) -> tuple[UserCode, ...]:
    """The code of a run's network, if it may be run. The function that made its data is not needed."""
    data = str(record.settings["data"]).removeprefix(MODULE_PREFIX)
    needed = [code for code in record.code if code.reference != data]
    return runnable_code(store.code, record.model_copy(update={"code": needed}), trust_code=trust_code)


def data_info(record: RunRecord, source: DataSource) -> DatasetInfo:
    """What a run's network knows about its data."""
    data = record.data
    says_kind = "kind" in data.model_fields_set or isinstance(source, OwnSource)
    kind: InputKind = data.kind if says_kind else "images"  # as all named data sets of old records
    classes = tuple(data.classes)
    return DatasetInfo(tuple(data.shape), classes, data.train_examples, 0, data.test_examples, kind, data.n_tokens)


def target_scale(record: RunRecord, store: RunStore) -> TargetScale | None:
    """The mean and deviation of a run's target, from its record or, if that is older, from its predictions."""
    if record.target:
        return record.target
    predictions = store.predictions(record.run)
    if predictions is None or not predictions.is_complete:
        return None
    info = predictions.info["test"]
    return TargetScale(mean=info.mean, deviation=info.deviation)


def preprocessing_of_old(record: RunRecord, source: DataSource, info: DatasetInfo) -> Preprocessing:
    """The preprocessing of a record that lacks it, as far as the rest of the record says.

    Raises:
        InputError: It does not: of a table, the order of columns and the categories are not known, and of images that
            do not have 8 bits, the depth.
    """
    known_kind = "kind" in record.data.model_fields_set or not isinstance(source, OwnSource)
    eight_bits = not any("-bit images" in note for note in record.data.notes)
    if known_kind and info.kind == "images" and eight_bits:
        return ImagePreprocessing(shape=info.shape, fit=source.fit if isinstance(source, ImageFolder) else "stretch")
    if known_kind and info.kind != "images" and isinstance(source, Npz | UserCallable):
        first = isinstance(source, Npz) and source.inputs == "auto"
        return ArrayPreprocessing(shape=info.shape, channels_first=first, n_tokens=info.n_tokens)
    raise InputError(
        f"run {record.run}: recorded by an older version, without how its data became inputs; train it again"
    )
