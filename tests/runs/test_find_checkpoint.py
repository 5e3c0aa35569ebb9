"""Which checkpoint a run resumes from, and that none is ever lost by a resume."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pickle
import sys
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run, contents, metrics

from gdlightning.storage.checkpoint_file import KEY, read, write

AUTO = (
    "--config",
    str(CONFIGS / "tabular.yaml"),
    *QUIET,
    "--trainer.max_epochs",
    "3",
    "--checkpoint.every_n_steps",
    "5",
    "--resume",
    "auto",
)


class Evil:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch canary",)


def cut(path: Path) -> None:
    """Damage a file as a crash of the machine does."""
    path.write_bytes(path.read_bytes()[:-100])


def later_format(path: Path) -> None:
    """Write a checkpoint again as a later gdlightning might."""
    content = read(path)
    content[KEY]["format"] = 99
    write(content, path)


def unreadable(path: Path) -> None:
    """Let every read of a file fail with EIO, as on a bad sector."""
    path.unlink()
    path.symlink_to("/proc/self/mem")  # address 0 is mapped in no process


def gone(path: Path) -> None:
    """Put a link in a file's place whose target is not mounted."""
    path.unlink()
    path.symlink_to("/no-such-mount/last.ckpt")


@pytest.mark.parametrize("flags", [AUTO, ("--resume", "runs/tabular/version_0")])
def test_a_run_is_never_started_afresh_over_its_checkpoints(
    flags: tuple[str, ...], unfinished_run: Path, gdl: Run
) -> None:
    for path in (unfinished_run / "checkpoints").iterdir():
        cut(path)
    before = contents(Path())
    result = gdl("fit", *flags)
    assert result.code == 2
    assert result.err.count("Passing over") == 4
    assert "None of the 4 checkpoints in runs/tabular/version_0/checkpoints can be" in result.err
    assert contents(Path()) == before


def test_damaged_and_hostile_checkpoints_are_named_and_passed_over(
    unfinished_run: Path, finished_run: Path, gdl: Run
) -> None:
    folder = unfinished_run / "checkpoints"
    for path in folder.glob("best*"):
        path.unlink()
    (folder / "last.ckpt").write_bytes(pickle.dumps(Evil()))
    cut(folder / "previous-1.ckpt")
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert f"Passing over {folder / 'last.ckpt'}: " in result.err
    assert f"Passing over {folder / 'previous-1.ckpt'}: " in result.err
    assert f"Resuming {unfinished_run} from step 30." in result.out
    assert not Path("canary").exists()
    assert metrics("tabular") == json.loads((finished_run / "metrics.json").read_text())


@pytest.mark.parametrize(
    ("spoil", "code", "reason"),
    [
        (later_format, 2, "format 99"),
        (unreadable, 74, "Input/output error"),
        (gone, 74, "No such file or directory"),
    ],
)
def test_an_older_checkpoint_is_not_taken_where_the_newest_may_be_good(
    spoil: object, code: int, reason: str, unfinished_run: Path, gdl: Run
) -> None:
    last, older = (unfinished_run / "checkpoints" / f"{n}.ckpt" for n in ("last", "previous-1"))
    assert callable(spoil)
    spoil(last)
    before = contents(unfinished_run)
    for flags in (AUTO, ("--resume", str(unfinished_run))):
        result = gdl("fit", *flags)
        assert result.code == code
        assert str(last) in result.err
        assert reason in result.err
        assert f"--resume {older}" in result.err
    assert contents(unfinished_run) == before
    result = gdl("test", str(unfinished_run), "--checkpoint", "last")
    assert (result.code, f"name it: {older}" in result.err) == (code, True)
    if spoil is later_format:
        result = gdl("fit", "--resume", str(older))
        assert result.code == 0, result.err
        assert f"Resuming {unfinished_run} from step 35." in result.out


def test_a_folder_of_checkpoints_that_is_not_mounted_is_no_empty_one(
    unfinished_run: Path, gdl: Run
) -> None:
    folder = unfinished_run / "checkpoints"
    folder.rename("elsewhere")
    folder.symlink_to("/no-such-mount")
    result = gdl("fit", "--resume", str(unfinished_run))
    assert result.code == 74
    assert f"{folder} cannot be read" in result.err


def test_a_named_checkpoint_is_the_one_that_is_taken(
    unfinished_run: Path, finished_run: Path, gdl: Run
) -> None:
    folder = unfinished_run / "checkpoints"
    newest = (folder / "last.ckpt").read_bytes()
    result = gdl("fit", "--resume", str(folder / "previous-2.ckpt"), "--checkpoint.keep", "5")
    assert result.code == 0, result.err
    assert f"Resuming {unfinished_run} from step 30." in result.out
    assert f"{folder / 'last.ckpt'} is newer than previous-2.ckpt" in result.out
    assert newest == (folder / "previous-3.ckpt").read_bytes()  # after three more saves
    assert metrics("tabular") == json.loads((finished_run / "metrics.json").read_text())


def test_a_named_checkpoint_is_taken_or_nothing_is(unfinished_run: Path, gdl: Run) -> None:
    folder = unfinished_run / "checkpoints"
    cut(folder / "previous-1.ckpt")
    content = read(folder / "last.ckpt")
    del content["optimizer_states"]
    write(content, folder / "weights.ckpt")
    before = contents(unfinished_run)
    for name, told in {
        "previous-1": "is damaged",
        "weights": "weights alone, not the state of a run",
        "previous-9": "there is no checkpoint",
    }.items():
        result = gdl("fit", "--resume", str(folder / f"{name}.ckpt"))
        assert (result.code, told in result.err) == (2, True), result.err
        assert str(folder / f"{name}.ckpt") in result.err
    assert contents(unfinished_run) == before


def test_a_checkpoint_of_another_name_is_better_than_none(unfinished_run: Path, gdl: Run) -> None:
    folder = unfinished_run / "checkpoints"
    (folder / "previous-1.ckpt").rename(folder / "epoch=1-step=35.ckpt")
    for name in ("last", "previous-2", "best*"):
        for path in folder.glob(f"{name}.ckpt"):
            path.unlink()
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert f"Resuming {unfinished_run} from step 35." in result.out


def logged(folder: Path) -> list[dict[str, str]]:
    """Return the rows of ``metrics.csv`` without timings."""
    timed = ("steps_per_second", "examples_per_second")
    with (folder / "metrics.csv").open(newline="") as stream:
        return [{k: v for k, v in r.items() if k not in timed} for r in csv.DictReader(stream)]


@pytest.mark.parametrize("lost", ["nothing", "last.ckpt"])
def test_a_best_checkpoint_that_was_saved_later_is_resumed(
    lost: str, unfinished_run: Path, finished_run: Path, gdl: Run
) -> None:
    """Also after a kill before ``last.ckpt`` was written again."""
    folder = unfinished_run / "checkpoints"
    if lost == "last.ckpt":
        (folder / lost).unlink()
    else:
        (folder / "previous-1.ckpt").replace(folder / "last.ckpt")
    assert [p.name for p in folder.glob("best*")] == ["best-epoch=2-step=39.ckpt"]
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert f"Resuming {unfinished_run} from step 39." in result.out
    assert logged(unfinished_run) == logged(finished_run)


def test_steps_that_were_left_out_are_not_resumed(unfinished_run: Path, gdl: Run) -> None:
    """A run that went back to step 30 does not resume from a best checkpoint of step 39."""
    folder = unfinished_run / "checkpoints"
    stop = ("--max_time", "0.001s")
    assert gdl("fit", "--resume", str(folder / "previous-2.ckpt"), *stop).code == 75
    assert list(folder.glob("best*39.ckpt"))
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert f"Resuming {unfinished_run} from step 30." in result.out


def test_a_kill_while_a_run_goes_back_leaves_no_gap_in_its_logs(
    unfinished_run: Path, finished_run: Path, gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gdlightning.runs.run_start.write_text", killed)  # the logs are cut by then
        older = unfinished_run / "checkpoints" / "previous-2.ckpt"
        with contextlib.suppress(KeyboardInterrupt):
            assert gdl("fit", "--resume", str(older)).code != 0
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert logged(unfinished_run) == logged(finished_run)


SPOILING = """
import pathlib
import lightning.pytorch as L

class Spoiling(L.Callback):
    '''From step 12 on the loss is not a number, and no checkpoint can be read.'''
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step >= 12:
            for path in pathlib.Path('runs').rglob('*.ckpt'):
                path.write_bytes(b'spoilt')
            for weight in module.parameters():
                weight.data.fill_(float('nan'))
"""


def test_a_rollback_does_not_start_afresh_over_checkpoints(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("spoiling.py").write_text(SPOILING)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "spoiling", raising=False)
    result = gdl(
        "fit",
        *AUTO[:-2],
        "--callbacks",
        "spoiling.Spoiling",
        "--guard.policy",
        "rollback",
        "--guard.patience",
        "2",
    )
    assert result.code == 2
    assert "checkpoints in runs/tabular/version_0/checkpoints can be used" in result.err
    assert "Rollback" not in result.err
    assert Path("runs/tabular/version_0/metrics.csv").is_file()


def test_a_damaged_last_checkpoint_is_replaced_where_no_step_is_left(
    unfinished_run: Path, finished_run: Path, gdl: Run
) -> None:
    """The best checkpoint is that of the last step, so that the run does not save another one."""
    folder = unfinished_run / "checkpoints"
    cut(folder / "last.ckpt")
    result = gdl("fit", *AUTO)
    assert result.code == 0, result.err
    assert f"Resuming {unfinished_run} from step 39." in result.out
    assert read(folder / "last.ckpt")["global_step"] == 39
    assert metrics("tabular") == json.loads((finished_run / "metrics.json").read_text())
