"""The files that a race is written to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gdlightning.drawing.style import save
from gdlightning.errors import UserError
from gdlightning.races.race import Track
from gdlightning.races.race_figure import picture
from gdlightning.races.race_film import film
from gdlightning.races.race_page import page
from gdlightning.races.test_functions import Function
from gdlightning.storage.atomic_write import write_json, write_text


def write_race(
    function: Function,
    tracks: list[Track],
    left_out: dict[str, str],
    folder: Path,
    tensorboard: bool = False,
) -> list[Path]:
    """Write figures, animation, page and record of a race.

    Args:
        function: the test function.
        tracks: tracks of the optimizers, best first.
        left_out: the reason per optimizer that did not take part.
        folder: where to write; created if it does not exist.
        tensorboard: whether to log values and figure to ``folder/tensorboard``, too.

    Returns:
        The paths of the files.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} cannot be created: {error.strerror}.") from error
    made, stem = picture(function, tracks, race_title(function, tracks)), folder / function.name
    files = [stem.with_suffix(suffix) for suffix in (".png", ".svg", ".gif", ".html", ".json")]
    save(made, files[0])
    save(made, files[1])
    film(function, tracks, files[2])
    lead = f"{function.title}, {function.summary}. All start at {function.start}."
    write_text(files[3], page(function, tracks, left_out, race_title(function, tracks), lead))
    points = {
        t.optimizer: {"points": t.points.tolist(), "values": t.values.tolist()} for t in tracks
    }
    write_json(files[4], race_record(function, tracks, left_out, files) | {"tracks": points})
    if tensorboard:
        _log(function, tracks, folder, made)
    return files


def _log(function: Function, tracks: list[Track], folder: Path, made: Any) -> None:
    """Log the figure, and the values per optimizer as separate runs, to TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "tensorboard")) as board:
        board.add_figure(f"paths/{function.name}", made)
    for track in tracks:
        own = folder / "tensorboard" / track.optimizer.replace(":", "-")
        with SummaryWriter(str(own)) as board:
            for step, value in enumerate(track.values.tolist()):
                board.add_scalar(f"paths/{function.name}", value - function.least, step)


def race_title(function: Function, tracks: list[Track]) -> str:
    """Return the title of a race."""
    who = "One optimizer" if len(tracks) == 1 else f"{len(tracks)} optimizers"
    return f"{who} on {function.title}"


def race_record(
    function: Function, tracks: list[Track], left_out: dict[str, str], files: list[Path]
) -> dict[str, Any]:
    """Return the results of a race as plain values; None for values that are not finite."""
    return {
        "function": describe(function),
        "results": [
            {
                "optimizer": t.optimizer,
                "lr": t.lr,
                "tuned": t.tuned,
                "steps": t.arrived,
                "gradients": None if t.arrived is None else int(t.gradients[t.arrived]),
                "value": _finite(float(t.values[-1]) - function.least),
                "distance": _finite(t.distance),
                "diverged": t.diverged,
            }
            for t in tracks
        ],
        "left_out": left_out,
        "files": [str(file) for file in files],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def describe(function: Function) -> dict[str, Any]:
    """Return a test function as plain values."""
    return {
        "name": function.name,
        "title": function.title,
        "summary": function.summary,
        "formula": function.formula,
        "minima": [list(m) for m in function.minima],
        "least": function.least,
        "start": list(function.start),
        "near": function.near,
        "noise": function.noise,
        "source": function.source,
    }
