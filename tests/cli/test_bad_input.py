"""Bad input: what once went wrong or might, and some of what `make fuzz` tries by the thousand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.bench.fuzz import kinds
from tests.support.trial import CORPUS, Trials, kept

EXAMPLES = 15
"""Inputs of each kind."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.stem)
def test_what_once_went_wrong_is_answered(path: Path, trials: Trials) -> None:
    trials.renew()
    answer = kept(path).answer(trials.folder)
    assert not answer.trouble and answer.code in (0, 2), answer
    assert not trials.strays()


KINDS = ("command line", "preset, planned", "preset, transfer", "small run", "own table", "damaged file")


@pytest.mark.parametrize("kind", KINDS)
def test_random_input_is_answered(kind: str, trials: Trials) -> None:
    trials.renew()
    inputs = kinds(trials.known, trials.template)[kind]

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        answer = data.draw(inputs).answer(trials.folder)
        assert not answer.trouble, answer
        if not trials.folder.is_dir():
            trials.renew()

    answered()
