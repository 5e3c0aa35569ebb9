"""Outcomes survive kills at any byte, and workers share them without duplicate work."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gdlightning as gdl
from gdlightning.errors import StorageError
from gdlightning.study.store import Store, work
from gdlightning.study.study_journal import in_words
from gdlightning.study.trial import Trial, TrialResult

TRIALS = [Trial("w", "adamw", {"lr": 0.1 + k, "betas": [0.9, 0.99]}, 10) for k in range(12)]


def done(job: list[Trial]) -> list[TrialResult]:
    return [TrialResult({"val_loss": float(t.settings["lr"])}, [(1, 0.5, 2.0)]) for t in job]


def jobs(size: int = 1) -> list[list[Trial]]:
    return [TRIALS[k : k + size] for k in range(0, len(TRIALS), size)]


def finish(store: Store, size: int = 1) -> tuple[list[TrialResult], int]:
    """Return all outcomes, and how many trials were run."""
    ran: list[Trial] = []

    def run(job: list[Trial]) -> list[TrialResult]:
        ran.extend(job)
        return done(job)

    return work(store, jobs(size), run, lambda t, o: o.metrics["val_loss"]), len(ran)


def test_no_duplicate_work(tmp_path: Path) -> None:
    first, ran = finish(Store(tmp_path, "s", {}))
    assert ran == len(TRIALS)
    again, ran = finish(Store(tmp_path, "s", {}))
    assert ran == 0
    assert again == first == done(TRIALS)


def _finishes(where: str) -> None:
    store = Store(where, "s", {})
    with store.alive():
        finish(store)


def in_another_process(target: Callable[..., None], *arguments: str) -> None:
    worker = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    worker.start()
    worker.join(60)
    assert worker.exitcode is not None


def test_truncated_journal_is_resumed(tmp_path: Path) -> None:
    in_another_process(_finishes, str(tmp_path))
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    for cut in range(len(whole) - 1, 400, -(len(whole) // 7)):
        journal.write_bytes(whole[:cut])
        in_another_process(_finishes, str(tmp_path))
        assert finish(Store(tmp_path, "s", {}))[0] == done(TRIALS)
        assert finish(Store(tmp_path, "s", {}))[1] == 0


def test_stack_is_run_as_a_whole_and_reported_once(tmp_path: Path) -> None:
    store = Store(tmp_path, "s", {})
    (number,) = (store.claim(TRIALS[:1]) or {}).values()
    store.tell(number, TrialResult({"val_loss": -1.0}), -1.0)
    found, ran = finish(store, size=4)
    assert ran == 12
    assert found[0].metrics == {"val_loss": -1.0}  # known outcomes are kept


def test_different_study_in_the_same_folder_is_an_error(tmp_path: Path) -> None:
    Store(tmp_path, "s", {"optimizers": "adamw", "seeds": 3})
    with pytest.raises(gdl.UserError, match=r"a different comparison \(optimizers changed\)"):
        Store(tmp_path, "s", {"optimizers": "sgd", "seeds": 3})


def _worker(where: str, log: str) -> None:
    def run(job: list[Trial]) -> list[TrialResult]:
        time.sleep(0.05)
        with open(log, "a") as stream:
            stream.write(f"{os.getpid()} {job[0].key}\n")
        return done(job)

    work(Store(where, "s", {}), jobs(), run, lambda t, o: 0.0)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_two_processes_share_the_work(tmp_path: Path, kind: str) -> None:
    where = str(tmp_path) if kind == "journal" else f"sqlite:///{tmp_path}/study.db"
    Store(where, "s", {})
    spawn = multiprocessing.get_context("fork")
    log = str(tmp_path / "log")
    workers = [spawn.Process(target=_worker, args=(where, log)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    lines = [line.split() for line in Path(log).read_text().splitlines()]
    assert len({pid for pid, _ in lines}) == 2
    assert sorted(key for _, key in lines) == sorted(t.key for t in TRIALS)


def _dies(where: str) -> None:
    Store(where, "s", {}).claim(TRIALS[:3])
    os._exit(1)


def test_claims_of_dead_workers_expire(tmp_path: Path) -> None:
    Store(tmp_path, "s", {})
    in_another_process(_dies, str(tmp_path))
    assert finish(Store(tmp_path, "s", {}))[1] == len(TRIALS)


def test_first_of_two_claims_wins(tmp_path: Path) -> None:
    one, other = Store(tmp_path, "s", {}), Store(tmp_path, "s", {})
    assert one.claim(TRIALS[:2])
    assert other.claim(TRIALS[1:3]) is None
    assert other.claim(TRIALS[2:3])


def test_invalid_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(gdl.UserError, match="cannot be opened"):
        Store("nosuch://x", "s", {})


def damage(journal: Path, choose: Callable[[int, dict[str, Any]], bool], junk: bytes) -> int:
    """Overwrite the end of the first line that is chosen; its number."""
    lines = journal.read_bytes().splitlines()
    number = next(k for k, line in enumerate(lines) if choose(k, json.loads(line)))
    lines[number] = lines[number][:-30] + junk
    journal.write_bytes(b"\n".join(lines) + b"\n")
    return number + 1


@pytest.mark.parametrize("operation", [2, 4, 6, 8])
@pytest.mark.parametrize("junk", [b"", b"\xff\0}}", b"[" * 100_000])
def test_a_study_goes_on_without_a_line_that_is_damaged(
    operation: int, junk: bytes, tmp_path: Path
) -> None:
    in_another_process(_finishes, str(tmp_path))
    number = damage(
        tmp_path / "journal.log",
        lambda k, log: (
            (k > 8 and log["op_code"] == operation) or (operation == 2 and "alive" in str(log))
        ),
        junk,
    )
    store = Store(tmp_path, "s", {})
    assert store.damaged == [number]
    outcomes, ran = finish(store)
    assert outcomes == done(TRIALS)
    assert ran == (0 if operation == 2 else 1)
    again = Store(tmp_path, "s", {})
    assert finish(again) == (done(TRIALS), 0)


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (lambda k, log: k == 0, "line 1 is damaged, and the study can't go on"),
        (lambda k, log: "about" in str(log), "does not tell any more which comparison"),
    ],
)
def test_a_line_that_decides_is_named(
    choose: Callable[[int, dict[str, Any]], bool], said: str, tmp_path: Path
) -> None:
    in_another_process(_finishes, str(tmp_path))
    damage(tmp_path / "journal.log", choose, b"")
    with pytest.raises(gdl.UserError, match=said):
        Store(tmp_path, "s", {})


def test_a_line_of_which_nothing_is_known_is_named(tmp_path: Path) -> None:
    in_another_process(_finishes, str(tmp_path))
    journal = tmp_path / "journal.log"
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"\n".join([*lines[:9], b"\xff" * 30, *lines[10:]]) + b"\n")
    with pytest.raises(gdl.UserError, match=r"journal\.log, line 10 is damaged"):
        Store(tmp_path, "s", {})
    journal.write_bytes(b"\n".join(lines[:9]) + b"\n")  # as the message says
    assert finish(Store(tmp_path, "s", {}))[0] == done(TRIALS)


def test_a_locked_database_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"sqlite:///{tmp_path}/study.db"
    Store(where, "s", {})
    holder = sqlite3.connect(tmp_path / "study.db", check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, holder.rollback).start()
    assert finish(Store(where, "s", {}))[0] == done(TRIALS)
    monkeypatch.setattr("gdlightning.study.study_journal.LOCKED", 0.2)
    store = Store(where, "s", {})
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked by another process"):
        Store(where, "s", {})
    with pytest.raises(StorageError, match="locked by another process"), in_words(where):
        store.claim(TRIALS)
    holder.rollback()
    holder.close()


@pytest.mark.parametrize("raw", [b"SQLite format 3\0" + bytes(4000), b"no database" * 999])
def test_a_file_that_is_no_database(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(raw)
    with pytest.raises(gdl.UserError, match=r"study\.db cannot be"):
        Store(f"sqlite:///{tmp_path}/study.db", "s", {})
