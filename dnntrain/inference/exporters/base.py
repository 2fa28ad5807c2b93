"""What every exporter offers.

A new exporter is a small class, registered in `exporters.registry`:

    @register_exporter
    class Keras(Exporter):
        name, summary = "keras", "model.keras"

        def write(self, model, folder): ...
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from dnntrain.errors import InputError
from dnntrain.inference.exporters.plain_model import PlainModel


class Exporter(ABC):
    """Writes a recorded run's model in one format."""

    name: ClassVar[str]
    """What `--to` calls it."""
    summary: ClassVar[str]
    """What it writes, in a few words, for `--help`."""
    needs: ClassVar[str] = ""
    """dnntrain's extra that installs `packages`."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it imports, besides those that dnntrain needs anyway."""

    def check_packages(self) -> None:
        """Raise InputError unless the packages are installed."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise InputError(f"--to {self.name}: needs {package}; pip install 'dnntrain[{self.needs}]'")

    @abstractmethod
    def write(self, model: PlainModel, folder: Path) -> None:
        """Write a model.

        Args:
            model: The model.
            folder: A new, empty folder.

        Raises:
            InputError: The model cannot be written in this format.
        """
