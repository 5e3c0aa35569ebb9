"""Errors for people: the nearest names, and which extra to install."""

from __future__ import annotations

import pytest

from gdlightning.errors import UserError, did_you_mean, fold, nearest, require


@pytest.mark.parametrize("name", ["Adam-W", "adam_w", "ADAM W", "adamw"])
def test_names_are_folded(name: str) -> None:
    assert fold(name) == "adamw"


@pytest.mark.parametrize(
    ("name", "choices", "told"),
    [
        ("cosin", ["cosine", "linear"], " Did you mean cosine?"),
        ("Cosine_Restart", ["cosine-restarts", "step"], " Did you mean cosine-restarts?"),
        ("adam", ["adamw", "adamax"], " Did you mean adamw or adamax?"),
        ("adams", ["adamw", "adamax", "adam"], " Did you mean adam, adamw or adamax?"),
        ("xyz", ["cosine"], ""),
        ("a", [], ""),
    ],
)
def test_did_you_mean(name: str, choices: list[str], told: str) -> None:
    assert did_you_mean(name, choices) == told


def test_nearest_first_and_not_too_many() -> None:
    assert nearest("sgd", ["sgdw", "asgd", "sgd-p", "accsgd", "sgd"], count=2)[0] == "sgd"
    assert len(nearest("sgd", ["sgdw", "asgd", "sgd-p", "sgd"], count=2)) == 2


def test_a_missing_package_names_the_extra() -> None:
    require("json", "data", "Reading")
    with pytest.raises(UserError) as error:
        require("no_such_package", "hub", "A data set")
    assert str(error.value) == (
        "A data set needs the package no_such_package, which is not installed.\n"
        "Install it with: pip install 'gdlightning[hub]'"
    )
