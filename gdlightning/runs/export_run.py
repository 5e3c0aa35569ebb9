"""Export a trained run to one file that can be used without gdlightning."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from gdlightning.data.example_input import Input

KEY = "gdlightning"
"""Key of the metadata in a file: config, sizes and fitted preprocessing, as JSON."""
MAX_RELATIVE_DIFFERENCE = 1e-5


def export(run: str, output: Path, kind: str) -> list[str]:
    """Write the weights, or the whole computation, of a run to one file.

    Args:
        run: a run folder or a checkpoint.
        output: the file to write.
        kind: ``safetensors`` (weights), ``pt2`` or ``onnx``.

    Returns:
        Notes on what the file does not contain.

    Raises:
        UserError: the run cannot be read, or its network cannot be exported in this format.
    """
    writers = {"safetensors": _write_weights, "pt2": _write_program, "onnx": _write_onnx}
    return writers[kind](run, output)


def _write_weights(run: str, output: Path) -> list[str]:
    """Write the state_dict of the run's checkpoint, without building the model."""
    from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
    from gdlightning.storage.weights import write_weights

    require("safetensors", "export", "A .safetensors file")
    path = find_checkpoint(run)
    checkpoint = read_checkpoint(path)
    metadata = _metadata(record_of(checkpoint, path))
    left_out = write_weights(checkpoint["state_dict"], {KEY: metadata}, output)
    return [f"Left out, not tensors: {', '.join(map(str, left_out))}."] if left_out else []


def _write_program(run: str, output: Path) -> list[str]:
    """Write the module's forward with torch.export."""
    import torch

    from gdlightning.storage.atomic_write import open_atomic

    found, _, metadata, notes = _traced(run, "pt2")
    with _quietly(), open_atomic(output) as stream:
        torch.export.save(found, stream, extra_files={f"{KEY}.json": metadata})
    return notes


def _write_onnx(run: str, output: Path) -> list[str]:
    """Write the module's forward as ONNX."""
    for package in ("onnx", "onnxscript"):
        require(package, "export", "A .onnx file")
    import torch

    from gdlightning.storage.atomic_write import open_atomic

    found, inputs, metadata, notes = _traced(run, "onnx")
    names = [i.name for i in inputs]
    with _quietly():
        try:
            made = torch.onnx.export(
                found, dynamo=True, input_names=names, output_names=["output"], verbose=False
            )
            if made is None:
                raise UserError("torch returned no ONNX program.")
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
            raise _export_error(run, "onnx", error) from error
    with open_atomic(output) as stream:
        stream.write(raw)
    return notes


def _metadata(record: dict[str, Any]) -> str:
    """Return config, sizes and preprocessing of a checkpoint's record as JSON."""
    kept = {k: record[k] for k in ("config", "sizes", "fitted")}
    try:
        return json.dumps(kept)
    except (TypeError, ValueError):  # the state of a third-party data module may be anything
        del kept["fitted"]
    try:
        return json.dumps(kept)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The config in the checkpoint cannot be written as JSON: {error}."
        ) from error


def _traced(run: str, kind: str) -> tuple[ExportedProgram, Sequence[Input], str, list[str]]:
    """Export the forward of a run's module.

    Axes of variable length stay dynamic if the network allows it. Otherwise all axes but the batch
    are fixed, or all of them.

    Returns:
        The program, its inputs, the metadata, and a note on fixed axes.

    Raises:
        UserError: torch cannot export the network, or the program computes something else.
    """
    import torch

    from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
    from gdlightning.runs.load_run import restore

    path = str(find_checkpoint(run))
    module, data = restore(path)
    metadata = _metadata(record_of(read_checkpoint(Path(path)), Path(path)))
    make_inputs = _example(module, data)
    errors: list[Exception] = []
    for dynamic in ({"batch", "steps", "words"}, {"batch"}, set[str]()):
        inputs = make_inputs(3 if dynamic else 1)
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
                others = [inputs, make_inputs(1), make_inputs(5)] if dynamic == axes else [inputs]
                gap = max(_gap(module, found, other) for other in others)
            except Exception as error:
                errors.append(error)
                continue
        if not gap <= MAX_RELATIVE_DIFFERENCE:
            errors.append(UserError(f"the exported program differs from the module by {gap:.2g}"))
            continue
        fixed = " and ".join(sorted(axes - dynamic))
        shapes = ", ".join(f"{i.name} {list(i.value.shape)}" for i in inputs)
        return found, inputs, metadata, [f"Fixed in this file: {fixed} ({shapes})."] * bool(fixed)
    raise _export_error(run, kind, errors[0]) from errors[0]


def _example(module: Any, data: Any) -> Callable[[int], Sequence[Input]]:
    """Return a function from a number of examples to inputs.

    They come from the module's ``example_input_array``, or else from the data module.
    """
    from torch import Tensor

    from gdlightning.data.data_module import DataModule
    from gdlightning.data.example_input import Input

    own = module.example_input_array
    if own is None:
        if isinstance(data, DataModule):
            return data.example
        raise UserError(
            f"The inputs of {type(module).__name__} are not known: set its example_input_array.\n"
            "Weights alone do not need it: write a .safetensors file."
        )
    values = own if isinstance(own, tuple | list) else (own,)
    if not all(isinstance(v, Tensor) and v.ndim for v in values):
        raise UserError(
            f"example_input_array of {type(module).__name__} must be a tensor or "
            "a tuple of tensors."
        )
    named = [Input(f"input_{k}", v, {0: "batch"}) for k, v in enumerate(values)]

    def make_inputs(count: int) -> Sequence[Input]:
        """Return ``count`` examples, repeating the first ones if there are fewer."""
        repeated = [
            i.value.repeat(-(-count // len(i.value)), *[1] * (i.value.ndim - 1))[:count]
            for i in named
        ]
        return [Input(i.name, v, i.axes) for i, v in zip(named, repeated, strict=True)]

    return make_inputs


def _shapes(module: Any, inputs: Sequence[Input], dynamic: set[str]) -> dict[str, Any]:
    """Return the dynamic axes per argument of ``forward``, as torch.export expects them."""
    from torch.export import Dim

    dims = {name: Dim(name) for i in inputs for name in i.axes.values() if name in dynamic}
    shapes = [{axis: dims[n] for axis, n in i.axes.items() if n in dims} for i in inputs]
    return dict(inspect.signature(module.forward).bind(*shapes).arguments)


def _gap(module: Any, found: ExportedProgram, inputs: Sequence[Input]) -> float:
    """Return the largest relative difference between the outputs of both."""
    from torch.utils._pytree import tree_leaves

    values = [i.value for i in inputs]
    pairs = zip(tree_leaves(module(*values)), tree_leaves(found.module()(*values)), strict=True)
    gaps = [float(((a - b).abs() / (1 + a.abs())).max()) for a, b in pairs if a.numel()]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def _export_error(run: str, kind: str, error: Exception) -> UserError:
    first = str(error).strip().split("\n")[0][:200]
    return UserError(
        f"The network of {run} cannot be exported as {kind}: {first}\n"
        "Networks whose computation depends on the values of their inputs cannot be exported.\n"
        "Export the weights instead: gdl export RUN --output weights.safetensors"
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the log messages and warnings of the exporters."""
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
