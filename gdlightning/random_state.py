"""Save and restore the global random state and the generators that objects refer to."""

from __future__ import annotations

import functools
import random
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MAX_DEPTH = 6
"""Maximum number of attributes on the path to a generator."""
MAX_OBJECTS = 5_000
"""Maximum number of objects that are searched."""
MAX_ELEMENTS = 64
"""Maximum number of elements per container that are searched."""
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
OPAQUE = (
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
    type,
    Tensor,
    np.ndarray,
    types.ModuleType,
)
"""Types that are not searched."""
LIBRARIES = {"torch", "numpy", "random", "lightning", "torchvision", "builtins", "gdlightning"}
"""Top-level packages whose module globals are not searched."""


def random_state() -> dict[str, Any]:
    """Return the global random states of Python, NumPy and torch, as plain values and tensors."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": _of_numpy(np.random.mtrand._rand),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restore the global random states that ``random_state`` returned."""
    _restore(random._inst, state["python"])
    _restore(np.random.mtrand._rand, state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def find_generators(roots: Mapping[str, Any]) -> dict[str, Any]:
    """Find the random generators that objects refer to.

    The search covers attributes, elements of containers, closures, arguments of partial functions,
    bound methods, and the globals of modules that define functions and classes. It does not cover
    parameters and buffers of modules, tensors and arrays.

    Args:
        roots: The objects to search, by name, such as ``train_dataloader``.

    Returns:
        Each generator of torch, NumPy or Python once, by its path, such as
        ``train_dataloader.sampler.generator``.
    """
    found: dict[str, Any] = {}
    seen: dict[int, Any] = {}  # keeps the objects alive, so that ids are unique
    waiting = [(name, value, 0) for name, value in roots.items()]
    while waiting and len(seen) < MAX_OBJECTS:
        path, value, depth = waiting.pop(0)
        if isinstance(value, OPAQUE) or id(value) in seen or _is_global(value):
            continue
        if depth and _is_machinery(value):
            continue
        seen[id(value)] = value
        if isinstance(value, GENERATORS):
            found[path] = value
        elif depth < MAX_DEPTH:
            waiting += [(f"{path}{name}", inner, depth + 1) for name, inner in _parts(value)]
    return found


def generator_states(generators: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of each generator as plain values and tensors."""
    return {path: _state(generator) for path, generator in generators.items()}


def set_generator_states(generators: Mapping[str, Any], states: Mapping[str, Any]) -> list[str]:
    """Restore the states of generators.

    Args:
        generators: The result of ``find_generators`` in this process.
        states: The result of ``generator_states`` in the checkpoint.

    Returns:
        The paths that occur in only one of the two. Their state cannot be restored.
    """
    for path in generators.keys() & states.keys():
        _restore(generators[path], states[path])
    return sorted(generators.keys() ^ states.keys())


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _of_numpy(generator)
    return _plain(generator.bit_generator.state)


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        version, keys, gauss = state
        generator.setstate((version, tuple(keys), gauss))
    elif isinstance(generator, np.random.RandomState):
        name, keys, position, has_gauss, cached = state
        generator.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    else:
        generator.bit_generator.state = _from_plain(state)


def _of_numpy(generator: np.random.RandomState) -> tuple[Any, ...]:
    name, keys, position, has_gauss, gauss = generator.get_state(legacy=True)
    words = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return str(name), words, int(position), int(has_gauss), float(gauss)


def _plain(value: Any) -> Any:
    """Convert the state of a bit generator, with arrays of 32- or 64-bit words, to plain values."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return {"words": [int(v) for v in value], "dtype": str(value.dtype)}
    return value.item() if isinstance(value, np.generic) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"words", "dtype"}:
            return np.array(value["words"], dtype=value["dtype"])
        return {k: _from_plain(v) for k, v in value.items()}
    return value


def _is_global(value: Any) -> bool:
    """Return whether a generator is a global one, which ``random_state`` covers."""
    return (
        value is np.random.mtrand._rand or value is random._inst or value is torch.default_generator
    )


def _is_machinery(value: Any) -> bool:
    """Return whether an object, which may refer to everything, is an optimizer or Lightning's."""
    library = type(value).__module__.partition(".")[0] in ("lightning", "pytorch_lightning")
    return library or isinstance(value, torch.optim.Optimizer)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects that an object refers to, each with the suffix of its path."""
    if isinstance(value, Mapping):
        yield from _elements((f"[{key!r}]", inner) for key, inner in _first(value.items()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from _elements((f"[{k}]", inner) for k, inner in enumerate(_first(value)))
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, types.MethodType):
        yield from ((".__self__", value.__self__), (".__func__", value.__func__))
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=False)
        yield from ((f".{name}", _content(cell)) for name, cell in cells)
        yield ".__defaults__", value.__defaults__
        yield ".__kwdefaults__", value.__kwdefaults__
        yield from _globals(value)
    else:
        skipped = ("_parameters", "_buffers") if isinstance(value, nn.Module) else ()
        held = getattr(value, "__dict__", {})
        yield from (
            (f".{name}", inner)
            for name, inner in list(held.items())
            if name not in skipped and not name.startswith("__")
        )
        yield from _globals(type(value))


def _first(values: Iterable[Any]) -> list[Any]:
    return [value for value, _ in zip(values, range(MAX_ELEMENTS), strict=False)]


def _elements(parts: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return ((name, inner) for name, inner in parts if not isinstance(inner, OPAQUE))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _globals(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the generators among the globals of the module that defines a function or class."""
    name = getattr(owner, "__module__", None) or ""
    module = sys.modules.get(name)
    if module is None or name.partition(".")[0] in LIBRARIES:
        return
    for key, value in list(vars(module).items()):
        if isinstance(value, GENERATORS):
            yield f"<{name}>.{key}", value
