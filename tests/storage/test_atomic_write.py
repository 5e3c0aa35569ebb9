"""A file is written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gdlightning.errors import StorageError
from gdlightning.storage.atomic_write import open_atomic, remove_leftovers, write_json


def test_what_interrupts_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def interrupted() -> None:
        with open_atomic(path, "w") as stream:
            stream.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere.*No such file"):
        write_json(tmp_path / "nowhere" / "a.json", 1)


def test_leftovers_of_killed_writers_go(tmp_path: Path) -> None:
    (tmp_path / f".last.ckpt.{os.getpid()}.tmp").write_text("half")
    (tmp_path / "last.ckpt").write_text("whole")
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1.5, float("inf")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [1.5, None]}
