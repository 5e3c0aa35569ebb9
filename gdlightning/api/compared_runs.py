"""A comparison of optimizers from Python, by the code of ``gdl compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from gdlightning.api.given_arguments import Arguments
from gdlightning.errors import UserError, require
from gdlightning.study.comparison_report import in_columns, table
from gdlightning.study.comparison_result import ComparisonResult, Ranking


class ComparedOptimizers:
    """The result of ``gdl.compare``.

    Attributes:
        folder: folder of the study, with ``report.html``.
        result: rankings with all figures.
        best: label of the best optimizer on the first workload.
        settings: chosen settings of that optimizer.
    """

    def __init__(self, result: ComparisonResult, folder: Path) -> None:
        self.result, self.folder = result, folder
        first = result.rankings[0].rows[0]
        self.best, self.settings = first.label, dict(first.settings)

    def __repr__(self) -> str:
        return f"{in_columns(self.result)}\nReport:  {self.folder / 'report.html'}"

    def _repr_html_(self) -> str:
        return "".join(map(_ranking, self.result.rankings))


def compare(
    config: Any = None,
    *,
    optimizers: Sequence[str] = ("adamw", "sgd", "lion"),
    model: Any = None,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    loss: str | Callable[..., Any] | None = None,
    schedule: Any = None,
    clip: Any = None,
    budget: str | None = None,
    trials: int = 8,
    seeds: int = 3,
    steps: int | None = None,
    metric: str = "val_loss",
    goal: float | None = None,
    output: str | Path | None = None,
    **settings: Any,
) -> ComparedOptimizers:
    """Compare optimizers with equal tuning budgets, as ``gdl compare`` does.

    >>> gdl.compare("configs/tabular.yaml", optimizers=["adamw", "lion"])  # doctest: +SKIP

    A module that is passed stays as it is: each trial trains a copy.

    Args:
        config: a YAML file, several, or a mapping as in one.
        optimizers: names (``gdl optimizers``).
        model: as for ``gdl.fit``.
        data: as for ``gdl.fit``.
        target: the column to predict.
        task: task of a plain network.
        loss: loss of a plain network.
        schedule: a name, or a mapping with ``name`` and options.
        clip: a maximal gradient norm, a name, or a mapping with ``name`` and options.
        budget: time for the study, such as ``20m``.
        trials: settings tried of each optimizer.
        seeds: seeds of the final evaluation.
        steps: optimizer steps of a run; by default those of the config.
        metric: metric to tune for.
        goal: value of that metric, to count the steps until it is reached.
        output: folder of the study; ``studies/NAME`` by default.
        **settings: any other option, as for ``gdl.fit``.

    Raises:
        UserError: whatever is wrong, before anything is trained.
    """
    require("optuna", "compare", "gdl.compare")
    from gdlightning.runs.run_comparison import compare as run_comparison
    from gdlightning.runs.run_folder import to_yaml
    from gdlightning.study.search import StudyPlan

    for name, value in {"trials": trials, "seeds": seeds}.items():
        if value < 1:
            raise UserError(f"{name} is {value}; write 1 or more.")
    given = Arguments(config, model, data, target, task, loss, None, schedule, clip, settings)
    checked = given.resolve(copied=True)
    plan = StudyPlan(trials=trials, seeds=seeds)
    options = argparse.Namespace(
        optimizers=",".join([optimizers] if isinstance(optimizers, str) else optimizers),
        budget=budget,
        steps=steps,
        metric=metric,
        target=goal,
        tune=None,
        space=None,
        workers=1,
        storage=None,
        follow=False,
        output=None if output is None else str(output),
    )
    facts = [to_yaml(checked.values)]
    found, folder = run_comparison(options, [checked], facts, plan, "gdl.compare(...)")
    return ComparedOptimizers(found, folder)


def _ranking(ranking: Ranking) -> str:
    header, rows = table(ranking)
    cells = ["".join(f"<td>{escape(c)}</td>" for c in row) for row in rows]
    head = "".join(f"<th>{escape(c)}</th>" for c in header)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    words = "".join(f"<p>{escape(text)}</p>" for text in ranking.words)
    caption = f"<caption>{escape(ranking.workload)}</caption>"
    return f"<table>{caption}<tr>{head}</tr>{body}</table>{words}"
