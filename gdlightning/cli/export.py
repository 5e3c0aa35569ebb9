"""``gdl export``: a trained run as one file that needs no gdlightning."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from gdlightning.data.example_input import Input

FORMATS = {".safetensors": "safetensors", ".onnx": "onnx", ".pt2": "pt2"}
KEY = "gdlightning"
"""Of the metadata in a file: config, sizes, and what the preprocessing has learnt, as JSON."""
TOLERANCE = 1e-5


def main(argv: list[str]) -> int:
    """Write the weights, or the whole computation, of a run.

    Raises:
        UserError: run or output can't be used, or the net can't be exported in this format.
    """
    parser = argparse.ArgumentParser("gdl export", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    parser.add_argument(
        "--output", required=True, help="a .safetensors (weights), .pt2 or .onnx file"
    )
    parser.add_argument("--format", choices=sorted(FORMATS.values()), help="else by the suffix")
    given = parser.parse_args(argv)
    output = Path(given.output)
    kind = given.format or FORMATS.get(output.suffix)
    if kind is None:
        raise UserError(f"--output {output}: write {', '.join(FORMATS)}, or give --format.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output {output}: there is no such folder.")
    writers: dict[str, Callable[[str, Path], None]] = {
        "safetensors": weights, "pt2": program, "onnx": onnx,
    }  # fmt: skip
    writers[kind](given.run, output)
    print(f"Wrote {output} ({output.stat().st_size:,} bytes).")
    return 0


def weights(run: str, output: Path) -> None:
    """The state_dict of the run's checkpoint; the model is not built."""
    from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
    from gdlightning.storage.weights import write_weights

    require("safetensors", "export", "A .safetensors file")
    path = find_checkpoint(run)
    checkpoint = read_checkpoint(path)
    metadata = metadata_of(record_of(checkpoint, path))
    left_out = write_weights(checkpoint["state_dict"], {KEY: metadata}, output)
    if left_out:
        print(f"Left out, being no tensors: {', '.join(map(str, left_out))}.", file=sys.stderr)


def program(run: str, output: Path) -> None:
    """The module's forward by torch.export."""
    import torch

    from gdlightning.storage.atomic_write import open_atomic

    found, _, metadata = traced(run, "pt2")
    with _quietly(), open_atomic(output) as stream:
        torch.export.save(found, stream, extra_files={f"{KEY}.json": metadata})


def onnx(run: str, output: Path) -> None:
    """The same as ONNX."""
    for package in ("onnx", "onnxscript"):
        require(package, "export", "A .onnx file")
    import torch

    from gdlightning.storage.atomic_write import open_atomic

    found, inputs, metadata = traced(run, "onnx")
    names = [i.name for i in inputs]
    with _quietly():
        try:
            made = torch.onnx.export(
                found, dynamo=True, input_names=names, output_names=["output"], verbose=False
            )
            if made is None:
                raise UserError("torch made no ONNX program.")
            made.rename_axes(
                {
                    str(value.shape[axis]): name
                    for value, i in zip(made.model.graph.inputs, inputs, strict=True)
                    for axis, name in i.axes.items()
                    if value.shape is not None and not isinstance(value.shape[axis], int)
                }
            )
            made.model.metadata_props[KEY] = metadata
            raw = made.model_proto.SerializeToString()
        except Exception as error:
            raise _refusal(run, "onnx", error) from error
    with open_atomic(output) as stream:
        stream.write(raw)


def metadata_of(record: dict[str, Any]) -> str:
    """Config, sizes and preprocessing of a checkpoint's record as JSON."""
    kept = {k: record[k] for k in ("config", "sizes", "fitted")}
    try:
        return json.dumps(kept)
    except (TypeError, ValueError):  # a data module from elsewhere may keep what it likes
        del kept["fitted"]
    try:
        return json.dumps(kept)
    except (TypeError, ValueError) as error:
        raise UserError(f"The config in the checkpoint is no plain data: {error}") from error


def traced(run: str, kind: str) -> tuple[ExportedProgram, Sequence[Input], str]:
    """The exported forward of a run's module, its inputs, and the metadata.

    Axes whose length varies stay dynamic where the net allows it; else all but the batch are
    fixed, else all, which is said.

    Raises:
        UserError: torch can't export the net, or what it exports computes something else.
    """
    import torch

    from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
    from gdlightning.runs.load_run import restore

    path = str(find_checkpoint(run))
    module, data = restore(path)
    metadata = metadata_of(record_of(read_checkpoint(Path(path)), Path(path)))
    tell = _example(module, data)
    errors: list[Exception] = []
    for dynamic in ({"batch", "steps", "words"}, {"batch"}, set[str]()):
        inputs = tell(3 if dynamic else 1)
        axes = {name for i in inputs for name in i.axes.values()}
        if errors and not axes - dynamic:
            continue  # the same as before
        with _quietly(), torch.no_grad():
            try:
                found = torch.export.export(
                    module,
                    tuple(i.value for i in inputs),
                    dynamic_shapes=_shapes(module, inputs, dynamic),
                )
                others = [inputs, tell(1), tell(5)] if dynamic == axes else [inputs]
                gap = max(_gap(module, found, other) for other in others)
            except Exception as error:
                errors.append(error)
                continue
        if not gap <= TOLERANCE:
            errors.append(UserError(f"the exported program differs from the module by {gap:.2g}"))
            continue
        fixed = axes - dynamic
        if fixed:
            shapes = ", ".join(f"{i.name} {list(i.value.shape)}" for i in inputs)
            print(f"Fixed in this file: {' and '.join(sorted(fixed))} ({shapes}).", file=sys.stderr)
        return found, inputs, metadata
    raise _refusal(run, kind, errors[0]) from errors[0]


def _example(module: Any, data: Any) -> Callable[[int], Sequence[Input]]:
    """How to get inputs: from the module's own ``example_input_array``, or the data module."""
    from torch import Tensor

    from gdlightning.data.data_module import DataModule
    from gdlightning.data.example_input import Input

    own = module.example_input_array
    if own is None:
        if isinstance(data, DataModule):
            return data.example
        raise UserError(
            f"What {type(module).__name__} is fed is not known: set example_input_array on it.\n"
            "Weights alone need no example: write a .safetensors file."
        )
    values = own if isinstance(own, tuple | list) else (own,)
    if not all(isinstance(v, Tensor) and v.ndim for v in values):
        raise UserError(
            f"example_input_array of {type(module).__name__} must be a tensor or a tuple of them."
        )
    named = [Input(f"input_{k}", v, {0: "batch"}) for k, v in enumerate(values)]

    def tell(count: int) -> Sequence[Input]:
        """``count`` examples, the first ones repeated where there are fewer."""
        repeated = [i.value.repeat(-(-count // len(i.value)), *[1] * (i.value.ndim - 1))[:count]
                    for i in named]  # fmt: skip
        return [Input(i.name, v, i.axes) for i, v in zip(named, repeated, strict=True)]

    return tell


def _shapes(module: Any, inputs: Sequence[Input], dynamic: set[str]) -> dict[str, Any]:
    """What torch.export wants to know of the axes, by the arguments of ``forward``."""
    from torch.export import Dim

    dims = {name: Dim(name) for i in inputs for name in i.axes.values() if name in dynamic}
    shapes = [{axis: dims[n] for axis, n in i.axes.items() if n in dims} for i in inputs]
    return dict(inspect.signature(module.forward).bind(*shapes).arguments)


def _gap(module: Any, found: ExportedProgram, inputs: Sequence[Input]) -> float:
    """The largest difference between the outputs of both, over their size."""
    from torch.utils._pytree import tree_leaves

    values = [i.value for i in inputs]
    pairs = zip(tree_leaves(module(*values)), tree_leaves(found.module()(*values)), strict=True)
    gaps = [float(((a - b).abs() / (1 + a.abs())).max()) for a, b in pairs if a.numel()]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def _refusal(run: str, kind: str, error: Exception) -> UserError:
    first = str(error).strip().split("\n")[0][:200]
    return UserError(
        f"The net of {run} can't be exported as {kind}: {first}\n"
        "Nets that look at the values of their inputs can't be, such as recurrent ones, which pack "
        "series by length.\nIts weights can: gdl export RUN --output weights.safetensors"
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporters say of themselves."""
    loggers = [
        logging.getLogger(n) for n in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
