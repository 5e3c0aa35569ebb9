"""Ray tasks share one study."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers import CONFIGS

pytest.importorskip("ray", reason="the extra ray")
SCRIPTS = Path(__file__).parent.parent.parent / "scripts" / "study"


def test_two_ray_workers_complete_one_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    from ray_workers import compare

    flags = [
        "--config",
        str(CONFIGS / "tabular.yaml"),
        "--optimizers",
        "adamw,sgd",
        "--trials",
        "2",
        "--seeds",
        "2",
        "--steps",
        "30",
        "--trainer.accelerator",
        "cpu",
        "--output",
        str(tmp_path),
    ]
    assert compare(flags, 2) == [0, 0]
    assert json.loads((tmp_path / "report.json").read_text())["done"]
