"""What cannot be stored is left out by name, or refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdlightning.errors import UserError
from gdlightning.storage.checkpoint_file import read, write
from gdlightning.storage.checkpoint_plugin import PlainCheckpointIO, plain_content

STATE = {"state_dict": {"w": torch.ones(1)}}


def test_hyper_parameters_and_callbacks_are_left_out_by_name() -> None:
    content = STATE | {
        "hyper_parameters": {"act": torch.nn.ReLU, "width": np.int64(3)},
        "callbacks": {"Mine": {"best": 1.0, "lock": object()}, "Other": {"best": np.float64(2)}},
    }
    plain, optional, needed = plain_content(content)
    assert list(plain["hyper_parameters"]) == ["width"]
    assert list(plain["callbacks"]) == ["Other"]
    assert needed == []
    assert "hyper_parameters['act'] is the class ReLU" in optional[0]
    assert "pass it to load_from_checkpoint" in optional[0]
    assert "the state of Mine is not saved" in optional[1]


@pytest.mark.parametrize("key", ["mine", "Data", "lr_schedulers", "state_dict"])
def test_what_a_resume_needs_is_refused_before_training(key: str) -> None:
    content: dict[str, Any] = STATE | {key: {"deep": [print]}}
    with pytest.raises(UserError) as error:
        PlainCheckpointIO().check(content)
    assert f"{key}['deep'][0] is the function print" in str(error.value)


def test_a_note_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    writer = PlainCheckpointIO()
    for _ in range(2):
        writer.check(STATE | {"hyper_parameters": {"act": torch.nn.ReLU}})
    assert capsys.readouterr().err.count("Note: hyper_parameters['act']") == 1


def test_values_come_back_from_a_file_and_others_never_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    plain, _, _ = plain_content(STATE | {"mine": {"at": Path("a"), "seen": {1, 2}}})
    write(plain, path)
    assert read(path)["mine"] == {"at": Path("a"), "seen": {1, 2}}
    before = path.read_bytes()
    with pytest.raises(UserError, match="cannot be read back"):
        write(STATE | {"mine": torch.nn.ReLU}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
