"""Rules give choices with reasons and sources; short runs refine them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from gdlightning.data.tabular import SklearnTabular
from gdlightning.nets.mlp import MLP
from gdlightning.optimizers.choice import Choice
from gdlightning.schedules import Schedule
from gdlightning.study.recommend import Recommendation, recommend
from gdlightning.study.short_runs import measure
from gdlightning.study.task_profile import Net, TaskProfile, task_profile
from gdlightning.study.workload import Workload
from gdlightning.tasks.tabular import TabularClassification

PLAIN = TaskProfile("dense", False, False, False, 10_000, 5_000, 64, 4_000, 0)


def optimizer(**changed: Any) -> dict[str, Any]:
    return recommend(replace(PLAIN, **changed)).sections["optimizer"]


def every() -> list[Recommendation]:
    found = []
    for net, tuned, sparse, steps, batch, size in product(
        get_args(Net), (False, True), (False, True), (50, 100_000), (1, 8192), (1_000, 10**9)
    ):
        given = TaskProfile(net, False, sparse, tuned, size, 10_000, batch, steps, 24 * 2**30)
        found.append(recommend(given))
    return found


def test_recommendations_are_valid_and_have_reasons() -> None:
    for found in every():
        chosen = found.sections["optimizer"]
        if not chosen["name"].startswith("torchao:"):
            Choice.of(chosen)
        for other in found.others:
            Choice.of(other)
        Schedule(**found.sections.get("schedule", {"name": "constant"}))
        assert found.reasons
        assert all(r.what and r.why and r.source for r in found.reasons)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"sparse": True}, "adagrad"),
        ({"net": "bag"}, "adagrad"),
        ({"net": "transformer"}, "adamw"),
        ({"net": "convolution", "steps": 4_000}, "sgd"),
        ({"net": "convolution", "steps": 100}, "adamw"),
        ({"net": "convolution", "finetuning": True}, "adamw"),
        ({"parameters": 10**9, "memory": 16 * 2**30}, "torchao:adamw-8bit"),
    ],
)
def test_rules(changed: dict[str, Any], name: str) -> None:
    assert optimizer(**changed)["name"] == name


def test_larger_language_models_and_fine_tuning_get_smaller_learning_rates() -> None:
    rates = [optimizer(net="transformer", parameters=n)["lr"] for n in (10**5, 10**8, 10**9)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 3e-3
    assert optimizer(net="transformer", finetuning=True)["lr"] < rates[-1]
    assert optimizer(batch=8192)["lr"] > optimizer()["lr"]


def workload() -> Workload:
    data = SklearnTabular(dataset="breast_cancer", batch_size=32)
    data.setup()
    return Workload(
        "cancer",
        lambda: TabularClassification(MLP(30, [], 2, hidden=[8]), outputs=2),
        data,
        60,
        trainer={"accelerator": "cpu"},
    )


def test_facts_of_module_and_data() -> None:
    made = workload()
    found = task_profile(made.module(), made.data, 60)
    assert (found.net, found.batch, found.steps, found.sparse) == ("dense", 32, 60, False)
    assert found.parameters == 30 * 8 + 8 + 8 * 2 + 2
    assert found.epochs == pytest.approx(60 * 32 / found.examples)


def test_short_runs_correct_a_bad_learning_rate() -> None:
    candidates = [{"name": "adamw", "lr": 1e-5}, {"name": "sgd", "lr": 1e-6}]
    first, again = (
        measure(workload(), candidates, {"name": "cosine", "warmup": 0.1}) for _ in range(2)
    )
    assert first.optimizer["name"] == "adamw"
    assert first.optimizer["lr"] >= 1e-4
    assert "times a full run" in first.words
    assert first == again
