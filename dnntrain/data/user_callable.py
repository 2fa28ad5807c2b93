"""Data from a function of the user's: `--data module:FILE.py:NAME`. It is called once, and what it returns is kept."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator

from dnntrain.data.array_inputs import AnyArray, Reading
from dnntrain.data.arrays import TypedArraySource, fingerprint
from dnntrain.data.dataset import Dataset
from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.data.npz import read_arrays
from dnntrain.data.returned import read_returned
from dnntrain.data.source import DataLocation
from dnntrain.errors import InputError
from dnntrain.utils.files import atomic_folder, read_json
from dnntrain.utils.user_code.reference import CodeReference

MODULE_PREFIX = "module:"
CALLED = "called"
"""The folder with what functions returned, in that of a `DataLocation`."""


def check_reference(text: str) -> str:
    """The text, if it is a reference to code; else InputError."""
    CodeReference.parse(text.removeprefix(MODULE_PREFIX))
    return text


class UserCallable(TypedArraySource):
    """What a function returns: arrays, or torch data sets, which are read item by item.

    It is called once for each version of its code and arguments. The types say what is meant: of inputs, uint8 are
    images, other integers tokens, and floats numbers; of targets, integers and text are classes, and floats numbers.
    """

    name: ClassVar[str] = "module"
    summary: ClassVar[str] = "module:FILE.py:NAME[:ARGS], a function that returns arrays or torch data sets"
    decodes: ClassVar[bool] = True
    place: ClassVar[str] = "reference"

    reference: Annotated[str, AfterValidator(check_reference)]

    @classmethod
    def reads(cls, given: str) -> bool:
        return given.startswith(MODULE_PREFIX)

    @property
    def code(self) -> CodeReference:
        """The function and its arguments."""
        return CodeReference.parse(self.reference.removeprefix(MODULE_PREFIX))

    def references(self) -> tuple[CodeReference, ...]:
        return (self.code,)

    def display_name(self) -> str:
        code = self.code
        return ":".join(filter(None, (Path(code.module).name, code.name, code.arguments)))

    def find(self, location: DataLocation) -> list[Path]:
        """The file with the arrays that this function returned before, if it need not be called again."""
        path = self._folder(location) / "arrays.npz"
        is_new = path.is_file() and read_json(path.with_name("about.json"))["called"] >= location.called_after
        return [path] if is_new else []

    def files(self, location: DataLocation) -> list[Path]:
        """The file with the arrays that this function returns.

        Raises:
            InputError: The function fails, or returns something else. Nothing is kept then.
        """
        if found := self.find(location):
            return found
        folder = self._folder(location)
        with exclusive_write(folder, doing="calling"):
            if found := self.find(location):  # another process may have called it meanwhile
                return found
            self._call(folder)
        try:
            self.read(location)
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self.find(location)

    def fingerprint(self, location: DataLocation) -> str:
        """16 hexadecimal digits of the SHA-256 of the arrays."""
        (path,) = self.files(location)
        return str(read_json(path.with_name("about.json"))["fingerprint"])

    def read(self, location: DataLocation) -> Dataset:
        (path,) = self.files(location)
        return self.build(location, read_arrays(path)[0], self.display_name())

    def reading(self, values: AnyArray, where: str) -> Reading:
        if self.inputs != "auto" or values.dtype.kind not in "iu":
            return "numbers" if self.inputs == "auto" else self.inputs
        if values.dtype != np.uint8:
            return "tokens"
        if values.ndim < 3:
            instead = "return float32 for numbers, or int64 for tokens"
            raise InputError(f"{where}: uint8 of shape {values.shape} are not images; {instead}")
        return "auto"

    def _folder(self, location: DataLocation) -> Path:
        """Where the arrays of this code and these arguments are kept."""
        code = self.code
        return location.folder / CALLED / f"{Path(code.module).stem}.{code.name}-{code.identity()[:16]}"

    def _call(self, folder: Path) -> None:
        """Call the function, and write its arrays to the folder."""
        called = time.time()
        own_code = self.code.code()
        returned = self.code.call({}, {})
        arrays = read_returned(returned, self.display_name(), own_code.folder if own_code else None)
        named: dict[str, Any] = dict(arrays[role] for role in sorted(arrays))
        about = {"reference": self.reference, "fingerprint": fingerprint(named), "called": called}
        with atomic_folder(folder) as scratch:
            np.savez(scratch / "arrays.npz", **named)
            (scratch / "about.json").write_text(json.dumps(about), encoding="utf-8")
