"""Logs that are cut to where they ended at a checkpoint, and continued there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from gdlightning.storage.journal import JOURNAL
from gdlightning.storage.logs import (
    METRICS,
    ResumableCSVLogger,
    ThrottledTensorBoardLogger,
    flush,
    log_ends,
    trim,
)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS).open(newline="") as stream:
        return list(csv.DictReader(stream))


def logged(tmp_path: Path, steps: range, key: str = "loss") -> ResumableCSVLogger:
    logger = ResumableCSVLogger(tmp_path, name="run", version=0)
    for step in steps:
        logger.log_metrics({key: step / 10}, step=step)
    logger.flush()
    return logger


def test_csv_continues_after_the_cut_with_new_columns_too(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "version_0"
    ends = log_ends(folder, [logged(tmp_path, range(4))])
    logged(tmp_path, range(4, 6))
    with (folder / METRICS).open("a") as stream:
        stream.write("0.6")  # half a row of a killed writer
    trim(folder, ends)
    assert [r["step"] for r in rows(folder)] == ["0", "1", "2", "3"]
    logged(tmp_path, range(4, 6))
    logged(tmp_path, range(6, 8), "val_loss")
    found = rows(folder)
    assert [int(r["step"]) for r in found] == list(range(8))
    assert [r["loss"] for r in found] == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "", ""]
    assert [r["val_loss"] for r in found[6:]] == ["0.6", "0.7"]


def test_a_row_of_a_later_step_that_was_logged_before_the_save_stays(tmp_path: Path) -> None:
    """A callback that logs after the optimizer's step uses the number of the next step."""
    folder = tmp_path / "run" / "version_0"
    logger = logged(tmp_path, range(4))
    logger.log_metrics({"own": 1.0}, step=4)
    flush([logger])
    ends = log_ends(folder, [logger])
    logged(tmp_path, range(4, 6))
    trim(folder, ends)
    assert [(r["step"], r["own"]) for r in rows(folder)][3:] == [("3", ""), ("4", "1.0")]


def test_a_resumed_logger_counts_the_rows_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "version_0"
    logged(tmp_path, range(4))
    again = ResumableCSVLogger(tmp_path, name="run", version=0)
    again.log_metrics({"loss": 0.4}, step=4)
    trim(folder, {METRICS: 2})
    again.reopen()
    flush([again])
    assert log_ends(folder, [again]) == {METRICS: 3}
    assert [r["step"] for r in rows(folder)] == ["0", "1", "4"]


def test_events_after_the_end_go_and_a_half_record_too(tmp_path: Path) -> None:
    logger = ThrottledTensorBoardLogger(tmp_path, name="run", version=0)
    for step in range(10):
        if step == 6:
            flush([logger])
            ends = log_ends(Path(logger.log_dir), [logger])
        logger.log_metrics({"loss": step / 10}, step=step)
    logger.finalize("success")
    file = next(Path(logger.log_dir).glob("events*"))
    with file.open("ab") as stream:
        stream.write(b"half a record")
    trim(Path(logger.log_dir), ends)
    board = EventAccumulator(str(file))
    board.Reload()
    assert [e.step for e in board.Scalars("loss")] == list(range(6))


def test_files_begun_after_the_checkpoint_go_unless_they_are_open_now(tmp_path: Path) -> None:
    old, new = tmp_path / "events.out.tfevents.1", tmp_path / "events.out.tfevents.2"
    for file in (old, new, tmp_path / JOURNAL):
        file.write_bytes(b"content")
    trim(tmp_path, {JOURNAL: 3}, among={old, tmp_path / JOURNAL})
    assert not old.exists()
    assert new.read_bytes() == b"content"
    assert (tmp_path / JOURNAL).read_bytes() == b"con"


def test_cutting_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    logged(tmp_path, range(3))
    with SummaryWriter(str(tmp_path / "run" / "version_0")) as writer:
        writer.add_scalar("loss", 1.0, 0)
    trim(tmp_path / "run" / "version_0", {})
    assert list((tmp_path / "run" / "version_0").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"\0\0\0", b"\xff\xfe\x00", b"", b"loss,loss\n1,2\n", b"loss\n1\n", b"a,step\n1\n2,3,4\n"],
)
def test_a_damaged_table_is_put_aside(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / METRICS).write_bytes(content)
    trim(tmp_path, {METRICS: 2})
    assert not (tmp_path / METRICS).exists()
    assert (tmp_path / f"{METRICS}.damaged").read_bytes() == content
    assert "is damaged and was renamed" in capsys.readouterr().err


def test_a_second_damaged_table_leaves_the_first_one_there(tmp_path: Path) -> None:
    for content in (b"loss,step\n1,0\n2", b"loss,step\n3,1\n4"):
        (tmp_path / METRICS).write_bytes(content)
        trim(tmp_path, {METRICS: 2})
    assert (tmp_path / f"{METRICS}.damaged").read_bytes() == b"loss,step\n1,0\n2"
    assert (tmp_path / f"{METRICS}.damaged1").read_bytes() == b"loss,step\n3,1\n4"


def test_missing_rows_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / METRICS).write_text("loss,step\n1,0\n2,1\n")
    trim(tmp_path, {METRICS: 2})
    assert capsys.readouterr().err == ""
    trim(tmp_path, {METRICS: 5})
    assert f"{METRICS} lacks the last 3 of 5 rows" in capsys.readouterr().err
    assert (tmp_path / METRICS).read_bytes() == b"loss,step\r\n1,0\r\n2,1\r\n"


@pytest.mark.parametrize("content", [b"\xff\0: [}\n", b'step,"' + b"x" * 200_000])
def test_a_table_that_is_not_text_stops_no_run(content: bytes, tmp_path: Path) -> None:
    """Also one with a field that is longer than the csv module reads."""
    folder = tmp_path / "run" / "version_0"
    folder.mkdir(parents=True)
    (folder / METRICS).write_bytes(content)
    logger = ResumableCSVLogger(tmp_path, name="run", version=0)
    assert logger.rows == 0  # opens it
    trim(folder, {METRICS: 2})
    logger.reopen()
    logger.log_metrics({"loss": 0.5}, step=2)
    logger.flush()
    assert [r["step"] for r in rows(folder)] == ["2"]
