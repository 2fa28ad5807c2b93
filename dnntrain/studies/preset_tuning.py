"""What a preset tunes: its keys `tune` and `tune_seeds`, and the lists that factors have of their own.

tune: {lr: [0.03, 0.1, 0.3]}   # for every arm without a list of its own
tune_seeds: 3
"""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.errors import InputError
from dnntrain.studies.candidates import TUNE, own_candidates, read_candidates
from dnntrain.studies.designs import Arms
from dnntrain.studies.preset_design import PresetDesign
from dnntrain.studies.preset_settings import read_settings
from dnntrain.studies.seeds import read_seeds
from dnntrain.studies.study import Candidates, Tuning


def read_tuning(design: PresetDesign, arms: Arms) -> Tuning | None:
    """What to tune for each arm: its own list, else that of the key `tune`; None without either.

    Args:
        design: The preset's design.
        arms: The settings of each arm.

    Raises:
        InputError: A list cannot be tuned; with file, line, and key.
    """
    document, own = design.document, {}
    shared = read_shared(design)
    for arm, changes in arms.items():
        with design.place(arm):
            if candidates := own_candidates(arm, changes):
                own[arm] = candidates
    if not (own or shared):
        return None
    given = document.content.get("tune_seeds")
    with document.at("tune_seeds"):
        seeds = Tuning.seeds if given is None else len(read_seeds(given))
    return Tuning((dict.fromkeys(arms, shared) if shared else {}) | own, seeds, has_fixed=not own)


def read_shared(design: PresetDesign) -> Candidates | None:
    """What the key `tune` lists for all arms without a list of their own; None without it."""
    document = design.document
    if document.content.get(TUNE) is None:
        return None
    with document.at(TUNE):
        fields = document.content[TUNE]
        read_settings(dict.fromkeys(fields) if isinstance(fields, Mapping) else fields, document.where)
        if len(fields) != 1:
            raise InputError(f"must be one field with its values like {{lr: [0.01, 0.1]}}, not {fields!r}")
        [(key, values)] = fields.items()
        shared = read_candidates(key, values, design.base)
        for factor, levels in design.levels.items():
            if any(key in level and not isinstance(level[key], Candidates) for level in levels.values()):
                raise InputError(f"{key} cannot be tuned: it is what {factor} sets")
    return shared
