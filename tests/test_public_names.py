"""The public names of the package, and the former names of its modules."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings

import pytest

import gdlightning
from gdlightning.moved_modules import MOVED

PUBLIC = {
    "Choice",
    "Classification",
    "DataModule",
    "FittedRun",
    "Grouping",
    "LoadedRun",
    "Optimization",
    "Regression",
    "Rule",
    "Schedule",
    "Task",
    "Trained",
    "UserError",
    "Variation",
    "Watch",
    "build",
    "compare",
    "diagnose",
    "fit",
    "load",
    "lr_find",
    "optimize",
    "predict",
    "register",
    "test",
    "train_many",
}
"""Changing this set is a change of the API: see CHANGELOG.md."""


def test_public_names_are_the_api() -> None:
    assert set(gdlightning.__all__) == PUBLIC
    assert set(dir(gdlightning)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_exist_and_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(gdlightning, name))


@pytest.mark.parametrize("old", MOVED)
def test_former_names_of_modules_work_with_a_warning(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"gdlightning.{old}"
    with warnings.catch_warnings():  # its folder may have moved, too
        warnings.simplefilter("ignore")
        importlib.import_module(name.rpartition(".")[0])
    monkeypatch.delitem(sys.modules, name, raising=False)
    present = importlib.import_module(f"gdlightning.{MOVED[old]}")
    with pytest.warns(DeprecationWarning, match=f"is now {present.__name__};"):
        found = importlib.import_module(name)
    assert found is present
    assert present.__spec__ is not None
    assert present.__spec__.name == present.__name__
