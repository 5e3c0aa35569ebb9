"""Settings of one optimizer derived from those of another."""

from __future__ import annotations

import itertools

import pytest
import yaml
from helpers import CONFIGS, QUIET, Run
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import entries, find
from gdlightning.optimizers.transfer import transfer

ALIKE = [e for e in entries() if e.likeness is not None]
PAIRS = list(itertools.permutations(ALIKE, 2))
rates = st.floats(1e-6, 1.0)


def test_lion_from_adamw() -> None:
    found = transfer(find("adamw"), {"lr": 1e-3, "weight_decay": 0.1}, find("lion"))
    assert found is not None
    assert dict(found.options) == {"lr": 2e-4, "weight_decay": 0.5}
    assert "lion starts from adamw's settings: lr 0.0002, weight_decay 0.5" in found.words


@given(pair=st.sampled_from(PAIRS), lr=rates, decay=rates)
def test_lr_times_weight_decay_is_kept_and_transfer_is_invertible(
    pair: tuple[Entry, Entry], lr: float, decay: float
) -> None:
    one, other = pair
    there = transfer(one, {"lr": lr, "weight_decay": decay}, other)
    assert there is not None
    if "weight_decay" in there.options:
        product = there.options["lr"] * there.options["weight_decay"]
        assert product == pytest.approx(lr * decay, rel=1e-4)
    back = transfer(other, there.options, one)
    assert back is not None
    assert back.options["lr"] == pytest.approx(lr, rel=1e-4)


def test_no_transfer_without_known_ratios() -> None:
    assert transfer(find("adamw"), {"lr": 1e-3}, find("sgd")) is None
    assert transfer(find("adamw"), {}, find("lion")) is None
    assert transfer(find("adamw"), {"lr": 1e-3}, find("adamw")) is None


def resolved(gdl: Run, *flags: str) -> dict[str, object]:
    result = gdl("fit", "--config", str(CONFIGS / "transformer.yaml"), *flags, "--print_config")
    assert result.code == 0, result.err
    found: dict[str, object] = yaml.safe_load(result.out)["optimizer"]
    return found


def test_muon_replaces_adamw_in_a_config(gdl: Run) -> None:
    tuned = resolved(gdl)
    muon = resolved(gdl, "--optimizer", "muon")
    assert muon["adjust_lr_fn"] == "match_rms_adamw"
    assert (muon["lr"], muon["weight_decay"]) == (tuned["lr"], tuned["weight_decay"])
    companion = muon["companion"]
    assert isinstance(companion, dict)
    assert (companion["name"], companion["lr"]) == ("adamw", tuned["lr"])


def test_explicit_lr_is_kept(gdl: Run) -> None:
    muon = resolved(gdl, "--optimizer", "muon", "--optimizer.lr", "0.02")
    assert muon["lr"] == 0.02
    assert muon["adjust_lr_fn"] is None


def test_transfer_is_reported(gdl: Run) -> None:
    flags = ("--optimizer", "lion", "--trainer.max_steps", "1", *QUIET)
    result = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *flags)
    assert result.code == 0, result.err
    assert "Note: lion starts from adamw's settings: lr 0.0002" in result.err
