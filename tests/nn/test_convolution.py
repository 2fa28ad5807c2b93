"""Convolutions and pooling: against torch's modules, alone and in populations, whatever the padding rows hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from dnntrain.engine.network import initial_state
from dnntrain.errors import InputError
from dnntrain.nn import maps
from dnntrain.nn.convolution import Convolution, ConvolutionSpec, ProductConvolution
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext, Layer, Sequential, Tensors
from dnntrain.nn.layer_spec import LayerSpec, as_matrix
from dnntrain.nn.linear import DenseSpec
from dnntrain.nn.maps import channels_last, pixel_rows
from dnntrain.nn.pooling import GlobalAveragePoolSpec, PoolSpec
from dnntrain.nn.random import generator
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.nn.residual import SubsampleSpec
from dnntrain.techniques.initializers import Glorot, He, Initializer, TorchDefault

CPU = torch.device("cpu")
MEMBERS = 7


def convolution(shape: tuple[int, ...], channels: int, kernel: int = 3, stride: int = 1, padding: int = 1,
                bias: bool = True) -> ConvolutionSpec:  # fmt: skip
    return ConvolutionSpec("conv1", shape, channels, Glorot(), kernel, stride, padding, bias)


LAYERS: list[LayerSpec] = [
    convolution((1, 8, 8), 8),
    convolution((1, 5, 7), 3, kernel=5, stride=2, padding=2),
    convolution((1, 1, 1), 2, bias=False),
    convolution((3, 9, 7), 1, kernel=1, stride=2, padding=0),
    convolution((4, 8, 8), 6, kernel=1, stride=2, padding=0),
    convolution((2, 7, 5), 5, stride=2, bias=False),
    convolution((4, 1, 1), 3),
    convolution((5, 1, 6), 4, kernel=1, padding=1),
    convolution((16, 8, 8), 32),
    PoolSpec("pool", (3, 7, 5)),
    PoolSpec("pool", (1, 4, 4), "avg"),
    PoolSpec("pool", (8, 6, 6), "avg", 3),
    PoolSpec("pool", (4, 2, 2)),
    GlobalAveragePoolSpec("pool", (5, 7, 3)),
    GlobalAveragePoolSpec("pool", (1, 1, 1)),
]


CONVOLUTIONS = [spec for spec in LAYERS if isinstance(spec, ConvolutionSpec)]


def torchs(spec: LayerSpec) -> torch.nn.Module:
    """torch's own module for the layer."""
    if isinstance(spec, ConvolutionSpec):
        return torch.nn.Conv2d(spec.shape_in[0], spec.channels, spec.kernel, spec.stride, spec.padding, bias=spec.bias)
    if isinstance(spec, PoolSpec):
        return (torch.nn.MaxPool2d if spec.kind == "max" else torch.nn.AvgPool2d)(spec.size)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def parameters(spec: LayerSpec) -> Tensors:
    drawn = torch.Generator().manual_seed(1)
    return {key: torch.randn(MEMBERS, *shape, generator=drawn) for key, shape in spec.parameters.items()}


def layer_of(spec: LayerSpec, members: list[int]) -> Layer:
    return spec.build({key: tensor[members] for key, tensor in parameters(spec).items()}, {}, [], CPU)


def examples(spec: LayerSpec, rows: int, real: int, members: int = MEMBERS) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs, and the gradient of the outputs; the rows behind the real ones hold infinity and NaN."""
    drawn = torch.Generator().manual_seed(0)
    assert isinstance(spec, ConvolutionSpec | PoolSpec | GlobalAveragePoolSpec)
    x = torch.randn(members, rows, *spec.shape_in, generator=drawn)
    upstream = torch.randn(MEMBERS, rows, *spec.shape_out, generator=drawn)
    for tensor in (x, upstream):
        tensor[:, real::2], tensor[:, real + 1 :: 2] = math.inf, math.nan
    return x, upstream


def pass_through(layer: Layer, x: torch.Tensor, upstream: torch.Tensor, real: int) -> list[torch.Tensor]:
    """Outputs and the inputs' gradient, of real rows, then the parameters' gradients."""
    grads: dict[str, torch.Tensor] = {}
    outputs = layer.forward(x.clone(), ForwardContext(real, training=True)).clone()
    grad_in = layer.backward(upstream.clone(), grads)
    assert grad_in is not None
    assert grads.keys() == layer.parameters().keys()
    return [outputs[:, :real], grad_in[:, :real], *map(densify, grads.values())]


@pytest.mark.parametrize("spec", LAYERS, ids=repr)
def test_forward_and_backward_are_torchs_whatever_the_padding_holds(spec: LayerSpec) -> None:
    x, upstream = examples(spec, 16, 11)
    found = pass_through(layer_of(spec, [*range(MEMBERS)]), x, upstream, 11)
    for member in (0, MEMBERS - 1):
        module, one = torchs(spec), x[member, :11].clone().requires_grad_()
        module.load_state_dict(
            {{"kernel": "weight"}.get(key, key): tensor[member] for key, tensor in parameters(spec).items()}
        )
        expected = module(one)
        assert expected.shape[1:] == spec.shape_out
        gradients = torch.autograd.grad(expected, [one, *module.parameters()], upstream[member, :11])
        for ours, theirs in zip(found, (expected, *gradients), strict=True):
            torch.testing.assert_close(ours[member], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [(16, 16), (32, 31), (33, 1)], ids=str)
@pytest.mark.parametrize("spec", LAYERS, ids=repr)
def test_a_member_has_the_same_bits_alone_and_in_company(spec: LayerSpec, rows: tuple[int, int]) -> None:
    x, upstream = examples(spec, *rows)
    expected = pass_through(layer_of(spec, [4]), x[4:5], upstream[4:5], rows[1])
    for members in ([4, 0], [1, 4, 6], [*range(MEMBERS)]):
        found = pass_through(layer_of(spec, members), x[members], upstream[members], rows[1])
        for alone, together in zip(expected, found, strict=True):
            assert torch.equal(together[members.index(4)], alone[0])


@pytest.mark.parametrize("spec", CONVOLUTIONS, ids=repr)
def test_members_may_share_their_inputs(spec: LayerSpec) -> None:
    """As in an evaluation, where all have the same examples."""
    x, _ = examples(spec, 16, 11, members=1)
    layer = layer_of(spec, [*range(MEMBERS)])
    shared, own = layer.forward(x, ForwardContext(11)), layer.forward(x.repeat(MEMBERS, 1, 1, 1, 1), ForwardContext(11))
    assert torch.equal(shared[:, :11], own[:, :11])
    assert shared[:, :11].isfinite().all()


@pytest.mark.parametrize("spec", [convolution((1, 9, 9), 6), convolution((8, 9, 9), 6, kernel=1, padding=0)], ids=repr)
def test_convolutions_as_products_agree_with_others(spec: ConvolutionSpec) -> None:
    x, upstream = examples(spec, 16, 11)
    product, general = layer_of(spec, [*range(MEMBERS)]), Convolution("conv1", 1, spec.padding, parameters(spec))
    assert type(product) is ProductConvolution
    for one, other in zip(pass_through(product, x, upstream, 11), pass_through(general, x, upstream, 11), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert type(layer_of(convolution((2, 9, 9), 6), [0])) is Convolution


@pytest.mark.parametrize("spec", LAYERS, ids=repr)
def test_the_lowest_layer_computes_no_gradient_of_the_inputs(spec: LayerSpec) -> None:
    layer, (x, upstream) = layer_of(spec, [0, 1]), examples(spec, 16, 16)
    layer.connect(needs_input_grad=False, owns_input=False)
    layer.forward(x[:2], ForwardContext(training=True))
    assert layer.backward(upstream[:2], {}) is None


def test_members_at_once_have_the_numbers_of_members_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an accelerator does."""
    for spec in CONVOLUTIONS:
        x, upstream = examples(spec, 16, 11)
        expected = pass_through(layer_of(spec, [*range(MEMBERS)]), x, upstream, 11)
        with monkeypatch.context() as patch:
            patch.setattr(maps, "in_turn", torch.vmap)
            found = pass_through(layer_of(spec, [*range(MEMBERS)]), x, upstream, 11)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


# ---- memory


def test_maps_stay_channels_last() -> None:
    """No layer makes the next one copy, forward or backward."""
    shape = (2, 8, 8)
    specs: list[LayerSpec] = [
        ReshapeSpec("maps", shape),
        convolution(shape, 4),
        SubsampleSpec("shortcut", (4, 8, 8), 6, 2),
        PoolSpec("pool", (6, 4, 4)),
        PoolSpec("pool", (6, 2, 2), "avg"),
        ReshapeSpec("flat", (6,)),
    ]
    layers = Sequential([spec.build(parameters(spec), {}, [], CPU) for spec in specs])
    layers.connect(needs_input_grad=True, owns_input=False)
    h, seen = torch.randn(MEMBERS, 16, 128), []
    for layer in layers:
        h = layer.forward(h, ForwardContext(training=True))
        seen.append(h)
    g: torch.Tensor | None = torch.randn(MEMBERS, 16, 6)
    for layer in reversed(layers.layers):
        assert g is not None
        g = layer.backward(g, {})
        assert g is not None
        seen.append(g)
    assert sum(tensor.dim() == 5 for tensor in seen) == 10
    for tensor in seen:
        assert pixel_rows(tensor).data_ptr() == tensor.data_ptr()


def test_channels_last_moves_nothing_but_memory() -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    moved = channels_last(x)
    assert torch.equal(moved, x)
    assert moved.stride() == (360, 120, 1, 24, 4)
    assert channels_last(moved).data_ptr() == moved.data_ptr()
    assert torch.equal(pixel_rows(moved), x.permute(0, 1, 3, 4, 2).reshape(2, 90, 4))


def test_strides_depend_on_the_shape_alone() -> None:
    """torch picks its kernels by them, even those of axes of length 1, which elementwise kernels set as they like."""
    x = torch.randn(3, 4, 1, 1)
    odd = x.as_strided((1, 3, 4, 1, 1), (99, 4, 1, 77, 5))
    assert channels_last(odd).stride() == channels_last(x[None]).stride() == (12, 4, 1, 4, 4)


# ---- what a spec says


def test_a_convolution_says_what_it_is() -> None:
    spec = convolution((3, 32, 30), 16, kernel=5, stride=2, padding=2)
    assert spec.shape_out == (16, 16, 15)
    assert spec.parameters == {"kernel": (16, 3, 5, 5), "bias": (16,)}
    assert (spec.n_parameters, spec.n_weights) == (16 * 75 + 16, 16 * 75)
    assert (spec.fan_in, spec.fan_out) == (75, 400)
    assert spec.flops == 2 * 75 * 16 * 16 * 15
    assert convolution((3, 8, 8), 4, bias=False).parameters.keys() == {"kernel"}
    kernel = torch.zeros(2, 16, 3, 5, 5)
    as_matrix(kernel, spec.weights["kernel"]).fill_(1.0)
    assert kernel.all()  # a view


@pytest.mark.parametrize("name", [name for name in Initializer.names() if name not in ("orthogonal", "dirac")])
def test_first_weights_count_the_receptive_field(name: str) -> None:
    """Their deviation is that of a dense layer with the same fans."""
    init = Initializer.parse(name)
    spec = ConvolutionSpec("conv1", (8, 6, 6), 40, init, kernel=5)
    state = initial_state([spec], seed=3)
    dense = DenseSpec("dense", 8 * 25, 40 * 25, init).initial_state(generator(0, "init"))
    assert state["conv1.kernel"].shape == (40, 8, 5, 5)
    assert state["conv1.kernel"].std() == pytest.approx(dense["kernel"].std(), rel=0.03)
    assert abs(state["conv1.kernel"].mean()) < 0.05 * dense["kernel"].std()
    assert {tensor.dtype for tensor in state.values()} == {np.dtype("float32")}


def test_he_and_torchs_initialization_are_torchs() -> None:
    theirs = torch.nn.Conv2d(8, 400, 5)
    of_he, of_torch = (
        ConvolutionSpec("conv1", (8, 6, 6), 400, init, kernel=5).initial_state(generator(0, "init"))
        for init in (He(), TorchDefault())
    )
    assert theirs.bias is not None
    assert of_torch["bias"].std() == pytest.approx(theirs.bias.std().item(), rel=0.1)
    assert of_torch["kernel"].std() == pytest.approx(theirs.weight.std().item(), rel=0.02)
    torch.nn.init.kaiming_normal_(theirs.weight)
    assert of_he["kernel"].std() == pytest.approx(theirs.weight.std().item(), rel=0.02)
    assert not of_he["bias"].any()


ERRORS: list[tuple[Callable[[], LayerSpec], str]] = [
    (lambda: convolution((3, 7, 7), 4, kernel=9, padding=0), "kernel 9 is larger than the 7 × 7 map of conv1"),
    (lambda: convolution((3, 2, 7), 4, kernel=5), "kernel 5 is larger than the 2 × 7 map of conv1 with padding 1"),
    (lambda: PoolSpec("conv3", (8, 1, 1)), "pool 2 is larger than the 1 × 1 map of conv3"),
    (lambda: convolution((784,), 4), r"conv1 takes maps of shape \(channels, height, width\), not \(784,\)"),
    (lambda: PoolSpec("pool1", (784,)), r"pool1 takes maps of shape \(channels, height, width\), not \(784,\)"),
    (lambda: GlobalAveragePoolSpec("pool1", (9, 9)), "pool1 takes maps"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_what_does_not_fit_is_refused_with_layer_and_shape(make: Callable[[], LayerSpec], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        make()


def test_a_kernel_may_be_as_large_as_its_padded_map() -> None:
    assert convolution((3, 7, 5), 4, kernel=7, padding=1).shape_out == (4, 3, 1)
