"""A user's modules, data modules and callbacks that save values of every type.

``states.py`` copies this file into the folder of each run. It does not import gdlightning. On a
resume, every owner compares the restored value with the one that it saved, and writes differences
and missing values to a file.
"""

from __future__ import annotations

import enum
import fractions
import math
import os
import random
import signal
import sys
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import BaseFinetuning
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Record:
    """A dataclass with others in it."""

    name: str
    scores: list[float] = field(default_factory=list)
    where: Path = Path("a/b")
    weights: Any = None


class Pair(NamedTuple):
    """A named tuple."""

    low: int
    high: float


class Colour(enum.Enum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enum of integers."""

    LOW = 1
    HIGH = 2


class Guarded:
    """An object that no file can hold: it has a lock."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 3


class Plain:
    """An object of a class of the user's own."""

    def __init__(self) -> None:
        self.count, self.names = 3, ["a", "b"]


def square(x: float) -> float:
    """A function."""
    return x * x


def counted() -> defaultdict[str, int]:
    """A defaultdict with content."""
    found: defaultdict[str, int] = defaultdict(int)
    found["a"] = 2
    return found


VALUES: dict[str, Callable[[], Any]] = {
    "numpy_float": lambda: np.float64(0.1),
    "numpy_int": lambda: np.int64(7),
    "numpy_bool": lambda: np.bool_(True),
    "array": lambda: np.arange(6, dtype=np.int64).reshape(2, 3),
    "array_of_text": lambda: np.array(["a", "bc"]),
    "path": lambda: Path("some/where"),
    "record": lambda: Record("x", [0.5], Path("c"), torch.ones(2)),
    "moment": lambda: datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC),
    "day": lambda: date(2024, 2, 29),
    "duration": lambda: timedelta(days=2, microseconds=3),
    "default_dict": counted,
    "ordered_dict": lambda: OrderedDict([("b", 1), ("a", [2])]),
    "a_set": lambda: {1, "a", 2.5},
    "frozen_set": lambda: frozenset({1, 2}),
    "counter": lambda: Counter("abca"),
    "a_deque": lambda: deque([1.5, 2.5], maxlen=3),
    "named_tuple": lambda: Pair(1, 2.5),
    "an_enum": lambda: Colour.BLUE,
    "int_enum": lambda: Level.HIGH,
    "complex_number": lambda: 1.5 - 2j,
    "raw_bytes": lambda: b"\0\xff bytes",
    "byte_array": lambda: bytearray(b"\0\xff"),
    "decimal": lambda: Decimal("0.10"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "an_uuid": lambda: uuid.UUID(int=5),
    "generator_state": lambda: torch.Generator().manual_seed(4).get_state(),
    "numpy_generator_state": lambda: np.random.default_rng(4).bit_generator.state,
    "python_generator_state": lambda: random.Random(4).getstate(),
    "tuple_keys": lambda: {("a", 1): {("b", (2,)): [3]}, (): None},
    "int_keys": lambda: {0: "a", -5: {7: 1.5}, True: None, 2.5: "f"},
    "large_numbers": lambda: [2**200, -(2**64), 2**63, 10**400, 1e308, -0.0],
    "odd_floats": lambda: [math.nan, math.inf, -math.inf],
    "a_range": lambda: range(2, 10, 3),
    "a_slice": lambda: slice(1, None, 2),
    "dtype_and_device": lambda: {"dtype": torch.bfloat16, "device": torch.device("cpu")},
    "size": lambda: torch.Size([2, 3]),
    "parameter": lambda: nn.Parameter(torch.ones(3)),
    "deep": lambda: {"a": [({"b": (np.float32(1), Path("x"))}, {Colour.RED})], "n": None},
    "object": Plain,
    "lock_holder": Guarded,
    "anonymous": lambda: lambda x: x + 1,
    "open_file": lambda: open(os.devnull),  # noqa: SIM115
    "a_class": lambda: nn.GELU,
    "a_function": lambda: square,
}


def same(one: Any, two: Any) -> bool:
    """Whether two values have the same type and content, all through."""
    if type(one) is not type(two):
        return False
    if isinstance(one, Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and bool((one == two).all())
    if isinstance(one, dict):
        factories = getattr(one, "default_factory", 0), getattr(two, "default_factory", 0)
        pairs = zip(one.items(), two.items(), strict=True)
        return (
            len(one) == len(two)
            and factories[0] is factories[1]
            and all(same(k, m) and same(v, w) for (k, v), (m, w) in pairs)
        )
    if isinstance(one, list | tuple | deque):
        ends = getattr(one, "maxlen", None) == getattr(two, "maxlen", None)
        return ends and len(one) == len(two) and all(map(same, one, two))
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(two, f.name)) for f in fields(one))
    if isinstance(one, Plain):
        return same(one.__dict__, two.__dict__)
    if isinstance(one, float):
        return repr(one) == repr(two)
    return bool(one == two)


class Holder:
    """A value that is to be saved, under its own name."""

    def __init__(self, value: str) -> None:
        self.key = value
        self.value = VALUES[value]() if value else None

    def saved(self) -> dict[str, Any]:
        """Return a state with further plain values."""
        return {"steps": 3, self.key: self.value} if self.key else {}

    def check(self, state: Any) -> None:
        """Note whether a state is what was saved."""
        if not self.key:
            return
        given = state if isinstance(state, dict) else {}
        if self.key not in given:
            note("missing", f"{self.key}: {state!r}")
        elif not same(given[self.key], self.value):
            note("wrong", f"{self.key}: saved {self.value!r}, got {given[self.key]!r}")
        if given.get("steps") != 3:
            note("wrong", f"what stood beside {self.key} is {given.get('steps')!r}")
        note("loaded", self.key)


def note(name: str, text: str) -> None:
    """Add a line to a file of the working directory."""
    with open(name, "a") as stream:
        stream.write(" ".join(text.split()) + "\n")


class Base(L.LightningModule):
    """Regression with dropout, which asks its process to stop after the batch ``STOP_AT``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
        self.batches = 0  # of this process

    def noise(self, x: Tensor) -> Any:
        """Something that is added to the input."""
        return 0.0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if not self.batches:
            text = f"The first batch, after {self.global_step} steps."
            print(text, file=sys.stderr, flush=True)
        x, y = batch
        loss: Tensor = (self.net(x + self.noise(x)) - y).square().mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        if os.environ.get("STOP_AT") == str(self.batches):
            os.kill(os.getpid(), signal.SIGTERM)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", (self.net(x) - y).square().mean())


class Module(Base):
    """Saves a value in on_save_checkpoint."""

    def __init__(self, value: str = "") -> None:
        super().__init__()
        self.holder = Holder(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = self.holder.saved()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.holder.check(checkpoint.get("mine"))


class TopLevel(Module):
    """Saves a value as an entry of the checkpoint itself."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.update(self.holder.saved())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.holder.check(checkpoint)


class Keeper(nn.Module):
    """A layer with an extra state."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.holder = Holder(value)

    def get_extra_state(self) -> Any:
        return self.holder.saved()

    def set_extra_state(self, state: Any) -> None:
        self.holder.check(state)


class Extra(Base):
    """Saves a value in get_extra_state of a layer."""

    def __init__(self, value: str = "") -> None:
        super().__init__()
        self.keeper = Keeper(value)


class Data(L.LightningDataModule):
    """Saves a value in its state_dict."""

    def __init__(self, value: str = "") -> None:
        super().__init__()
        self.holder = Holder(value)

    def dataset(self, count: int) -> TensorDataset:
        x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))
        return TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self) -> Any:
        return DataLoader(self.dataset(32), 4, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.dataset(8), 4)

    def state_dict(self) -> dict[str, Any]:
        return self.holder.saved()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.holder.check(state_dict)


class Doubles(Data):
    """Data in double precision."""

    def dataset(self, count: int) -> TensorDataset:
        return TensorDataset(*(t.double() for t in super().dataset(count).tensors))


class State(L.Callback):
    """Saves a value in its state_dict."""

    def __init__(self, value: str) -> None:
        self.holder = Holder(value)

    def state_dict(self) -> dict[str, Any]:
        return self.holder.saved()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.holder.check(state_dict)


class Saving(L.Callback):
    """Saves a value in on_save_checkpoint."""

    def __init__(self, value: str) -> None:
        self.holder = Holder(value)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["callback's"] = self.holder.saved()

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        self.holder.check(checkpoint.get("callback's"))


class Hyper(Base):
    """Compares its hyper-parameters with those in the checkpoint."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get("hyper_parameters") or {}
        for key, value in self.hparams.items():
            if key not in found:
                note("missing", f"{key}: not in hyper_parameters")
            elif not same(found[key], value):
                note("wrong", f"{key}: saved {value!r}, got {found[key]!r}")
        note("loaded", "hyper_parameters")


class HyperClass(Hyper):
    """A class as the default of a hyper-parameter."""

    def __init__(self, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperFunction(Hyper):
    """A function as the default of a hyper-parameter."""

    def __init__(self, transform: Callable[[float], float] = square) -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperLambda(Hyper):
    """A lambda as the default of a hyper-parameter, without a type."""

    def __init__(self, anonymous=lambda x: x) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.save_hyperparameters()


class HyperPath(Hyper):
    """A path as the default of a hyper-parameter."""

    def __init__(self, where: Path = Path("a/b")) -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperEnum(Hyper):
    """An enum as the default of a hyper-parameter."""

    def __init__(self, colour: Colour = Colour.RED) -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperDtype(Hyper):
    """A torch dtype as the default of a hyper-parameter."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperNested(Hyper):
    """Nested hyper-parameters, given as a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(
            {
                "nested": {
                    "a": {"act": nn.ReLU, "where": Path("x"), "colour": Colour.BLUE},
                    "b": [square, torch.float16, np.float64(0.5)],
                },
                "level": Level.LOW,
                "record": Record("y"),
                "moment": datetime(2024, 1, 1),
            }
        )


class HyperModule(Hyper):
    """A module as a hyper-parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"backbone": nn.Linear(2, 2), "width": 3})


class HyperOpen(Hyper):
    """Hyper-parameters that no file can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"guarded": Guarded(), "width": 3})


class Named(Hyper):
    """Hyper-parameters that are named as options of the run are."""

    def __init__(self, seed: int = 5, compile: bool = True, profile: str = "p") -> None:
        super().__init__()
        self.save_hyperparameters()


class NamedName(Hyper):
    """A hyper-parameter that is called name."""

    def __init__(self, name: str = "n") -> None:
        super().__init__()
        self.save_hyperparameters()


class HyperData(Data):
    """A data module with hyper-parameters of all kinds."""

    def __init__(self, where: Path = Path("d"), activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.save_hyperparameters()


class OwnTorchGenerator(Base):
    """A module with its own torch.Generator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def noise(self, x: Tensor) -> Any:
        return 0.3 * torch.randn(x.shape, generator=self.generator)


class OwnNumpyGenerator(Base):
    """A module with its own numpy generator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = np.random.default_rng(1)

    def noise(self, x: Tensor) -> Any:
        return 0.3 * float(self.generator.normal())


class OwnPythonGenerator(Base):
    """A module with its own random.Random."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = random.Random(1)

    def noise(self, x: Tensor) -> Any:
        return 0.3 * self.generator.random()


class SavedGenerator(OwnTorchGenerator):
    """A module that saves its own generator itself."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["generator"] = self.generator.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.generator.set_state(checkpoint["generator"])
        note("loaded", "generator")


class SavedAverage(Base):
    """A module that saves a moving average as a float of numpy's, and trains by it."""

    def __init__(self) -> None:
        super().__init__()
        self.average = np.float64(0)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.average = 0.9 * self.average + 0.1 * np.float64(loss.item())
        return loss / float(1 + self.average)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["average"] = self.average

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.average = checkpoint["average"]
        if not isinstance(self.average, np.float64):
            note("wrong", f"average is {self.average!r}")
        note("loaded", "average")


class Unfreeze(BaseFinetuning):
    """Lightning's way to unfreeze a part in the second epoch."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer, lr=1e-3)


class Switch(L.Callback):
    """Switches requires_grad at the start of an epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.net[0].weight.requires_grad_(trainer.current_epoch % 2 == 0)


class SwitchOnce(L.Callback):
    """Switches requires_grad after a step, and never again."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if trainer.global_step == 9:
            pl_module.net[0].weight.requires_grad_(False)


class SometimesLogged(L.Callback):
    """Logs values on some steps only, in all ways."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        step = trainer.global_step
        if step % 3 == 0:
            pl_module.log("third", float(step), on_step=True, on_epoch=True)
        if step == 9:
            pl_module.log("ninth", 9.0, on_step=False, on_epoch=True, reduce_fx="max")
        if step % 4 == 0:
            pl_module.log("sum", 1.0, on_step=False, on_epoch=True, reduce_fx="sum")
            trainer.logger.log_metrics({"direct": float(step)}, step=step)
