"""Check the settings of a run against the options of the selected classes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from gdlightning.config import profiles
from gdlightning.config.given_objects import Objects, check_objects
from gdlightning.config.optimizer_parts import compose
from gdlightning.config.settings import (
    FIXED,
    NAMED,
    SECTIONS,
    Setting,
    at,
    located,
    placed,
    put,
)
from gdlightning.config.typed_values import parse
from gdlightning.config.value_checks import check_general
from gdlightning.errors import UserError, did_you_mean, nearest, shown
from gdlightning.signature import Option, options_of

if TYPE_CHECKING:
    from gdlightning.optimizers.choice import Choice

VERSION = 1
SYNONYMS = {"learning_rate": "lr", "wd": "weight_decay", "epochs": "max_epochs",
            "steps": "max_steps", "gpus": "devices", "amp": "precision"}  # fmt: skip
DEFAULTS = {"optimizer": "adamw", "schedule": "constant", "clip": "none"}


@dataclass(frozen=True)
class General:
    """Options of the run as a whole.

    Args:
        version: version of the config format.
        name: name of the run; its folder is RUN_ROOT/NAME/version_N.
        seed: seed of weights, data order and random numbers.
        run_root: folder of all runs.
        imports: modules to import first, such as one that registers an optimizer.
        loggers: any of tensorboard, csv, wandb, mlflow.
        init_from: checkpoint or .safetensors file with the initial weights of the model.
        threads: number of CPU threads of torch; chosen by torch if not set.
        resume: auto resumes the newest unfinished run of this config, or starts a new one; a run
            folder resumes that run from its newest checkpoint, a checkpoint file from that one.
        resume_changed: resume the run that ``resume`` names although its options differ.
        resume_schedule: how the schedule continues if ``resume`` names a run and max_epochs or
            max_steps is higher than before. stretch (the default of unfinished runs) computes it
            for the new length; restart (the default of finished runs) begins it again for the
            additional steps; constant keeps it and its last learning rate.
        overwrite: replace the newest version of this name instead of adding one; the former run is
            kept as version_N.replaced until the new one ends and has saved a checkpoint.
        profile: full shows and logs everything; fast disables loggers, progress bar, guard and
            training metrics, each of which can be enabled separately.
        compile: compile net and, on a GPU, optimizer with torch.compile, and report the time that
            it costs and saves.
        recompute: shell patterns of parts of the model, such as net.blocks.*, whose activations are
            recomputed in the backward pass instead of stored (activation checkpointing).
        max_time: stop and save after this time, such as 90s, 30m, 2h or 01:30:00.
        check_resume: check that this run resumes exactly: train for this number of optimizer steps,
            save, resume in a new process, and compare all bits with an uninterrupted run. Nothing
            else is trained.
        dry_run: check everything up to the first step, print the plan, and write nothing.
        quiet: print only errors and the run folder.
        patience: stop early after this number of validations without improvement of
            checkpoint.monitor.
        stop_after: stop and save after this number of optimizer steps in this process; a resumed
            run takes as many again.
        callbacks: additional callbacks of Lightning, of gdlightning, or your own, each a name or
            {name, options}.
    """

    version: int = VERSION
    name: str = "run"
    seed: int = 0
    run_root: str = "runs"
    imports: list[str] = field(default_factory=list)
    loggers: list[str] = field(default_factory=lambda: ["tensorboard", "csv"])
    init_from: str | None = None
    threads: int | None = None
    resume: str | None = None
    resume_changed: bool = False
    resume_schedule: Literal["stretch", "restart", "constant"] | None = None
    overwrite: bool = False
    profile: Literal["full", "fast"] = "full"
    compile: bool = False
    recompute: list[str] = field(default_factory=list)
    max_time: str | None = None
    check_resume: int | None = None
    dry_run: bool = False
    quiet: bool = False
    patience: int | None = None
    stop_after: int | None = None
    callbacks: list[str | dict[str, Any]] = field(default_factory=list)


@dataclass
class Config:
    """Checked settings.

    Attributes:
        values: nested, with a ``name`` in each named section; every option has its value.
        given: dotted key → setting that the user gave.
        classes: named section → its class or function.
        note: message about settings derived from others; empty if there are none.
        objects: Python objects that a file cannot store, by dotted key; empty for a config of
            files and flags alone.
    """

    values: dict[str, Any]
    given: dict[str, Setting]
    classes: dict[str, Any]
    note: str = ""
    objects: Objects = field(default_factory=Objects)

    @functools.cached_property
    def choice(self) -> Choice:
        """Optimizer with its options, looked up in the registry once.

        Raises:
            UserError: if a name or option is unknown, or a value is out of range.
        """
        from gdlightning.optimizers.choice import Choice

        return Choice.of(self.chosen("optimizer"))

    def section(self, name: str) -> dict[str, Any]:
        """Return the options of a section, without ``name`` and nested sections."""
        tree: Any = self.values
        for part in name.split("."):
            tree = tree.get(part, {})
        nested = {s.removeprefix(f"{name}.") for s in NAMED if s.startswith(f"{name}.")}
        return {k: v for k, v in tree.items() if k != "name" and k not in nested}

    def chosen(self, name: str) -> dict[str, Any]:
        """Return the parsed values that the user set in a named section, including ``name``."""
        tree: Any = self.values
        for part in name.split("."):
            tree = tree.get(part, {})
        nested = {s.removeprefix(f"{name}.") for s in NAMED if s.startswith(f"{name}.")}
        set_here = {k.removeprefix(f"{name}.").split(".")[0] for k in self.given
                    if k.startswith(f"{name}.")}  # fmt: skip
        found = {k: v for k, v in tree.items() if k == "name" or k in set_here - nested}
        for key in nested:
            if f"{name}.{key}" in self.classes:
                found[key] = self.chosen(f"{name}.{key}")
        return found


def check(merged: dict[str, Setting], objects: Objects | None = None) -> Config:
    """Find the selected classes, and check every key and value against their options.

    Args:
        merged: dotted key → setting; default names of nested sections are added.
        objects: Python objects that settings name (``object:…``) but cannot store, by dotted key.

    Raises:
        UserError: with key, value, origin, and similar names.
    """
    _check_version(merged)
    _check_names(merged)
    _import(merged)
    objects = Objects() if objects is None else objects
    check_objects(merged, objects)
    _check_net_has_task(merged)
    classes, known = _known(merged, objects)
    for key, setting in merged.items():
        _check_key(key, setting, known, classes)
    values = parse(merged, known)
    for section in classes:
        put(values, f"{section}.name", str(_name(merged, section)))
    profiles.apply(values, merged)
    compose(values, merged)
    for key, option in known.items():
        if option.required and key not in merged:
            text = (option.help or option.type_name).rstrip(".")
            chosen = merged.get(f"{key.rpartition('.')[0]}.name")
            raise at(UserError(f"{key} is missing: {text}.", key=key), chosen)
    try:
        check_general(values)
    except UserError as error:
        raise located(error, merged) from error
    return Config(values, merged, classes, objects=objects)


def _check_net_has_task(merged: Mapping[str, Setting]) -> None:
    """Check that a net has a task to be trained for.

    Raises:
        UserError: if it has none, with what to write.
    """
    net = merged.get("model.net.name")
    if net is not None and "model.name" not in merged:
        error = UserError(
            f"The net {shown(net.value)} has no task to be trained for.\n"
            "Write --task classification, --task regression, or --task custom-loss --model.loss "
            "NAME."
        )
        raise at(error, net)


def _check_names(merged: Mapping[str, Setting]) -> None:
    """Check for a misspelled ``name`` of a section, which would select the default.

    Raises:
        UserError: with the correct key.
    """
    for key, setting in merged.items():
        section, _, last = key.rpartition(".")
        if section in NAMED and f"{section}.name" not in merged and nearest(last, ["name"]):
            raise at(UserError(f"There is no option {key}. Did you mean {section}.name?"), setting)


def _name(merged: Mapping[str, Setting], section: str) -> Any:
    setting = merged.get(f"{section}.name")
    return DEFAULTS.get(section) if setting is None or setting.value is None else setting.value


def _known(
    merged: dict[str, Setting], objects: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Option]]:
    """Return named section → class, and dotted key → option, for the selected names."""
    from gdlightning.config import sections as choices

    known = dict(options_of(General))
    for section in FIXED:
        known |= {f"{section}.{k}": o for k, o in choices.fixed_options(section).items()}
    rules = "a list of {pattern, lr, weight_decay, freeze}; the first match applies"
    known["groups.rules"] = Option("rules", list[dict[str, Any]] | None, None, rules)
    known |= {f"trainer.{k}": o for k, o in choices.trainer_options().items()}
    classes: dict[str, Any] = {}
    for section in ("model", "data", "optimizer", "schedule", "clip"):
        if section == "optimizer":
            _keep_own_optimizers(classes.get("model"), merged)
        if section == "clip":
            _name_norm(merged)
        _choose(section, merged, classes, known, choices.find, objects)
    return classes, known


def _name_norm(merged: dict[str, Setting]) -> None:
    """Read ``clip: 1.0`` as a maximum norm."""
    given = merged.get("clip.name")
    if given is None or not re.fullmatch(r"\d*\.?\d+([eE][-+]?\d+)?", str(given.value)):
        return
    merged["clip.name"] = Setting("clip.name", "norm", given.origin)
    merged.setdefault("clip.max_norm", Setting("clip.max_norm", float(given.value), given.origin))


def _keep_own_optimizers(model: Any, merged: dict[str, Setting]) -> None:
    """Choose the model's own optimizers if it has some and no other one is named."""
    if "optimizer.name" in merged or not isinstance(model, type):
        return
    from gdlightning.engine.module_optimization import has_optimizers
    from gdlightning.optimizers.registry import MODULE

    if has_optimizers(model):
        origin = f"{model.__name__}.configure_optimizers"
        merged["optimizer.name"] = Setting("optimizer.name", MODULE.name, origin)


def _choose(
    section: str,
    merged: dict[str, Setting],
    classes: dict[str, Any],
    known: dict[str, Option],
    find: Callable[..., Any],
    objects: Mapping[str, Any],
) -> None:
    if section in objects:
        classes[section] = type(objects[section])
        return
    name = _name(merged, section)
    if name is None:
        return
    try:
        plain = isinstance(name, str | int | float) and str(name).isprintable()
        if not plain or not str(name).strip():
            raise UserError(f"{section} must be a name", value=name)
        choice = find(section, str(name))
    except UserError as error:
        named = error.within(section) if "." in section else error
        raise at(named, merged.get(f"{section}.name")) from error
    classes[section] = choice.target
    known |= {f"{section}.{k}": o for k, o in choice.options.items()}
    for nested, default in choice.nested.items():
        inner = f"{section}.{nested}"
        if default and f"{inner}.name" not in merged:
            merged[f"{inner}.name"] = Setting(f"{inner}.name", default, "the default")
        _choose(inner, merged, classes, known, find, objects)


def _check_key(
    key: str, setting: Setting, known: Mapping[str, Option], classes: Mapping[str, Any]
) -> None:
    section, _, last = key.rpartition(".")
    if key in known or (last == "name" and section in classes):
        return
    if any(key.startswith(f"{k}.") and _holds_dict(o.type) for k, o in known.items()):
        return
    from gdlightning.optimizers.registry import MODULE

    head = key.partition(".")[0]
    inside = [k for k in known if k.startswith(f"{section}.")] if section else []
    message = f"There is no option {shown(key)}.{_near(key, inside, known, classes)}"
    if section in classes:
        chosen = getattr(classes[section], "name", None) or classes[section].__name__
        names = [k.removeprefix(f"{section}.") for k in inside]
        message = (
            f"{chosen} has no option {shown(last)} ({shown(key)})."
            f"{did_you_mean(SYNONYMS.get(last, last), ['name', *names])}\n"
            f"Available options: {', '.join(names) or 'none'}."
        )
        if section == "optimizer" and classes[section] is MODULE:
            message = (
                f"{shown(key)} is set, but the optimizers are the model's own "
                "(configure_optimizers).\nName the one that it is for, such as --optimizer adamw."
            )
    elif section in NAMED and not inside:
        message = (
            f"{shown(key)} is set, but {section}.name does not say which {section} it is for."
            f"{did_you_mean(last, ['name'])}"
        )
    elif section and head not in {k.partition(".")[0] for k in (*known, *NAMED)}:
        heads = [s for s in (*NAMED, *SECTIONS) if "." not in s]
        message = f"There is no section {shown(head)} ({shown(key)}).{did_you_mean(head, heads)}"
    raise at(UserError(message), setting)


def _near(key: str, inside: list[str], known: Mapping[str, Option], classes: Any) -> str:
    """Suggest the same option of another section, or else options with similar names."""
    last = key.rpartition(".")[2]
    same = [k for k in known if k.rpartition(".")[2] == SYNONYMS.get(last, last)]
    if same:
        return f" Did you mean {same[0]}?"
    return did_you_mean(key, inside or [*known, *classes, *SECTIONS])


def _holds_dict(kind: Any) -> bool:
    return "dict" in str(kind)


def _check_version(merged: Mapping[str, Setting]) -> None:
    setting = merged.get("version")
    if setting is not None and str(setting.value) != str(VERSION):
        raise at(
            UserError(
                f"version must be {VERSION} for this gdlightning",
                key="version",
                value=setting.value,
                hint=f"See CHANGELOG.md for what to change, and set version: {VERSION}.",
            ),
            setting,
        )


def _import(merged: Mapping[str, Setting]) -> None:
    from gdlightning.discovery import import_module

    setting = merged.get("imports")
    if setting is None:
        return
    wanted = setting.value if isinstance(setting.value, list) else str(setting.value).split(",")
    for module in wanted:
        with placed(setting):
            import_module(str(module), f"imports: {module}")
