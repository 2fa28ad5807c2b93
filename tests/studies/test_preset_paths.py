"""Paths in a preset start at its folder, and names of data sets stay names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.studies.presets import load_preset

TABLE = "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(60))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below the working directory."""
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "study"


def data_of(study: Path, data: str, options: str = "") -> list[object]:
    (study / "p.yaml").write_text(f"base: {{data: {data}{options}, hidden: 4}}\nsweep: {{lr: [0.1, 0.01]}}\n")
    return [*dict.fromkeys(arm.spec.settings()["data"] for arm in load_preset("study/p.yaml").arms)]


def test_files_are_found_from_the_preset_s_folder(study: Path) -> None:
    (study / "table.csv").write_text(TABLE)
    assert data_of(study, "table.csv", ", target: y") == ["study/table.csv"]
    assert data_of(study, str(study / "table.csv"), ", target: y") == [str(study / "table.csv")]
    (study.parent / "above.csv").write_text(TABLE)
    assert data_of(study, "../above.csv", ", target: y") == ["study/../above.csv"]


def test_a_folder_is_found_by_its_bare_name(study: Path) -> None:
    from PIL import Image

    for kind in ("a", "b"):
        (study / "photos" / kind).mkdir(parents=True)
        for i in range(10):
            pixels = np.full((8, 8), 20 * i + (kind == "b"), np.uint8)
            Image.fromarray(pixels).save(study / "photos" / kind / f"{i}.png")
    assert data_of(study, "photos") == ["study/photos"]


def test_the_name_of_a_data_set_is_no_path(study: Path) -> None:
    (study / "fashion-mini").mkdir()
    assert data_of(study, "fashion-mini") == ["fashion-mini"]
    with pytest.raises(InputError, match="unknown data set 'fashion-minni'; did you mean 'fashion-mini'"):
        data_of(study, "fashion-minni")


def test_a_file_in_the_working_directory_is_not_taken(study: Path) -> None:
    (study.parent / "table.csv").write_text(TABLE)
    with pytest.raises(InputError, match=r"p\.yaml:1: .*table\.csv: not in study; a path in a preset is relative to"):
        data_of(study, "table.csv", ", target: y")
    with pytest.raises(InputError, match=r"study/none\.csv: no such file"):
        data_of(study, "none.csv", ", target: y")
