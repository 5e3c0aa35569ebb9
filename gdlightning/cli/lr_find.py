"""``gdl lr-find``: the learning rates that are worth training with, by a range test."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    from gdlightning.config.schema import Config
    from gdlightning.range_test.suggestion import LrRange


def main(argv: list[str]) -> int:
    """Test, print what was found, and if asked for draw it and write it to the config.

    Raises:
        UserError: the config is wrong, or there is no learning rate to find.
    """
    given, rest = _parser().parse_known_args(argv)
    from gdlightning.config.settings import located
    from gdlightning.runs.load_config import load

    if given.png:
        _check_png(Path(given.png))
    config, _ = load([*_files(given.config), *rest])
    try:
        found, key = _found(config, given)
    except UserError as error:
        raise located(error, config.given) from error
    if given.png:
        from gdlightning.drawing.style import save
        from gdlightning.range_test.lr_figure import figure

        save(figure(found, _title(config, found)), Path(given.png))
    if given.apply:
        from gdlightning.config.edit_yaml import rewrite

        rewrite(given.config[-1], key, found.point)
    show = _json if given.format == "json" else _text
    print(show(found, config, key, given))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gdl lr-find",
        description="Find a learning rate: some steps of the training that a config describes, "
        "while the learning rate grows. Flags of gdl fit change the config. No run is left behind.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", required=True, help="a YAML file")
    parser.add_argument("--steps", type=int, default=210, help="optimizer steps (210)")
    parser.add_argument(
        "--lr_min", "--lr-min", type=float, default=1e-6, help="of the first (1e-6)"
    )
    parser.add_argument("--lr_max", "--lr-max", type=float, default=10.0, help="of the last (10)")
    parser.add_argument("--png", metavar="FILE", help="draw the curve to this file")
    parser.add_argument(
        "--apply", action="store_true", help="write the learning rate to the last config file"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _found(config: Config, given: argparse.Namespace) -> tuple[LrRange, str]:
    """Return what the test says, and the key that it is about."""
    from gdlightning.optimizers.choice import Choice
    from gdlightning.runs.find_learning_rate import find_learning_rate, lr_option
    from gdlightning.runs.quiet import quiet

    quiet()
    if config.note:
        print(f"Note: {config.note}", file=sys.stderr)
    numbers = (given.steps, given.lr_min, given.lr_max)
    key = lr_option(config, *numbers)
    if given.apply:
        _check_apply(given.config, Choice.of(config.chosen("optimizer")).entry.name, key)
    return find_learning_rate(config, *numbers), key


def _files(paths: Sequence[str]) -> list[str]:
    return [part for path in paths for part in ("--config", path)]


def _check_png(path: Path) -> None:
    from gdlightning.drawing.style import FORMATS

    require("matplotlib", "plots", "Drawing the range test")
    if path.suffix not in FORMATS:
        raise UserError(f"--png {path}: a picture ends in {', '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--png {path}: there is no such folder.")


def _check_apply(files: Sequence[str], tested: str, key: str) -> None:
    """Refuse to write a learning rate beside another optimizer's name.

    Raises:
        UserError: the files name another optimizer, or the last one can't be changed so.
    """
    from gdlightning.config.edit_yaml import rewritten
    from gdlightning.config.schema import DEFAULTS
    from gdlightning.config.settings import merge, read_flags
    from gdlightning.optimizers.registry import find

    setting = merge(read_flags(_files(files), set())[0]).get("optimizer.name")
    named = str(setting.value) if setting else DEFAULTS["optimizer"]
    if named == "auto" or find(named).name != tested:
        raise UserError(
            f"--apply: {files[-1]} would train with {named}, and {tested} is tested.\n"
            f"Write optimizer: {tested} there first, or leave --apply out."
        )
    rewritten(files[-1], key, 0.1)


def _title(config: Config, found: LrRange) -> str:
    return (
        f"{config.values['optimizer']['name']} on {config.values['name']}: "
        f"the learning rate grows over {len(found.curve.lr)} steps"
    )


def _text(found: LrRange, config: Config, key: str, given: argparse.Namespace) -> str:
    from gdlightning.range_test.lr_figure import in_text

    now = _now(config, key)
    has = f" (now {now:g})" if now is not None and key in config.given else ""
    done = f"Wrote {key}: {found.point:g} to {given.config[-1]}{has}."
    write = f"Write {key}: {found.point:g}{has}, or let --apply do it."
    sure = [f"Less sure: {note}" for note in found.notes] or [
        "Nothing speaks against it. Where such tests were right and where not: docs/lr-find.md"
    ]
    return "\n".join([
        _title(config, found), "", in_text(found), "",
        f"A good learning rate is {found.point:g}; from {found.low:g} to {found.high:g} is worth "
        "trying.",
        done if given.apply else write, *sure,
    ])  # fmt: skip


def _json(found: LrRange, config: Config, key: str, given: argparse.Namespace) -> str:
    from gdlightning.storage.atomic_write import plain_numbers

    record: dict[str, Any] = {
        "optimizer": config.values["optimizer"]["name"],
        "key": key,
        "now": _now(config, key),
        "point": found.point,
        "low": found.low,
        "high": found.high,
        "bottom": found.bottom,
        "notes": list(found.notes),
        "applied": given.config[-1] if given.apply else None,
        "curve": {
            "lr": found.curve.lr,
            "loss": plain_numbers(found.curve.loss),
            "start": found.curve.start,
        },
    }
    return json.dumps(record, indent=2)


def _now(config: Config, key: str) -> float | None:
    """What the config has."""
    tree: Any = config.values
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree if isinstance(tree, int | float) else None
