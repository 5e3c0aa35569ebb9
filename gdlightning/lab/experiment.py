"""Experiments by name, with descriptions that are read without importing them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.discovery import Catalogue
from gdlightning.lab.conclusion import Conclusion

FOLDER = Path(__file__).parent / "experiments"
PACKAGE = "gdlightning.lab.experiments"
EXPERIMENTS = Catalogue(PACKAGE, "experiment", member=lambda home, _: home)
SEEDS = 5
SHARED = ("descent", "samples", "tuning")
"""Shared modules of this folder that can affect measurements."""

Found = dict[str, Any]
"""Measurements of one seed, as plain values."""


@dataclass(frozen=True)
class Card:
    """Description of an experiment.

    Args:
        name: name on the command line.
        claim: claim to test, in one line.
        setup: description of the method; paragraphs of plain text.
        source: publication that makes the claim.
        seeds: number of seeds.
        alone: True if the experiment measures time, so that its seeds must not run in parallel.
    """

    name: str
    claim: str
    setup: str
    source: str
    seeds: int
    alone: bool

    @property
    def title(self) -> str:
        """The name as a heading."""
        words = self.name.replace("-", " ")
        return words[0].upper() + words[1:]

    @property
    def path(self) -> Path:
        """The file of the experiment."""
        return _file(self.name)

    @property
    def digest(self) -> str:
        """SHA-256 of the measuring code. Measurements by other code are repeated."""
        own = self.path.read_text(encoding="utf-8")
        used = [f"{name}.py" for name in SHARED if f"lab.{name} import" in own]
        code = [own, *((FOLDER.parent / name).read_text(encoding="utf-8") for name in used)]
        return hashlib.sha256("\n".join(map(_measuring, code)).encode()).hexdigest()


def _file(name: str) -> Path:
    """Return the file of an experiment, without importing it."""
    file = name.replace("-", "_")
    if (FOLDER / f"{file}.py").exists():
        return FOLDER / f"{file}.py"
    spec = importlib.util.find_spec(f"{PACKAGE}.{file}")
    return Path(str(spec.origin if spec else FOLDER / f"{file}.py"))


def _measuring(code: str) -> str:
    """Return the code that measures, as text.

    Comments, docstrings, ``conclude``, ``draw`` and the paths of gdlightning imports are excluded.
    """
    tree = ast.parse(code)
    later = ("conclude", "draw")
    tree.body = [n for n in tree.body if not (isinstance(n, ast.FunctionDef) and n.name in later)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdlightning."):
            node.module = "gdlightning"
    return ast.unparse(tree)


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be run.

    Args:
        card: description of the experiment.
        measure: function from a seed to its measurements.
        conclude: function from the measurements of all seeds to the conclusion.
        draw: function from the measurements of all seeds and a theme to the figure.
    """

    card: Card
    measure: Callable[[int], Found]
    conclude: Callable[[Sequence[Found]], Conclusion]
    draw: Callable[[Sequence[Found], Any], Any]


def names() -> list[str]:
    """Return the names of all experiments in the order of ``ORDER``, followed by any others."""
    found = EXPERIMENTS.names()
    place = {name: k for k, name in enumerate(ORDER)}
    found.sort(key=lambda name: (place.get(name, len(place)), name))
    return [name.replace("_", "-") for name in found]


def card(name: str) -> Card:
    """Return the description of an experiment without importing it.

    Raises:
        UserError: No experiment has this name.
    """
    name = EXPERIMENTS.name(name).replace("_", "-")
    tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    claim, _, setup = (ast.get_docstring(tree) or "").partition("\n")
    said = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return Card(
        name,
        claim.strip(),
        setup.strip(),
        ast.literal_eval(said["SOURCE"]),
        ast.literal_eval(said["SEEDS"]) if "SEEDS" in said else SEEDS,
        ast.literal_eval(said["ALONE"]) if "ALONE" in said else False,
    )


def load(name: str) -> Experiment:
    """Import an experiment.

    Raises:
        UserError: No experiment has this name.
    """
    known = card(name)
    module = EXPERIMENTS.find(known.name)
    return Experiment(known, module.measure, module.conclude, module.draw)


ORDER = (
    "batch_size",
    "learning_rate",
    "decoupled_decay",
    "momentum",
    "clipping",
    "saddle_points",
    "plateaus",
    "flat_minima",
    "edge_of_stability",
    "wide_networks",
    "guide_sparse",
    "guide_tabular",
    "guide_vision",
    "guide_transformers",
    "fine_tuning",
)
