"""A population is set up in bulk: in threads and with shared work, and with the bits of one member after the other."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.network import initial_arrays, initial_state, layer_specs, member_layers
from dnntrain.engine.scaling import mean_and_std
from dnntrain.engine.splits import are_shared, epoch_orders, splits_of, training_indices
from dnntrain.nn.random import generator, stream_key
from dnntrain.techniques.initializers import TRUNCATED_DEVIATION, truncated_normal
from dnntrain.utils.threads import host_threads, in_threads, usable_cores
from tests.support.catalogue import SMALL_NETWORKS

SETTINGS = {"train_size": 60, "val": 40, "bn": True}


def specs(count: int = 5, **settings: object) -> list[RunSpec]:
    return [
        RunSpec.parse(SETTINGS | settings | {"seed": 3 + seed // 2, "replicate": seed % 2}) for seed in range(count)
    ]


def test_work_in_threads_comes_back_in_its_order_and_with_its_errors() -> None:
    assert in_threads(lambda n: n * n, range(50), 4) == [n * n for n in range(50)]
    assert set(in_threads(lambda n: threading.get_ident(), range(9), 1)) == {threading.get_ident()}
    assert threading.get_ident() not in in_threads(lambda n: threading.get_ident(), range(9), 2)
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 // n, [1, 0, 2], 3)
    assert host_threads("cpu") == 1 and host_threads("cuda") == usable_cores()


@pytest.mark.parametrize("net", SMALL_NETWORKS)
def test_first_weights_are_the_same_bits_with_any_number_of_threads(net: str, mini: Dataset) -> None:
    runs = specs(bn=net != "module", **SMALL_NETWORKS[net])
    layers, seeds = member_layers(runs, mini.outline), [run.stream_seed for run in runs]
    known: list[dict[str, np.ndarray]] = [{} for _ in runs]
    name = next(iter(initial_state(layers[0], 0)))
    known[2] = {name: np.full_like(initial_state(layers[0], 0)[name], 7)}
    expected = [initial_state(layers[m], seeds[m]) | known[m] for m in range(len(runs))]
    for threads in (1, 3):
        arrays = initial_arrays(layers, seeds, known, threads)
        assert arrays.keys() == expected[0].keys()
        for key, array in arrays.items():
            assert array.tobytes() == np.stack([state[key] for state in expected]).tobytes()
            assert array.dtype == expected[0][key].dtype


def test_layers_are_described_once_for_members_that_have_the_same(mini: Dataset) -> None:
    runs = [*specs(3), *specs(2, dropout=0.5), *specs(1)]
    layers = member_layers(runs, mini.outline)
    assert layers == [layer_specs(run, mini.outline) for run in runs]
    assert layers[0] is layers[2] and layers[3] is layers[4] and layers[2] != layers[3]


@pytest.mark.parametrize("settings", [{}, {"train_size": None}, {"subset": "shared"}, {"val_from": "first"}])
@pytest.mark.parametrize("threads", [1, 3])
def test_examples_and_orders_are_those_of_each_member_alone(
    mini: Dataset, settings: dict[str, object], threads: int
) -> None:
    runs = specs(**settings)
    runs.append(runs[1])
    splits, seeds = splits_of(mini, runs, threads), [run.stream_seed for run in runs]
    alone = [splits_of(mini, [run])[0] for run in runs]
    assert all(
        np.array_equal(*pair)
        for ours, theirs in zip(splits, alone, strict=True)
        for pair in zip(ours, theirs, strict=True)
    )
    indices = training_indices(splits)
    assert are_shared(indices) is (settings.get("train_size", 1) is None or "subset" in settings)
    orders = epoch_orders(indices, seeds, 4, threads)
    for order, seed, (train, _) in zip(orders, seeds, alone, strict=True):
        assert np.array_equal(order, generator(seed, "shuffle", 4).permutation(train.astype(np.int32)))
    assert orders.dtype == np.int32


def test_one_seed_with_other_examples_has_an_order_of_its_own() -> None:
    indices = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    first, second = epoch_orders(indices, [6, 6], 0)
    assert sorted(first) == [1, 2, 3, 4] and sorted(second) == [5, 6, 7, 8] and np.array_equal(first + 4, second)


@pytest.mark.parametrize("shape", [(1,), (70, 50), (3, 3, 3, 20)])
def test_a_truncated_normal_takes_the_draws_of_the_plain_loop(shape: tuple[int, ...]) -> None:
    for seed in range(5):
        ours, plain = generator(seed, "init"), generator(seed, "init")
        draws = plain.standard_normal(shape)
        while (outside := np.abs(draws) > 2.0).any():
            draws[outside] = plain.standard_normal(int(outside.sum()))
        expected = (draws * (np.sqrt(0.3) / TRUNCATED_DEVIATION)).astype(np.float32)
        assert truncated_normal(ours, shape, 0.3).tobytes() == expected.tobytes()
        assert ours.random() == plain.random()


def test_a_stream_is_philox_by_its_key() -> None:
    plain = np.random.Generator(np.random.Philox(key=stream_key(5, "init"), counter=[0, 0, 0, 2]))
    assert np.array_equal(generator(5, "init", 2).random(9), plain.random(9))


def test_statistics_of_pixel_levels_are_exact_whatever_rows_are_taken_together(mini: Dataset) -> None:
    values, indices = mini.train_inputs.reshape(len(mini.train_inputs), -1), np.arange(0, 3000, 2)
    mean, deviation = mean_and_std(values, indices, values.shape[1])
    levels = values[indices].astype(np.int64) - values[0].astype(np.int64)
    average = levels.sum(axis=0) / len(indices)
    squares = (levels**2).sum(axis=0) / len(indices)
    assert np.array_equal(mean, values[0] + average)
    assert np.array_equal(deviation, np.sqrt(np.maximum(squares - average**2, 0.0)))
