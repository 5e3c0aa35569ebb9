"""Experiments by name, and what is said of them without importing them."""

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
"""Modules beside that may take part in measuring."""

Found = dict[str, Any]
"""What one seed showed, as plain values."""


@dataclass(frozen=True)
class Card:
    """What is said of an experiment.

    Args:
        name: by which it is run.
        claim: in a line.
        setup: how it is tried; paragraphs of plain text.
        source: who claims it.
        seeds: from which it is run.
        alone: it measures time; nothing may run beside it.
    """

    name: str
    claim: str
    setup: str
    source: str
    seeds: int
    alone: bool

    @property
    def title(self) -> str:
        """The name, as a heading."""
        words = self.name.replace("-", " ")
        return words[0].upper() + words[1:]

    @property
    def path(self) -> Path:
        """The file that it is."""
        return _file(self.name)

    @property
    def digest(self) -> str:
        """Of the code that measures: what was measured by other code is measured anew."""
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

    Comments, docstrings, what comes after measuring, and the locations of gdlightning's own modules
    do not matter.
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
        card: what is said of it.
        measure: what one seed shows.
        conclude: what all of them show.
        draw: the figure, in a theme.
    """

    card: Card
    measure: Callable[[int], Found]
    conclude: Callable[[Sequence[Found]], Conclusion]
    draw: Callable[[Sequence[Found], Any], Any]


def names() -> list[str]:
    """All experiments, in the order of the account that they follow; others at its end."""
    found = EXPERIMENTS.names()
    place = {name: k for k, name in enumerate(ORDER)}
    found.sort(key=lambda name: (place.get(name, len(place)), name))
    return [name.replace("_", "-") for name in found]


def card(name: str) -> Card:
    """What is said of an experiment; nothing heavy is imported.

    Raises:
        UserError: there is none of this name.
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
        name, claim.strip(), setup.strip(), ast.literal_eval(said["SOURCE"]),
        ast.literal_eval(said["SEEDS"]) if "SEEDS" in said else SEEDS,
        ast.literal_eval(said["ALONE"]) if "ALONE" in said else False,
    )  # fmt: skip


def load(name: str) -> Experiment:
    """An experiment, ready to run.

    Raises:
        UserError: there is none of this name.
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
