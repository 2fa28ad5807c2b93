"""Run ids: equal for runs with equal settings, data, and code, whoever trains them."""

from __future__ import annotations

import hashlib
import json

from dnntrain.config.renamed import to_old_names
from dnntrain.config.spec import RunSpec, default_settings
from dnntrain.data import OwnSource


def run_id(spec: RunSpec, fingerprint: str, engine: str) -> str:
    """A digest of a run's settings, its data's bytes, and the engine's version; 12 hexadecimal digits.

    Settings at their defaults are left out, so that a new setting does not rename old runs; renamed settings keep their
    old names here. The path of your own data is left out too: their bytes identify them. What a run uses of plug-ins
    counts with its code.

    Args:
        spec: The run.
        fingerprint: The digest of its data.
        engine: The engine's version.
    """
    defaults = default_settings(spec.net)
    settings = {key: value for key, value in spec.settings().items() if value != defaults[key]}
    if "net" in settings:
        settings["net"] = spec.net.identity
    if isinstance(spec.source, OwnSource):
        settings["data"] = spec.source.name
    plugins = sorted(reference.identity() for reference in spec.plugin_references())
    content = [to_old_names(settings), fingerprint, engine, *([plugins] if plugins else [])]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
