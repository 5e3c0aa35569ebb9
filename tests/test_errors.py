"""Errors with fields, similar names, and the extra that installs a package."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from gdlightning.errors import (
    COMMAND_LINE,
    StorageError,
    UserError,
    concerning,
    did_you_mean,
    fold,
    nearest,
    require,
)


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


@pytest.mark.parametrize(
    ("message", "fields", "text"),
    [
        ("There is no run.", {}, "There is no run."),
        ("lr must be positive", {"value": -1}, "lr must be positive (got -1)."),
        (
            "lr must be positive",
            {"value": 0, "file": "c.yaml"},
            "lr must be positive (got 0, in c.yaml).",
        ),
        (
            "lr must be a number",
            {"value": "fast", "file": COMMAND_LINE, "hint": "Set --lr 1."},
            "lr must be a number (got fast, on the command line).\nSet --lr 1.",
        ),
        (
            "There is no x. Did you mean y?\nAll: y, z.",
            {"file": "c.yaml"},
            "There is no x. Did you mean y? (in c.yaml)\nAll: y, z.",
        ),
        ("path must be a folder", {"value": ""}, "path must be a folder (got '')."),
    ],
)
def test_text_from_message_value_file_and_hint(
    message: str, fields: dict[str, Any], text: str
) -> None:
    assert str(UserError(message, **fields)) == text
    assert str(StorageError(message, **fields)) == text


def test_fields_survive_pickling() -> None:
    error = UserError("wrong", key="optimizer.lr", value=-1, hint="Set 1.", file="c.yaml")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "wrong (got -1, in c.yaml).\nSet 1."
    assert (copy.key, copy.value, copy.hint, copy.file) == ("optimizer.lr", -1, "Set 1.", "c.yaml")


def test_a_section_is_added_to_message_and_key() -> None:
    error = UserError("lr must be positive", key="lr", value=-1).within("optimizer.companion")
    assert error.key == "optimizer.companion.lr"
    assert str(error) == "optimizer.companion: lr must be positive (got -1)."
    assert UserError("wrong").within("model.net").key == "model.net"


def test_concerning_sets_a_key_only_where_there_is_none() -> None:
    for given, key in ((None, "init_from"), ("data.path", "data.path")):
        with pytest.raises(UserError) as error, concerning("init_from"):
            raise UserError("wrong", key=given)
        assert error.value.key == key
