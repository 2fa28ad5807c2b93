"""Every technique that is a layer (activations, batch norm, dropout), on maps; a new one enters by itself."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dnntrain.nn.layer import ForwardContext, Layer, Tensors
from dnntrain.nn.layer_spec import LayerSpec
from dnntrain.nn.maps import pixel_rows
from dnntrain.nn.random import counters, keep_mask, step_keys
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.activations import ActivationLayer
from dnntrain.techniques.base import RunExtent, Technique, techniques_in
from dnntrain.techniques.dropout import AlphaDropout, Dropout, DropoutBase, DropoutLayer
from dnntrain.techniques.normalization import BatchNorm, BatchNormLayer, ExampleNorm, ExampleNormLayer
from dnntrain.techniques.normalization.per_example import GroupNorm, LayerNorm

CPU = torch.device("cpu")
MEMBERS = 7
KEYS = torch.from_numpy(step_keys(range(MEMBERS), "dropout", 0, 1, 1)[0])

SPATIAL = {f"{kind.name} spatial": kind(spatial=True, rate=0.4) for kind in techniques_in(DropoutBase)}
TECHNIQUES: dict[str, Technique] = (
    {
        name: technique()
        for name, technique in CATALOGUE.items()
        if hasattr(technique, "layer") and name not in ("maxout", "drop_path")  # which have tests of their own
    }
    | SPATIAL
    | {"bn ghosts": BatchNorm(ghost=3), "group_norm 3": GroupNorm(groups=3)}
)
"""Every technique that makes a layer, with the defaults of its declaration."""


def spec_of(name: str, *shape: int) -> LayerSpec:
    spec: LayerSpec = TECHNIQUES[name].layer("conv1", shape)  # type: ignore[attr-defined]
    return spec


def layer_of(spec: LayerSpec, members: list[int]) -> Layer:
    """Some of 7 members, whose parameters and buffers are positive, as a variance must be."""
    drawn = torch.Generator().manual_seed(1)
    first = [
        {key: torch.rand(MEMBERS, *shape, generator=drawn)[members] + 0.1 for key, shape in shapes.items()}
        for shapes in (spec.parameters, spec.buffers)
    ]
    return spec.build(*first, [spec] * len(members), CPU)


def examples(shape: tuple[int, ...], rows: int, real: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps channels last, and the gradient of the outputs; rows behind the real ones hold infinity and NaN."""
    drawn = torch.Generator().manual_seed(0)
    channels, height, width = shape
    both = torch.randn(2, MEMBERS, rows, height, width, channels, generator=drawn).movedim(-1, 3)
    both[:, :, real::2], both[:, :, real + 1 :: 2] = math.inf, math.nan
    return both[0], both[1]


def pass_through(
    layer: Layer, x: torch.Tensor, upstream: torch.Tensor, real: int, members: list[int]
) -> list[torch.Tensor]:
    """Outputs and the inputs' gradient, of real rows; then the parameters' gradients and the buffers."""
    grads: Tensors = {}
    outputs = layer.forward(x[members], ForwardContext(real, training=True, dropout_keys=KEYS[:, members])).clone()
    grad_in = layer.backward(upstream[members], grads)
    assert grad_in is not None
    assert {key: grad.shape for key, grad in grads.items()} == {key: p.shape for key, p in layer.parameters().items()}
    return [outputs[:, :real], grad_in[:, :real], *grads.values(), *layer.buffers().values()]


def plainly(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """The same training pass in operations that autograd can follow."""
    tensors = layer.parameters()
    if isinstance(layer, ActivationLayer):
        return layer.activation(x, *tensors.values())
    if isinstance(layer, BatchNormLayer):
        weights = [tensor.flatten(1) for tensor in tensors.values()]
        ghosts = x.shape[1] // (layer.bn.ghost or x.shape[1])
        parts = x.tensor_split([layer.bn.ghost * i for i in range(1, ghosts)], dim=1) if layer.bn.ghost else [x]
        normal = [
            torch.cat([F.batch_norm(part[m], None, None, *(w[m] for w in weights), training=True, eps=layer.bn.eps)
                       for part in parts])
            for m in range(len(x))
        ]  # fmt: skip
        return torch.stack(normal)
    if isinstance(layer, ExampleNormLayer):
        weights = [[tensor[m].flatten() for tensor in tensors.values()] for m in range(len(x))]
        return torch.stack([by_torch(layer.norm, x[m], *weights[m]) for m in range(len(x))])
    assert isinstance(layer, DropoutLayer)
    rows, channels, height, width = x.shape[1:]
    size = (1, 1) if layer.dropout.spatial else (height, width)
    drawn = keep_mask(counters(rows, size[0] * size[1] * channels, CPU), KEYS[0], layer.threshold)
    return layer.dropout.drop(x, drawn.view(-1, rows, *size, channels).movedim(-1, 2))[0]


def by_torch(norm: ExampleNorm, x: torch.Tensor, scale: torch.Tensor, *shift: torch.Tensor) -> torch.Tensor:
    """A norm within examples of one member's maps (rows, C, H, W)."""
    if isinstance(norm, GroupNorm):
        return F.group_norm(x, norm.groups, scale, *shift, eps=norm.eps)
    function = F.layer_norm if isinstance(norm, LayerNorm) else F.rms_norm
    return function(x.movedim(1, -1), (x.shape[1],), scale, *shift, eps=norm.eps).movedim(-1, 1)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_gradients_on_maps_are_autograds_whatever_the_padding_holds(name: str) -> None:
    x, upstream = examples((6, 5, 3), 16, 11)
    everyone = [*range(MEMBERS)]
    layer = layer_of(spec_of(name, 6, 5, 3), everyone)
    found = pass_through(layer, x, upstream, 11, everyone)
    leaves = [x[:, :11].clone(), *layer.parameters().values()]
    for leaf in leaves:
        leaf.requires_grad_()
    value = plainly(layer, leaves[0])
    expected = value.detach(), *torch.autograd.grad(value, leaves, upstream[:, :11]), *layer.buffers().values()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert found[1].abs().max() > 0.1


@pytest.mark.parametrize("shape", [(6, 5, 3), (1, 4, 4), (7, 1, 1), (32, 3, 3)], ids=str)
@pytest.mark.parametrize("name", TECHNIQUES)
def test_maps_have_the_same_bits_alone_and_in_company(name: str, shape: tuple[int, int, int]) -> None:
    """At 32 rows, so that a member's numbers fill whole registers."""
    if getattr(TECHNIQUES[name], "groups", 1) > 1 and shape[0] % TECHNIQUES[name].groups:
        pytest.skip("no equal groups")
    x, upstream = examples(shape, 32, 29)
    spec = spec_of(name, *shape)
    expected = pass_through(layer_of(spec, [4]), x, upstream, 29, [4])
    for members in ([4, 0], [1, 4, 6], [*range(MEMBERS)]):
        found = pass_through(layer_of(spec, members), x, upstream, 29, members)
        for alone, together in zip(expected, found, strict=True):
            assert torch.equal(together[members.index(4)], alone[0])


@pytest.mark.parametrize("name", TECHNIQUES)
def test_maps_stay_channels_last(name: str) -> None:
    x, upstream = examples((6, 4, 4), 16, 16)
    everyone = [*range(MEMBERS)]
    layer = layer_of(spec_of(name, 6, 4, 4), everyone)
    testing = layer.forward(x.clone(), ForwardContext())
    outputs, grad_in, *_ = pass_through(layer, x, upstream, 16, everyone)
    for tensor in (outputs, grad_in, testing):
        assert tensor.shape == x.shape
        assert pixel_rows(tensor).data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("name", TECHNIQUES)
def test_what_a_layer_trains_and_keeps_is_one_number_for_each_channel(name: str) -> None:
    spec = spec_of(name, 6, 5, 3)
    assert spec.shape_out == (6, 5, 3)
    assert {*spec.parameters.values(), *spec.buffers.values()} <= {(1, 6, 1, 1)}
    dense = spec_of(name, 6)
    assert {*dense.parameters.values(), *dense.buffers.values()} <= {(1, 6)}


# ---- batch norm


def test_batch_norm_averages_over_rows_and_pixels() -> None:
    x, later = (example[:1, :11] for example in examples((3, 4, 5), 11, 11))
    layer = layer_of(BatchNorm().layer("conv1", (3, 4, 5)), [0])
    layer.forward(x, ForwardContext(training=True, first=True))
    mean, variance = layer.buffers().values()
    torch.testing.assert_close(mean.flatten(), x.mean(dim=(0, 1, 3, 4)))
    torch.testing.assert_close(variance.flatten(), x.var(dim=(0, 1, 3, 4), correction=0))  # biased, as in dense layers
    before = mean.clone()
    layer.forward(later, ForwardContext(training=True))
    torch.testing.assert_close(mean.flatten(), 0.9 * before.flatten() + 0.1 * later.mean(dim=(0, 1, 3, 4)))


# ---- dropout


@pytest.mark.parametrize("kind", [Dropout, AlphaDropout])
@pytest.mark.parametrize("spatial", [False, True], ids=["units", "channels"])
def test_spatial_dropout_drops_whole_channels(kind: type[DropoutBase], spatial: bool) -> None:
    layer = layer_of(kind(rate=0.4, spatial=spatial).layer("conv1", (50, 4, 4)), [*range(MEMBERS)])
    x = torch.ones(MEMBERS, 64, 50, 4, 4)
    dropped = layer.forward(x, ForwardContext(dropout_keys=KEYS)) <= 0
    shares = dropped.float().mean(dim=(3, 4))
    assert ((shares == 0) | (shares == 1)).all().item() == spatial
    units = dropped.numel() / (16 if spatial else 1)
    assert abs(dropped.double().mean().item() - 0.4) < 4 * math.sqrt(0.24 / units)


def test_spatial_changes_nothing_in_a_dense_layer() -> None:
    x = torch.randn(MEMBERS, 32, 10)
    plain, spatial = (
        layer_of(Dropout(spatial=on).layer("hidden1", (10,)), [*range(MEMBERS)]).forward(
            x, ForwardContext(dropout_keys=KEYS)
        )
        for on in (False, True)
    )
    assert torch.equal(plain, spatial)


PLACES = [
    ("conv", {1, 2}),
    ("hidden", {3, 4, 5}),
    ("conv+hidden", {1, 2, 3, 4, 5}),
    ("input+conv", {0, 1, 2}),
    ("last1", {5}),
    ("last4", {2, 3, 4, 5}),
    ("last9", {1, 2, 3, 4, 5}),
]


@pytest.mark.parametrize(("where", "expected"), PLACES, ids=[where for where, _ in PLACES])
def test_convolution_blocks_count_below_the_hidden_layers(where: str, expected: set[int]) -> None:
    assert Dropout(where=where).layers(hidden=3, conv=2) == expected


def extent(hidden: int, conv: int) -> RunExtent:
    return RunExtent("classification", (10,) * hidden, 5, 100, 10, conv=conv)


FAULTS = [
    ({"where": "conv"}, (2, 0), "dropout_where conv: the network has no convolutions; hidden means its dense layers"),
    ({"where": "hidden+conv"}, (2, 0), "dropout_where hidden+conv: the network has no convolutions"),
    ({}, (0, 3), "dropout: there are no hidden layers; dropout_where conv drops after each convolution block"),
    ({}, (0, 0), "dropout: there are no hidden layers; dropout_where input drops inputs"),
]


@pytest.mark.parametrize(("settings", "layers", "message"), FAULTS, ids=[message for *_, message in FAULTS])
def test_places_that_a_network_does_not_have(settings: dict[str, str], layers: tuple[int, int], message: str) -> None:
    fault = Dropout(**settings).fault(extent(*layers))
    assert fault is not None
    assert fault.startswith(message)


def test_places_that_it_has() -> None:
    for dropout, layers in (({"where": "conv"}, (0, 3)), ({"where": "last1"}, (0, 3)), ({}, (1, 3))):
        assert Dropout(**dropout).fault(extent(*layers)) is None
    assert BatchNorm().fault(extent(0, 3)) is None
    assert BatchNorm().fault(extent(0, 0)) is not None


def test_spatial_dropout_without_maps_is_said_to_be_idle() -> None:
    assert Dropout(spatial=True, where="conv").idle(extent(1, 2)) is None
    assert Dropout(spatial=True, where="last2").idle(extent(1, 2)) is None
    assert Dropout(where="hidden").idle(extent(1, 2)) is None
    idle = "dropout_spatial has no effect: nothing drops the channels of a convolution"
    assert Dropout(spatial=True).idle(extent(1, 2)) == f"{idle}; dropout_where conv does"
    assert Dropout(spatial=True).idle(extent(1, 0)) == idle
