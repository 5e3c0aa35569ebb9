"""Configs that are installed with the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from helpers import CONFIGS, QUIET, Run

from gdlightning.config.shipped_configs import shipped_configs


def test_installed_configs_work_by_name_in_any_folder(gdl: Run) -> None:
    assert [p.name for p in shipped_configs()] == sorted(p.name for p in CONFIGS.glob("*.yaml"))
    done = gdl("fit", "--config", "tabular", *QUIET, "--trainer.max_steps", "2")
    assert done.code == 0, done.err
    saved = yaml.safe_load(Path("runs/tabular/version_0/config.yaml").read_text())
    assert saved["data"]["dataset"] == "breast_cancer"
    listed = gdl("list", "config", "--format", "json").json()
    assert {"tabular", "vision", "transformer"} <= {row["name"] for row in listed}
    assert all(row["summary"] for row in listed)


def test_a_file_of_the_working_directory_comes_first(gdl: Run) -> None:
    shutil.copy(CONFIGS / "tabular.yaml", "mine.yaml")
    assert "Did you mean tabular" in gdl("fit", "--config", "tabularr").err
    Path("tabular").write_text("model: nowhere\n")
    done = gdl("fit", "--config", "tabular")
    assert done.code == 2
    assert "no model named nowhere" in done.err


def test_a_wheel_contains_the_configs(tmp_path: Path) -> None:
    """By the file list that setuptools builds from."""
    code = (
        "from setuptools import Distribution\n"
        "d = Distribution({'package_data': {'gdlightning': ['configs/*.yaml']}, "
        "'packages': ['gdlightning']})\n"
        "b = d.get_command_obj('build_py'); b.ensure_finalized()\n"
        "print(len([f for _, _, _, fs in b.data_files for f in fs if 'configs' in f]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CONFIGS.parent, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == len(shipped_configs())
