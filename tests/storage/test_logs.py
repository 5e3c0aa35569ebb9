"""Logs that are cut at a step and go on from there."""

from __future__ import annotations

import csv
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from gdlightning.storage.logs import METRICS, KeptCSVLogger, trim


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS).open(newline="") as stream:
        return list(csv.DictReader(stream))


def logged(tmp_path: Path, steps: range, key: str = "loss") -> None:
    logger = KeptCSVLogger(tmp_path, name="run", version=0)
    for step in steps:
        logger.log_metrics({key: step / 10}, step=step)
    logger.save()


def test_csv_goes_on_after_the_cut_with_new_columns_too(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "version_0"
    logged(tmp_path, range(6))
    with (folder / METRICS).open("a") as stream:
        stream.write("0.6")  # half a row of a killed writer
    trim(folder, 4)
    assert [r["step"] for r in rows(folder)] == ["0", "1", "2", "3"]
    logged(tmp_path, range(4, 6))
    logged(tmp_path, range(6, 8), "val_loss")
    found = rows(folder)
    assert [int(r["step"]) for r in found] == list(range(8))
    assert [r["loss"] for r in found] == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "", ""]
    assert [r["val_loss"] for r in found[6:]] == ["0.6", "0.7"]


def test_events_after_the_step_go_and_a_half_record_too(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(10):
            writer.add_scalar("loss", step / 10, step)
    file = next(tmp_path.glob("events*"))
    with file.open("ab") as stream:
        stream.write(b"half a record")
    trim(tmp_path, 6)
    board = EventAccumulator(str(file))
    board.Reload()
    assert [e.step for e in board.Scalars("loss")] == list(range(6))


def test_cutting_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    logged(tmp_path, range(3))
    with SummaryWriter(str(tmp_path / "run" / "version_0")) as writer:
        writer.add_scalar("loss", 1.0, 0)
    trim(tmp_path / "run" / "version_0", 0)
    assert list((tmp_path / "run" / "version_0").iterdir()) == []
