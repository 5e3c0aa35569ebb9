"""``gdl paths``: optimizers race on a test function."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, did_you_mean, fold, require

if TYPE_CHECKING:
    from gdlightning.races.race import Track
    from gdlightning.races.test_functions import Function

FIELD = "gd,momentum,sgd,rmsprop,adam,lion"
"""Who races if nobody is named."""
WAYS = ("tuned", "default")


def main(argv: list[str]) -> int:
    """List the test functions, or race optimizers on one.

    Raises:
        UserError: a name is not known, or a value can't be meant.
    """
    given = _parser().parse_args(argv)
    from gdlightning.races.test_functions import FUNCTIONS, find

    if given.function == "list":
        known = [_described(function) for function in FUNCTIONS]
        width = max(len(f["name"]) for f in known)
        text = "\n".join(f"{f['name']:<{width}}  {f['summary']}: {f['formula']}" for f in known)
        print(json.dumps(known, indent=2) if given.format == "json" else text)
        return 0
    function = find(given.function)
    require("matplotlib", "plots", "Drawing a race")
    rates, names = _rates(given.lr), _names(given.optimizers)
    _check(given, rates, names)
    tracks, left_out = _race(given, function, names, rates)
    if not tracks:
        first = "\n".join(list(left_out.values())[:2])
        raise UserError(f"None of these optimizers can be raced.\n{first}")
    files = _write(given, function, tracks, left_out)
    if given.format == "json":
        print(json.dumps(_record(function, tracks, left_out, files), indent=2))
    else:
        print(_text(function, tracks, left_out, files))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gdl paths",
        description="Optimizers race on a test function: paths, values, steps to the minimum.",
    )
    add = parser.add_argument
    add("function", nargs="?", default="list", help="its name; all are listed without one")
    add("--optimizers", default=FIELD, help="names, with commas between; or all")
    add("--lr", action="append", nargs="+", default=[], metavar="[NAME=]LR",
        help="a learning rate, or tuned (the best of a grid), or default (the optimizer's own); "
             "for one of them: adam=0.01. Tuned if not given")  # fmt: skip
    add("--schedule", default="constant", help="a schedule's name: gdl schedules")
    add("--warmup", default="0", help="steps, 10%% or 2 epochs, in front of it")
    add("--steps", type=int, default=500)
    add("--seed", type=int, default=0, help="of the noise")
    add("--output", default="paths", help="a folder")
    add("--tensorboard", action="store_true", help="log values and picture into it, too")
    add("--format", choices=("text", "json"), default="text")
    return parser


def _names(given: str) -> list[str]:
    from gdlightning.optimizers.registry import entries, find

    if given == "all":
        return [entry.name for entry in entries()]
    names = [find(name.strip()).name for name in given.split(",") if name.strip()]
    if not names:
        raise UserError("--optimizers names none; write, for example, --optimizers adam,sgd.")
    return list(dict.fromkeys(names))


def _rates(given: list[list[str]]) -> dict[str, float | str]:
    """Optimizer, or an empty name for all, → learning rate or one of ``WAYS``."""
    found: dict[str, float | str] = {"": "tuned"}
    for text in (t for group in given for part in group for t in part.split(",")):
        name, _, value = text.rpartition("=")
        try:
            rate: float | str = value if value in WAYS else float(value)
        except ValueError:
            rate = math.nan
        if isinstance(rate, float) and not 0 <= rate < math.inf:
            raise UserError(
                f"--lr {text}: write a number of 0 or more, tuned or default; for one optimizer "
                "alone: --lr adam=0.01"
            )
        found[fold(name)] = rate
    return found


def _check(given: argparse.Namespace, rates: dict[str, float | str], names: list[str]) -> None:
    from gdlightning.optimizers.registry import find
    from gdlightning.schedules import Schedule

    for key, least in {"steps": 2, "seed": 0}.items():
        if getattr(given, key) < least:
            raise UserError(f"--{key} is {getattr(given, key)}; write {least} or more.")
    for name in [n for n in rates if n]:
        own = find(name).name
        if own not in names:
            raise UserError(f"--lr names {own}, which does not race.{did_you_mean(name, names)}")
        rates[own] = rates.pop(name)
    Schedule(given.schedule, warmup=given.warmup).warmup_steps(given.steps)


def _race(
    given: argparse.Namespace,
    function: Function,
    names: list[str],
    rates: dict[str, float | str],
) -> tuple[list[Track], dict[str, str]]:
    """The tracks, best first, and the optimizers that could not be raced with the reason."""
    from tqdm.auto import tqdm

    from gdlightning.races.race import race

    tracks, left_out = [], {}
    schedule = {"name": given.schedule, "warmup": given.warmup}
    for name in tqdm(names, desc="race", disable=None, leave=False):
        try:
            rate = rates.get(name, rates[""])
            tracks.append(race(function, name, steps=given.steps, lr=rate, schedule=schedule,
                               seed=given.seed))  # fmt: skip
        except UserError as error:
            left_out[name] = str(error).splitlines()[0]
    return sorted(tracks, key=lambda track: track.rank), left_out


def _write(
    given: argparse.Namespace, function: Function, tracks: list[Track], left_out: dict[str, str]
) -> list[Path]:
    from gdlightning.drawing.style import save
    from gdlightning.races.race_figure import picture
    from gdlightning.races.race_film import film
    from gdlightning.races.race_page import page
    from gdlightning.storage.atomic_write import write_json, write_text

    folder = Path(given.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} can't be made: {error.strerror}.") from error
    made, stem = picture(function, tracks, _title(function, tracks)), folder / function.name
    files = [stem.with_suffix(suffix) for suffix in (".png", ".svg", ".gif", ".html", ".json")]
    save(made, files[0])
    save(made, files[1])
    film(function, tracks, files[2])
    lead = f"{function.title}, {function.summary}. All start at {function.start}."
    write_text(files[3], page(function, tracks, left_out, _title(function, tracks), lead))
    points = {t.optimizer: {"points": t.points.tolist(), "values": t.values.tolist()}
              for t in tracks}  # fmt: skip
    write_json(files[4], _record(function, tracks, left_out, files) | {"tracks": points})
    if given.tensorboard:
        _show(function, tracks, folder, made)
    return files


def _show(function: Function, tracks: list[Track], folder: Path, made: Any) -> None:
    """The picture, and each optimizer's values as a run of its own, for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard")) as board:
        board.add_figure(f"paths/{function.name}", made)
    for track in tracks:
        own = folder / "tensorboard" / track.optimizer.replace(":", "-")
        with SummaryWriter(str(own)) as board:
            for step, value in enumerate(track.values.tolist()):
                board.add_scalar(f"paths/{function.name}", value - function.least, step)


def _title(function: Function, tracks: list[Track]) -> str:
    who = "One optimizer" if len(tracks) == 1 else f"{len(tracks)} optimizers"
    return f"{who} on {function.title}"


def _record(
    function: Function, tracks: list[Track], left_out: dict[str, str], files: list[Path]
) -> dict[str, Any]:
    return {
        "function": _described(function),
        "results": [
            {
                "optimizer": t.optimizer, "lr": t.lr, "tuned": t.tuned, "steps": t.arrived,
                "gradients": None if t.arrived is None else int(t.gradients[t.arrived]),
                "value": _finite(float(t.values[-1]) - function.least),
                "distance": _finite(t.distance), "diverged": t.diverged,
            }
            for t in tracks
        ],
        "left_out": left_out,
        "files": [str(file) for file in files],
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _described(function: Function) -> dict[str, Any]:
    return {
        "name": function.name, "title": function.title, "summary": function.summary,
        "formula": function.formula, "minima": [list(m) for m in function.minima],
        "least": function.least, "start": list(function.start), "near": function.near,
        "noise": function.noise, "source": function.source,
    }  # fmt: skip


def _text(
    function: Function, tracks: list[Track], left_out: dict[str, str], files: list[Path]
) -> str:
    from gdlightning.races.race_page import HEADER, row

    rows = [HEADER, *([str(cell) for cell in row(function, track)] for track in tracks)]
    widths = [max(len(line[k]) for line in rows) for k in range(len(HEADER))]
    lines = [
        "  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(r, widths,
                  strict=True))).rstrip()
        for r in rows
    ]  # fmt: skip
    told = [f"left out: {why}" for why in left_out.values()]
    rule = f"steps: until within {function.near:g} of a minimum for good; gradients until then."
    head = [f"{_title(function, tracks)}: {function.formula}", ""]
    tail = ["", "Written:", *(f"  {file}" for file in files)]
    return "\n".join([*head, *lines, "", rule, *told, *tail])
