"""``gdl lr-find``: find a learning rate with a range test."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    from gdlightning.config.schema import Config
    from gdlightning.range_test.suggestion import LrRange

GROUP = "choose"
SUMMARY = "Find a learning rate for a config with a range test"
USAGE = "gdl lr-find --config FILE [--apply]"


def main(argv: list[str]) -> int:
    """Run the test, print the result, and optionally draw it and write it to the config.

    Raises:
        UserError: the config is wrong, or the optimizer has no learning rate to find.
    """
    given, rest = _parser().parse_known_args(argv)
    from gdlightning.config.settings import located
    from gdlightning.runs.load_config import load
    from gdlightning.runs.run_range_test import config_flags, find_lr

    if given.png:
        _check_png(Path(given.png))
    config, _ = load([*config_flags(given.config), *rest])
    try:
        found, key = find_lr(
            config,
            steps=given.steps,
            lr_min=given.lr_min,
            lr_max=given.lr_max,
            apply_to=given.config if given.apply else (),
        )
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
        description="Find a learning rate: train for some steps while the learning rate grows. "
        "Flags of gdl fit change the config. No run folder is written.",
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action="append", required=True, help="a YAML file")
    parser.add_argument("--steps", type=int, default=210, help="optimizer steps (210)")
    parser.add_argument(
        "--lr_min",
        "--lr-min",
        type=float,
        default=1e-6,
        help="learning rate of the first step (1e-6)",
    )
    parser.add_argument(
        "--lr_max", "--lr-max", type=float, default=10.0, help="learning rate of the last step (10)"
    )
    parser.add_argument("--png", metavar="FILE", help="draw the curve to this file")
    parser.add_argument(
        "--apply", action="store_true", help="write the learning rate to the last config file"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _check_png(path: Path) -> None:
    from gdlightning.drawing.style import FORMATS

    require("matplotlib", "plots", "Drawing the range test")
    if path.suffix not in FORMATS:
        raise UserError(f"--png {path}: write a file that ends in {', '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--png {path}: the folder does not exist.")


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
    write = f"Write {key}: {found.point:g}{has}, or use --apply."
    notes = [f"Warning: {note}" for note in found.notes] or [
        "The curve looks fine. For the reliability of range tests, see docs/lr-find.md"
    ]
    return "\n".join(
        [
            _title(config, found),
            "",
            in_text(found),
            "",
            f"Suggested learning rate: {found.point:g}. "
            f"Values from {found.low:g} to {found.high:g} are worth trying.",
            done if given.apply else write,
            *notes,
        ]
    )


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
    """Return the present value of a config key; None if it is not a number."""
    tree: Any = config.values
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree if isinstance(tree, int | float) else None
