"""Build module, data and optimization of a run from a checked config."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch

from gdlightning.config.expand_paths import expand
from gdlightning.config.schema import Config
from gdlightning.config.value_checks import check_net
from gdlightning.data.data_module import DataModule
from gdlightning.engine.module_hooks import create_layers
from gdlightning.engine.module_optimization import ModuleOptimization
from gdlightning.engine.optimization import Optimization
from gdlightning.errors import UserError, concerning, shown
from gdlightning.optimizers.groups import Grouping, Rule
from gdlightning.optimizers.registry import MODULE
from gdlightning.runs import consistency_checks as agreement
from gdlightning.tasks.construct import adapt, construct
from gdlightning.tasks.supervised import Classification


@dataclass
class Training:
    """Objects of a run, built and checked; nothing is written yet."""

    config: Config
    module: L.LightningModule
    data: L.LightningDataModule | None
    optimization: Optimization
    rollbacks: int = 0
    sizes: dict[str, Any] = field(default_factory=dict)


def assemble(config: Config) -> Training:
    """Load the data, build a model of matching size, and check the optimizer on it.

    Raises:
        UserError: data, model, or optimizer can't be used as configured.
    """
    general = config.values
    if general.get("threads"):
        torch.set_num_threads(general["threads"])
    L.seed_everything(general["seed"], workers=True, verbose=False)
    if "model" not in config.classes:
        raise UserError(
            "model is missing. Select a task, such as --model tabular-classification.", key="model"
        )
    data = build_data(config)
    sizes: dict[str, Any] = {}
    if isinstance(data, DataModule):
        data.setup()
        sizes = data.sizes()
    if data is not None:
        sizes = with_outputs(config, sizes, data)
    module = build_module(config, sizes)
    if config.values["trainer"].get("strategy") in (None, "auto"):  # others create it sharded
        create_layers(module)
    optimization = build_optimization(config)
    if general.get("init_from"):
        from gdlightning.runs.find_checkpoint import init_from

        with concerning("init_from"):
            init_from(module, general["init_from"])
    if general["recompute"]:
        from gdlightning.nets.recompute import recompute

        recompute(module, general["recompute"])
    optimization.check(module)
    agreement.check(config, module, data, optimization.schedule)
    optimization.attach(module)
    return Training(config, module, data, optimization, sizes=dict(sizes))


def build_optimization(config: Config) -> Optimization:
    """Return the optimizer, groups, schedule and clipping that a config describes.

    Raises:
        UserError: if they cannot be combined.
    """
    schedule, clip = config.chosen("schedule"), config.chosen("clip")
    if config.choice.entry is MODULE:
        return ModuleOptimization(schedule, clip, build_grouping(config))
    return Optimization(config.choice, schedule, clip, build_grouping(config))


def build_data(config: Config) -> L.LightningDataModule | None:
    """Return the data module, not yet loaded; None if the config names none.

    Raises:
        UserError: its path cannot be expanded.
    """
    cls = config.classes.get("data")
    if cls is None:
        return None
    if "data" in config.objects:
        given: L.LightningDataModule = config.objects["data"]
        return given
    options = config.section("data")
    if isinstance(options.get("path"), str):
        options["path"] = expand(options["path"], "data.path")
    if issubclass(cls, DataModule) and "data.seed" not in config.given:
        options["seed"] = config.values["seed"]
    # A column with few numbers may be a class or a target; the task decides.
    problem = getattr(config.classes["model"], "problem", None)
    if problem in ("classification", "regression") and options.get("problem") == "auto":
        options["problem"] = problem
    data: L.LightningDataModule = cls(**options, **_arguments(config, "data"))
    return data


def build_module(config: Config, sizes: Mapping[str, Any]) -> L.LightningModule:
    """Return the module, with its net; sizes that the user did not set come from the data.

    Raises:
        UserError: a required argument is neither in the config nor among the sizes.
    """
    if "model" in config.objects:
        given: L.LightningModule = config.objects.module("model")
        return given
    options = config.section("model") | _arguments(config, "model")
    if "model.net" in config.objects:
        options["net"] = adapt(config.objects.module("model.net"), sizes)
    elif "model.net" in config.classes:
        cls = config.classes["model.net"]
        if cls.__module__.startswith("gdlightning."):
            check_net(config.section("model.net"))
        net = construct(cls, config.section("model.net"), sizes, "model.net")
        options["net"] = adapt(net, sizes)
    module: L.LightningModule = construct(config.classes["model"], options, sizes, "model")
    return module


def _arguments(config: Config, section: str) -> dict[str, Any]:
    """Return the Python objects that are arguments of a section's class."""
    return {
        key.removeprefix(f"{section}."): value
        for key, value in config.objects.items()
        if key.startswith(f"{section}.") and key != "model.net" and value is not None
    }


def with_outputs(
    config: Config, sizes: Mapping[str, Any], data: L.LightningDataModule
) -> dict[str, Any]:
    """Return sizes with the number of classes, where only the net tells it.

    Loaders and third-party data modules have no sizes. A classification needs the number of
    classes for its metrics, so the net is evaluated on one batch.

    Args:
        config: the config.
        sizes: sizes that the data determines.
        data: the data module.
    """
    given = config.section("model")
    known = "outputs" in sizes or given.get("outputs") or given.get("classes")
    takes_net = "model.net" in config.classes and issubclass(
        config.classes["model"], Classification
    )
    if known or not takes_net:
        return dict(sizes)
    if "model.net" in config.objects:
        net = copy.deepcopy(config.objects["model.net"])
    else:
        state = torch.get_rng_state()
        net = construct(
            config.classes["model.net"], config.section("model.net"), sizes, "model.net"
        )
        torch.set_rng_state(state)
    data.prepare_data()
    data.setup("fit")
    inputs = next(iter(data.train_dataloader()))[0]
    with torch.no_grad():
        outputs = net.eval()(*inputs) if isinstance(inputs, tuple | list) else net.eval()(inputs)
    return dict(sizes) | {"outputs": int(outputs.shape[-1])}


def build_grouping(config: Config) -> Grouping:
    """Return the parameter-group rules of the config.

    Raises:
        UserError: if a rule has an unknown key or no pattern.
    """
    options = dict(config.values["groups"])
    rules = []
    for given in options.pop("rules") or ():
        known = {"pattern", "lr", "weight_decay", "freeze"}
        if not isinstance(given, Mapping) or "pattern" not in given or set(given) - known:
            raise UserError(
                f"groups.rules contains {shown(given)}. A rule must have a pattern and any of lr, "
                "weight_decay, freeze.",
                key="groups.rules",
            )
        rules.append(_rule(given))
    return Grouping(rules=rules, **options)


def _rule(given: Mapping[str, Any]) -> Rule:
    """Return a rule with checked types.

    Raises:
        UserError: if a value has the wrong type.
    """
    values = dict(given)
    for key, value in values.items():
        number = key in ("lr", "weight_decay")
        if number and isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", value):
            values[key] = value = float(value)
        plain = (int, float) if number else {"pattern": str, "freeze": bool}[key]
        wrong = not isinstance(value, plain) or (number and isinstance(value, bool))
        if wrong and not (number and value is None):
            wanted = {"pattern": "text", "freeze": "true or false"}.get(key, "a number")
            raise UserError(
                f"groups.rules: {key} must be {wanted} (got {shown(value)}).", key="groups.rules"
            )
    return Rule(**values)
