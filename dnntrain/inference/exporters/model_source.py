"""The source text of an exported model: a small Python file that rebuilds the network from plain torch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from textwrap import indent, wrap

from dnntrain.data.numbers import MISSING_NUMBERS
from dnntrain.data.table_preprocessing import TablePreprocessing
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.nn.torch_code import INDENT, literal, source_of, unique

TEXT_WIDTH = 100
"""Columns of text in the file."""
LOADERS = {".pt": "torch.load({file}, weights_only=True)", ".safetensors": "load_file({file})"}
"""How a weights file is read, by its suffix."""


def model_source(model: PlainModel, weights: str = "model.pt", code: Path | None = None) -> str:
    """The text of model.py.

    Args:
        model: The model.
        weights: The name of the weights file next to it.
        code: The folder with the user's code; by default `code`, next to it.
    """
    helpers = unique(chain.from_iterable(part.helpers for part in model.parts.values()))
    blocks = [
        f'"""{docstring(model)}"""\n\n{imports(model, weights)}\n\n{constants(model, code)}'.rstrip(),
        *helpers,
        model_class(model),
        load_function(weights),
    ]
    if model.table:
        blocks += table_functions(model.table)
    return "\n\n\n".join(blocks) + "\n"


def docstring(model: PlainModel) -> str:
    """What the file's docstring says: where the model is from, what it takes and returns, and what it lacks."""
    record, shape = model.record, ", ".join(map(str, model.data.shape))
    results = {name: value for name, value in record.results.items() if value is not None and name.startswith("test_")}
    figures = ", ".join(f"{name} {value:.6g}" for name, value in results.items())
    data = f"{record.data.name} ({record.data.train_examples:,} training examples)"
    about = f"{model.spec.net}, trained on {data}, run {record.run}."
    takes = {
        "images": f"Takes raw images (N, {shape}), uint8 levels from 0 to 255, and scales them.",
        "tokens": f"Takes tokens (N, {shape}), whole numbers from 0 to {model.data.n_tokens - 1}.",
        "numbers": f"Takes raw numbers (N, {shape}), nan where one is missing, and fills and scales them.",
    }[model.data.kind]
    n = len(model.data.classes)
    returns = f"Returns logits (N, {n}), one for each of CLASSES; softmax makes probabilities of them."
    if model.spec.output == "sigmoid":
        returns = "Returns one logit (N, 1); its sigmoid is the probability of CLASSES[1]."
    if model.target:
        returns = "Returns numbers (N, 1) in the target's unit."
    if model.table:
        takes += " `encode` makes them from rows of the table."
    title, *rest = wrap(about, TEXT_WIDTH)
    recorded = [f"Recorded on its test part: {figures}."] if figures else []
    paragraphs = [*recorded, f"{takes} {returns}", *model.notes]
    # text of the user's may hold anything
    text = "\n\n".join(["\n".join([title, *rest]), *("\n".join(wrap(each, TEXT_WIDTH)) for each in paragraphs)])
    return text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + "\n"


def imports(model: PlainModel, weights: str) -> str:
    """The import statements, sorted."""
    lines = {"from pathlib import Path", "import torch", "from torch import nn"}
    lines |= {line for part in model.parts.values() for line in part.imports}
    if model.table:
        lines |= {"from collections.abc import Collection, Mapping, Sequence", "from typing import Any"}
    if weights.endswith(".safetensors"):
        lines.add("from safetensors.torch import load_file")
    standard = {line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names}
    groups = [sorted(group, key=lambda line: (line.startswith("from"), line)) for group in (standard, lines - standard)]
    return "from __future__ import annotations\n\n" + "\n\n".join("\n".join(group) for group in groups)


def constants(model: PlainModel, code: Path | None) -> str:
    """The class names, and where the user's code is."""
    lines = []
    if classes := model.data.classes:
        line = f"CLASSES = {literal(list(classes))}"
        lines.append(line if len(line) <= TEXT_WIDTH else "CLASSES = [\n" + items(map(literal, classes)) + "]")
    if model.code:
        own = 'Path(__file__).resolve().with_name("code")'
        lines.append(f"CODE = {own if code is None else f'Path({literal(str(code))})'}")
    return "\n".join(lines)


def items(texts: Iterable[str]) -> str:
    """One item a line, indented."""
    return "".join(f"{INDENT}{text},\n" for text in texts)


def model_class(model: PlainModel) -> str:
    """The class with its modules, and the forward pass through them."""
    buffers = [
        f'self.register_buffer("{name}", torch.zeros({literal(array.shape)}, dtype=torch.{array.dtype}))'
        for name, array in model.scaling.items()
    ]
    if model.target:
        buffers += [f'self.register_buffer("target_{name}", torch.zeros(()))' for name in ("mean", "deviation")]
    modules = [f"self.{name} = {part.code}" for name, part in model.parts.items()]
    *lower, last = [f"self.{name}(x)" for name in model.parts]
    scaled = f"{last} * self.target_deviation + self.target_mean" if model.target else last
    forward = [*input_lines(model), *(f"x = {call}" for call in lower), f"return {scaled}"]
    shape = ", ".join(map(str, model.data.shape))
    return "\n".join(
        [
            "class Model(nn.Module):",
            indent(f'"""Takes raw inputs (N, {shape})."""\n\ndef __init__(self) -> None:', INDENT),
            indent("\n".join(["super().__init__()", *buffers, *modules]), 2 * INDENT),
            indent("\ndef forward(self, x: torch.Tensor) -> torch.Tensor:", INDENT, lambda line: line.strip() != ""),
            indent("\n".join(forward), 2 * INDENT),
        ]
    )


def input_lines(model: PlainModel) -> list[str]:
    """The statements that fill and scale raw inputs, as the engine does."""
    if model.scales_itself:
        return []
    x = "x" if len(model.data.shape) == 1 else "x.flatten(1)"
    if model.data.kind == "tokens":
        return [f"x = {x}.long()"]
    if model.data.kind == "images":
        if "offset" in model.scaling:
            return [f"x = ({x} - self.offset) * self.factor"]
        return [f"x = {x}.float() / 255" if model.spec.scale in ("auto", "unit") else f"x = {x}.float()"]
    lines = [] if x == "x" else [f"x = {x}"]
    if "fill" in model.scaling:
        lines.append("x = torch.where(x.isnan(), self.fill.to(x.dtype), x)")
    if "offset" in model.scaling:
        # old records have no fill: their gaps are the mean, which is 0 when scaled
        gaps = "" if "fill" in model.scaling else ".nan_to_num()"
        return [*lines, f"x = ((x.double() - self.offset) * self.factor).float(){gaps}"]
    return [*lines, "x = x.float()"]


def load_function(weights: str) -> str:
    """The function that builds the model with its weights."""
    suffix = f".{weights.rpartition('.')[2]}"
    loaded = LOADERS[suffix].format(file=f'Path(__file__).with_name("{weights}")')
    return f'''def load() -> Model:
    """The trained model, in eval mode."""
    model = Model()
    model.load_state_dict({loaded})
    return model.eval()'''


def table_functions(table: TablePreprocessing) -> list[str]:
    """What turns rows of a table into inputs: the columns, and the functions that read them."""
    from dnntrain.inference.exporters.table_rows import encode_rows

    columns = [literal(column.model_dump(exclude_defaults=True) | {"kind": column.kind}) for column in table.columns]
    missing = literal(sorted({"", *table.missing}))
    encode = f'''def encode(rows: Sequence[Mapping[str, Any]]) -> torch.Tensor:
{INDENT}"""Inputs of the model, from rows that have a number or text for each column by its name."""
{INDENT}return encode_rows(rows, COLUMNS, MISSING, MISSING_NUMBERS)'''
    numbers = items(map(literal, sorted({text.lower() for text in MISSING_NUMBERS})))
    constants = f"COLUMNS = [\n{items(columns)}]\nMISSING = {missing}\nMISSING_NUMBERS = [\n{numbers}]"
    return [constants, source_of(encode_rows), encode]
