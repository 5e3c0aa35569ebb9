"""Classes that each section of a config can select by name, and their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gdlightning.discovery import Catalogue, import_path
from gdlightning.errors import UserError
from gdlightning.signature import Option, options_of
from gdlightning.tasks.catalogues import NETS, TASKS

DATA = Catalogue("gdlightning.data", "data", base="lightning.pytorch:LightningDataModule")

NOT_TRAINER = {
    "logger", "callbacks", "plugins", "gradient_clip_val", "gradient_clip_algorithm",
    "default_root_dir", "use_distributed_sampler", "reload_dataloaders_every_n_epochs", "max_time",
    "barebones", "model_registry", "limit_predict_batches",
}  # fmt: skip
"""Trainer arguments that other sections set, or that have no effect in gdlightning."""


@dataclass(frozen=True)
class Found:
    """Selected class or function, with its options and nested sections."""

    target: Any
    options: dict[str, Option]
    nested: dict[str, str | None] = field(default_factory=dict)


def find(section: str, name: str) -> Found:
    """Return the class or function with the given name in a section.

    Raises:
        UserError: if there is none. The message suggests similar names.
    """
    kind = section.rpartition(".")[2]
    finders: dict[str, Callable[[str], Found]] = {
        "model": _task,
        "net": _net,
        "data": _data,
        "schedule": _schedule,
        "clip": _clip,
        "optimizer": _composed,
    }
    return finders.get(kind, _single)(name)


def _net(name: str) -> Found:
    from gdlightning.tasks.construct import LINKED, is_third_party

    cls = NETS.find(name)
    options = _linked(options_of(cls))
    if is_third_party(cls):  # sizes come from the data, also where the class has a default
        options = {
            k: Option(k, o.type | None, None, o.help)
            if k in LINKED and isinstance(o.type, type)
            else o
            for k, o in options.items()
        }
    return Found(cls, options)


def _data(name: str) -> Found:
    cls = DATA.find(name)
    return Found(cls, options_of(cls))


def _linked(options: dict[str, Option]) -> dict[str, Option]:
    """Make required options optional, because their values may come from the data."""
    return {
        k: Option(k, o.type | None if isinstance(o.type, type) else o.type, None, o.help)
        if o.required
        else o
        for k, o in options.items()
    }


def _task(name: str) -> Found:
    _check_is_task(name)
    cls = TASKS.find(name)
    takes_net = "net" in inspect.signature(cls.__init__).parameters
    nested = {"net": getattr(cls, "default_net", None)} if takes_net else {}
    return Found(cls, _linked(options_of(cls, skip={"net"} if takes_net else ())), nested)


def _check_is_task(name: str) -> None:
    """Check that a class path is not that of a plain network.

    Raises:
        UserError: if it is, with what to write instead.
    """
    if "." not in name:
        return
    import lightning.pytorch as L
    from torch import nn

    found = import_path(name, "model")
    plain = inspect.isclass(found) and issubclass(found, nn.Module)
    if plain and not issubclass(found, L.LightningModule):
        raise UserError(
            f"model {name} is a plain network (torch.nn.Module), which has no loss.\n"
            f"Write --net {name} --task classification (or --task regression, or "
            "--task custom-loss --model.loss NAME)."
        )


def _schedule(name: str) -> Found:
    from gdlightning.schedules import Schedule, find, options

    own = {k: Option(k, p.annotation, p.default) for k, p in options(name).items()}
    shared = options_of(Schedule, skip={"name", "options"})
    described = options_of(find(name))
    return Found(find(name), shared | own | {k: o for k, o in described.items() if k in own})


def _clip(name: str) -> Found:
    from gdlightning.clipping import find

    return Found(find(name), options_of(find(name)))


COMPOSITION = {
    "parts": Option(
        "parts", list[dict[str, Any]] | None, None,
        "other optimizers for parameters by pattern: a list of {pattern, name, options}",
    ),
    "wrappers": Option(
        "wrappers", list[str | dict[str, Any]] | None, None,
        "wrappers around the optimizer, outermost first: gdl list wrapper",
    ),
    "in_backward": Option(
        "in_backward", bool, False, "step each parameter in the backward pass, which saves memory"
    ),
}  # fmt: skip
"""Options of every optimizer in addition to its own."""


def _composed(name: str) -> Found:
    from gdlightning.optimizers.choice import sub_choices
    from gdlightning.optimizers.registry import MODULE

    own = _single(name)
    if own.target is MODULE:
        return own
    return Found(own.target, own.options | COMPOSITION, sub_choices(own.target))


def _single(name: str) -> Found:
    """Return an optimizer without composition: a companion or a base."""
    from gdlightning.optimizers.options import options
    from gdlightning.optimizers.registry import find

    entry = find(name)
    return Found(entry, options(entry))


def trainer_options() -> dict[str, Option]:
    """Return the arguments of Lightning's Trainer that a config can set."""
    from lightning.pytorch import Trainer

    return options_of(Trainer, NOT_TRAINER)


def fixed_options(section: str) -> dict[str, Option]:
    """Return the options of a section that is not selected by name."""
    from gdlightning.callbacks.checkpoints import Checkpoints
    from gdlightning.callbacks.monitor import Monitor
    from gdlightning.callbacks.step_logger import Watch
    from gdlightning.engine.divergence_guard import Guard
    from gdlightning.optimizers.groups import Grouping

    targets = {"groups": Grouping, "watch": Watch, "monitor": Monitor,
               "checkpoint": Checkpoints, "guard": Guard}  # fmt: skip
    return options_of(targets[section], skip={"folder", "stops"})
