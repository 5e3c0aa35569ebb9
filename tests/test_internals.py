"""Private names of Lightning: used with tested versions alone, and not needed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CONFIGS, QUIET, Run, metrics

from gdlightning import internals

TABULAR = (
    "fit",
    "--config",
    str(CONFIGS / "tabular.yaml"),
    *QUIET,
    "--trainer.max_epochs",
    "3",
    "--checkpoint.every_n_steps",
    "5",
)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No private names, as with a version that was not tested."""
    monkeypatch.setitem(internals.TESTED, "lightning", ("99.0.0", "99.0.0"))
    internals.private_names.cache_clear()
    yield
    internals.private_names.cache_clear()


def rows(name: str) -> list[dict[str, Any]]:
    with Path(f"runs/{name}/version_0/metrics.csv").open() as stream:
        found = list(csv.DictReader(stream))
    return [{k: v for k, v in row.items() if "per_second" not in k} for row in found]


def weights(name: str) -> dict[str, torch.Tensor]:
    path = Path(f"runs/{name}/version_0/checkpoints/last.ckpt")
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_an_untested_version_is_reported_once(
    public: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [internals.private_names() for _ in range(3)] == [False] * 3
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "is not tested (tested: 99.0.0 to 99.0.0)" in printed


def test_a_missing_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(internals.NAMES, "lightning.pytorch.LightningModule", ("_gone",))
    assert "has no lightning.pytorch.LightningModule._gone" in internals._reason()


def test_the_variable_disables_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(internals.PUBLIC, "1")
    assert internals._reason() == f"{internals.PUBLIC} is set"


def test_the_tested_versions_have_all_names() -> None:
    assert internals._reason() == ""


def test_a_fit_has_the_same_weights_and_logs_without_them(
    gdl: Run, request: pytest.FixtureRequest
) -> None:
    assert gdl(*TABULAR, "--name", "private").code == 0
    request.getfixturevalue("public")
    result = gdl(*TABULAR, "--name", "public")
    assert result.code == 0, result.err
    assert "is not tested" in result.err
    assert same(weights("public"), weights("private"))
    assert metrics("public") == metrics("private")
    assert rows("public") == rows("private")


@pytest.mark.parametrize("step", [5, 13, 20])
def test_a_stopped_run_resumes_to_the_same_weights_without_them(
    public: None, gdl: Run, step: int
) -> None:
    """After the step 13 an epoch ends; the training metrics of a resumed epoch may differ."""
    assert gdl(*TABULAR, "--name", "whole").code == 0
    assert gdl(*TABULAR, "--name", "parts", "--stop_after", str(step)).code == 75
    result = gdl(*TABULAR, "--name", "parts", "--resume", "auto")
    assert result.code == 0, result.err
    assert f"from step {step}" in result.err + result.out
    assert same(weights("parts"), weights("whole"))
    assert metrics("parts") == metrics("whole")


def test_a_checkpoint_of_the_other_way_raises_an_error(
    gdl: Run, request: pytest.FixtureRequest
) -> None:
    assert gdl(*TABULAR, "--stop_after", "5").code == 75
    request.getfixturevalue("public")
    result = gdl(*TABULAR, "--resume", "auto")
    assert result.code == 2
    assert "was saved between two batches" in result.err
