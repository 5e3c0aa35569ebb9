"""``gdl optimizers``: what was measured of each, filters, orders, and a proof of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import CONFIGS, QUIET, Run

from gdlightning.optimizers import registry


def listed(gdl: Run, *flags: str) -> list[dict[str, Any]]:
    result = gdl("optimizers", *flags, "--format", "json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def test_in_the_order_of_memory(gdl: Run) -> None:
    def memory(entry: dict[str, Any]) -> float | None:
        number: float | None = (entry["measured"] or {}).get("bytes_per_parameter")
        return number

    bytes_of = [b for e in listed(gdl, "--sort", "memory") if (b := memory(e)) is not None]
    assert bytes_of == sorted(bytes_of)
    assert bytes_of[0] == 0
    names = {e["name"]: memory(e) for e in listed(gdl, "adam*")}
    assert names["adamw"] == pytest.approx(8, abs=0.1)  # two float32 a parameter


def test_what_it_can_and_needs(gdl: Run) -> None:
    able = listed(gdl, "--can", "bf16,ddp", "--needs", "none")
    assert {"adamw", "lion"} <= {e["name"] for e in able}
    for entry in able:
        assert {"bf16", "ddp"} <= set(entry["measured"]["kept"])
        assert not entry["needs"]
    assert "adahessian" not in {e["name"] for e in listed(gdl, "--can", "ddp")}
    closures = listed(gdl, "--needs", "closure")
    assert closures
    assert all("closure" in e["needs"] for e in closures)


def test_family_and_licence(gdl: Run) -> None:
    second = listed(gdl, "--family", "second-order")
    assert {"adahessian", "sophia-h"} <= {e["name"] for e in second}
    assert {e["family"] for e in second} == {"second-order"}
    permissive = {e["name"] for e in listed(gdl, "--licence", "permissive")}
    others = [e for e in listed(gdl) if e["name"] not in permissive]
    assert others
    assert all(
        not e["commercial"] or not e["licence"].startswith(("MIT", "BSD", "Apache")) for e in others
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sort", "memry"), "Did you mean memory?"),
        (("--can", "bf16,dpp"), "Did you mean ddp?"),
        (("--needs", "closures"), "Did you mean closure"),
        (("--family", "second"), "second-order"),
        (("adamm*",), "No optimizer matches"),
    ],
)
def test_a_filter_that_is_not_known(gdl: Run, flags: tuple[str, ...], said: str) -> None:
    result = gdl("optimizers", *flags)
    assert result.code == 2
    assert said in result.err


def test_one_in_full(gdl: Run) -> None:
    shown = gdl("optimizers", "show", "prodigy").out
    for part in (
        "update",
        "paper",
        "licence",
        "bytes of state per parameter",
        "fused AdamW",
        "groups: it estimates one learning rate",
        "loss 2.38",
    ):
        assert part in shown, part


def test_the_proof_of_ones_own(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    Path("proved.py").write_text(
        "import torch, gdlightning as gdl\n"
        "@gdl.register('proved-mine', summary='a step')\n"
        "class Mine(torch.optim.SGD):\n"
        "    def __init__(self, params, lr=0.1):\n"
        "        super().__init__(params, lr, momentum=0.9)\n"
        "@gdl.register('proved-moved', summary='moves what has no gradient')\n"
        "class Moved(Mine):\n"
        "    def step(self, closure=None):\n"
        "        loss = super().step(closure)\n"
        "        with torch.no_grad():\n"
        "            params = [p for g in self.param_groups for p in g['params']]\n"
        "            [p.mul_(0.9) for p in params if p.grad is None]\n"
        "        return loss\n"
    )
    good = gdl("optimizers", "prove", "proved-mine", "--imports", "proved")
    assert good.code == 0, good.out + good.err
    assert good.out.count("  yes  ") == 10
    bad = gdl("optimizers", "prove", "proved-moved", "--imports", "proved", "--format", "json")
    assert bad.code == 1
    assert set(json.loads(bad.out)["broken"]) == {"no-gradient"}


def test_what_it_cannot_do_is_refused_before_a_folder_is_made(gdl: Run) -> None:
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--optimizer",
        "lbfgs",
        "--groups.layer_decay",
        "0.8",
    )
    assert result.code == 2
    assert "its line search follows one direction for all weights" in result.err
    assert "Remove groups.layer_decay" in result.err
    assert not Path("runs").exists()
