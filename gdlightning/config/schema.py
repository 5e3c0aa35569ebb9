"""A whole training, read from files and flags, checked, and ready to be built or saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gdlightning.config import profiles
from gdlightning.config.given_objects import Objects, check_objects
from gdlightning.config.optimizer_parts import compose
from gdlightning.config.settings import (
    FIXED,
    NAMED,
    SECTIONS,
    Setting,
    at,
    placed,
    put,
    shown,
)
from gdlightning.config.typed_values import parse
from gdlightning.config.value_checks import check_general
from gdlightning.errors import UserError, did_you_mean, nearest
from gdlightning.signature import Option, options_of

VERSION = 1
SYNONYMS = {"learning_rate": "lr", "wd": "weight_decay", "epochs": "max_epochs",
            "steps": "max_steps", "gpus": "devices", "amp": "precision"}  # fmt: skip
DEFAULTS = {"optimizer": "adamw", "schedule": "constant", "clip": "none"}


@dataclass(frozen=True)
class General:
    """What concerns the run as a whole.

    Args:
        version: of the config format.
        name: of the run; its folder is RUN_ROOT/NAME/version_N.
        seed: of weights, data order and random numbers.
        run_root: the folder of all runs.
        imports: modules to import first, e.g. one that registers an optimizer.
        loggers: any of tensorboard, csv, wandb, mlflow.
        init_from: a checkpoint or .safetensors file whose weights the model starts from.
        threads: CPU threads of torch; its own choice if not given.
        resume: auto resumes the newest unfinished run of this config, or starts a new one; a run
            folder resumes that run from its newest checkpoint, a checkpoint file from that one.
        resume_changed: resume the run that ``resume`` names although its options differ.
        overwrite: replace the newest version of this name instead of adding one; the former run is
            kept as version_N.replaced until the new one ends and has saved a checkpoint.
        profile: full shows all that a training does; fast leaves out loggers, bar, guard and
            training metrics, each of which can be given by itself.
        compile: compile net and, on a GPU, optimizer with torch.compile; what it costs and gains
            is told.
        recompute: shell patterns of parts of the model, such as net.blocks.*, whose activations are
            computed again in the backward pass instead of kept (activation checkpointing).
        max_time: stop and save after this time, such as 90s, 30m, 2h or 01:30:00.
        check_resume: Check that this training resumes exactly: train so many optimizer steps, save,
            restore in a new process, train on, and compare all bits with a run that was not
            interrupted. Nothing else is trained.
        stop_after: stop and save after this number of optimizer steps of this process; a resumed
            run makes as many more.
        callbacks: further callbacks of Lightning's, of gdlightning's or of your own, each a name or
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
    overwrite: bool = False
    profile: Literal["full", "fast"] = "full"
    compile: bool = False
    recompute: list[str] = field(default_factory=list)
    max_time: str | None = None
    check_resume: int | None = None
    stop_after: int | None = None
    callbacks: list[str | dict[str, Any]] = field(default_factory=list)


@dataclass
class Config:
    """Checked settings.

    Attributes:
        values: nested, with a ``name`` in each named section; every option has its value.
        given: dotted key → the setting that the user gave.
        classes: named section → its class or function.
        note: what was derived from other settings, for people; empty where nothing was.
        objects: Python objects that a file cannot store, by dotted key; empty for a config of
            files and flags alone.
    """

    values: dict[str, Any]
    given: dict[str, Setting]
    classes: dict[str, Any]
    note: str = ""
    objects: Objects = field(default_factory=Objects)

    def section(self, name: str) -> dict[str, Any]:
        """The options of a section, without ``name`` and nested sections."""
        tree: Any = self.values
        for part in name.split("."):
            tree = tree.get(part, {})
        nested = {s.removeprefix(f"{name}.") for s in NAMED if s.startswith(f"{name}.")}
        return {k: v for k, v in tree.items() if k != "name" and k not in nested}

    def chosen(self, name: str) -> dict[str, Any]:
        """What the user set in a named section, its ``name`` included, values as parsed."""
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
    """Find the classes, and check every key and value against them.

    Args:
        merged: dotted key → setting.
        objects: Python objects that settings name (``object:…``) but cannot store, by dotted key.

    Raises:
        UserError: with file, key, value, and the nearest right one.
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
    profiles.apply(values, merged)
    compose(values, merged)
    for section in classes:
        put(values, f"{section}.name", str(_name(merged, section)))
    for key, option in known.items():
        if option.required and key not in merged:
            text = (option.help or option.type_name).rstrip(".")
            chosen = merged.get(f"{key.rpartition('.')[0]}.name")
            raise at(UserError(f"{key} is missing: {text}."), chosen)
    try:
        check_general(values)
    except UserError as error:
        raise at(error, merged.get(str(error).split()[0])) from error
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
    """Refuse a misspelt ``name`` of a section before its options are held against a default.

    Raises:
        UserError: with the key that was meant.
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
    """Named section → class, and dotted key → option, for these choices of names."""
    from gdlightning.config import sections as choices

    known = dict(options_of(General))
    for section in FIXED:
        known |= {f"{section}.{k}": o for k, o in choices.fixed_options(section).items()}
    rules = "a list of {pattern, lr, weight_decay, freeze}; the first that matches counts"
    known["groups.rules"] = Option("rules", list[dict[str, Any]] | None, None, rules)
    known |= {f"trainer.{k}": o for k, o in choices.trainer_options().items()}
    classes: dict[str, Any] = {}
    for section in ("model", "data", "optimizer", "schedule", "clip"):
        _choose(section, merged, classes, known, choices.find, objects)
    return classes, known


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
            raise UserError(f"{section} is {shown(name)}, which is no name.")
        choice = find(section, str(name))
    except UserError as error:
        told = UserError(f"{section}: {error}") if "." in section else error
        raise at(told, merged.get(f"{section}.name")) from error
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
    head = key.partition(".")[0]
    inside = [k for k in known if k.startswith(f"{section}.")] if section else []
    message = f"There is no option {shown(key)}.{_near(key, inside, known, classes)}"
    if section in classes:
        chosen = getattr(classes[section], "name", None) or classes[section].__name__
        names = [k.removeprefix(f"{section}.") for k in inside]
        message = (
            f"{chosen} has no option {shown(last)} ({shown(key)})."
            f"{did_you_mean(SYNONYMS.get(last, last), ['name', *names])}\n"
            f"Its options: {', '.join(names) or 'none'}."
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
    """Did you mean: the same option of another section, a like one of this, or any that is like."""
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
                f"version is {shown(setting.value)}; this gdlightning reads configs of version "
                f"{VERSION}.\nCHANGELOG.md says what to change; then write version: 1."
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
