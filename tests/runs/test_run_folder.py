"""The folder of a run: by any path to it, made once, replaced on request, never emptied."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS, QUIET, Run, contents, metrics

from gdlightning.runs.run_folder import find_run, run_of

TABULAR = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET)
SHORT = (*TABULAR, "--trainer.max_steps", "2")
ENDLESS = (*TABULAR, "--trainer.max_epochs", "100000")


@pytest.fixture
def renamed_run(unfinished_run: Path) -> Path:
    """``runs/tabular/good``: the unfinished run by another name, the only one there."""
    return unfinished_run.rename(unfinished_run.with_name("good"))


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (".", "runs/tabular/good"),
        (".", "runs/tabular/good/"),
        (".", "./runs/../runs/tabular/good"),
        (".", "link"),
        ("runs", "tabular/good"),
        ("runs/tabular", "good"),
        ("runs/tabular/good", "."),
        ("runs/tabular/good", "./"),
        ("runs/tabular/good/checkpoints", ".."),
        ("runs/tabular/good/checkpoints", "last.ckpt"),
        ("runs/tabular/good", "checkpoints/last.ckpt"),
    ],
)
def test_a_run_is_resumed_by_any_path_to_it(
    place: str,
    path: str,
    renamed_run: Path,
    finished_run: Path,
    gdl: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = renamed_run.absolute()
    Path("link").symlink_to(folder)
    before = set(contents(Path()))
    monkeypatch.chdir(place)
    result = gdl("fit", "--resume", path)
    assert result.code == 0, result.err
    assert "from step 39." in result.out
    left = json.loads((folder / "metrics.json").read_text())
    assert left == json.loads((finished_run / "metrics.json").read_text())
    monkeypatch.chdir(folder.parents[2])
    new = {Path(p) for p in set(contents(Path())) - before}
    assert {p.parent for p in new} == {Path("runs/tabular/good")}  # logs as well
    assert any(p.name.startswith("events.out") for p in new)


def test_other_verbs_take_the_same_paths(
    renamed_run: Path, gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = renamed_run.absolute()
    monkeypatch.setenv("HOME", str(folder.parents[2]))
    Path("link").symlink_to(folder)
    for path in ("~/runs/tabular/good", "$HOME/link", "runs/tabular/good/", "link"):
        assert gdl("test", path).code == 0
        assert find_run(path).samefile(folder)  # of gdl diagnose
    monkeypatch.chdir(folder / "checkpoints")
    for path in ("..", "last.ckpt", "../checkpoints/last.ckpt"):
        assert gdl("test", path).code == 0
        assert find_run(path).samefile(folder)  # of gdl diagnose
    monkeypatch.chdir(folder)
    for verb in (
        ("test",),
        ("export", "--output", "../w.safetensors"),
        ("curvature", "--batches", "1", "--top", "1", "--bottom", "0", "--steps", "2"),
        ("landscape", "--size", "3", "--dims", "1", "--batches", "1"),
    ):
        assert gdl(verb[0], ".", *verb[1:]).code == 0
    assert (folder / "landscape" / "random-1d.json").is_file()
    flags = (*SHORT, "--run_root", "new", "--init_from")
    assert gdl("fit", *flags, ".").code == 0
    assert gdl("fit", *flags, "~/runs/tabular/good/").code == 0


def test_the_folder_of_a_path_has_a_name_and_a_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "x" / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / "config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for path in ("", "/checkpoints/last.ckpt", "/checkpoints/gone.ckpt", "/config.yaml"):
        assert run_of(Path(f"x/version_0{path}")) == Path("x/version_0")
    monkeypatch.chdir(folder)
    for path in (
        ".",
        "config.yaml",
        "checkpoints/last.ckpt",
        "checkpoints/gone.ckpt",
        "../version_0",
    ):
        assert run_of(Path(path)) == folder
    monkeypatch.chdir(folder / "checkpoints")
    for path in ("..", "last.ckpt", "gone.ckpt", "../checkpoints/last.ckpt", "./last.ckpt"):
        assert run_of(Path(path)) == folder


REFUSING = """
import os, pathlib, signal
import lightning.pytorch as L
from gdlightning.errors import UserError

class Refusing(L.Callback):
    def on_fit_start(self, trainer, module):
        if pathlib.Path("kill").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        raise UserError("no.")
"""


@pytest.fixture
def refuse(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Flags of a training that is refused once its folder is there."""
    Path("refusing.py").write_text(REFUSING)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "refusing", raising=False)
    return "--callbacks", "refusing.Refusing"


def test_a_refused_resume_takes_nothing_away(
    unfinished_run: Path, refuse: tuple[str, ...], gdl: Run
) -> None:
    shutil.rmtree(unfinished_run / "checkpoints")
    (unfinished_run / "notes.txt").write_text("mine")
    result = gdl("fit", "--resume", str(unfinished_run), "--resume_changed", "true", *refuse)
    assert (result.code, "error: no." in result.err) == (2, True)
    assert {"notes.txt", "config.yaml"} <= set(contents(unfinished_run))


def test_a_refused_run_takes_away_what_it_made_alone(refuse: tuple[str, ...], gdl: Run) -> None:
    Path("mine").mkdir()
    before = contents(Path())
    for root in ("mine", "new/deep"):
        assert gdl("fit", *SHORT, "--run_root", root, *refuse).code == 2
        assert contents(Path()) == before


def test_a_replaced_run_goes_once_the_new_one_has_saved(
    unfinished_run: Path, refuse: tuple[str, ...], gdl: Run
) -> None:
    shutil.copytree(unfinished_run, unfinished_run.with_name("version_2"))
    (unfinished_run.with_name("version_2") / "notes.txt").write_text("mine")
    before = contents(Path("runs"))
    assert gdl("fit", *SHORT, "--overwrite", "true", *refuse).code == 2
    assert contents(Path("runs")) == before | {"tabular/version_2/.lock": b""}
    Path("kill").touch()
    assert gdl("fit", *SHORT, "--overwrite", "true", *refuse).code == 75
    assert contents(Path("runs")) == before | {"tabular/version_2/.lock": b""}
    result = gdl("fit", *SHORT, "--overwrite", "true")
    assert result.code == 0, result.err
    assert "Replacing runs/tabular/version_2" in result.out
    after = contents(Path("runs"))
    assert "tabular/version_2/notes.txt" not in after
    assert metrics("tabular", 2)
    assert {p.name for p in Path("runs/tabular").iterdir()} == {"version_0", "version_2"}
    assert all(after[k] == v for k, v in before.items() if "version_0" in k)
    config = Path("runs/tabular/version_2/config.yaml")
    assert yaml.safe_load(config.read_text())["overwrite"] is False


def test_a_new_run_that_saves_nothing_leaves_the_replaced_one(
    unfinished_run: Path, gdl: Run
) -> None:
    before = contents(unfinished_run)
    result = gdl(
        "fit",
        *SHORT,
        "--overwrite",
        "true",
        "--trainer.enable_checkpointing",
        "false",
        "--optimizer.lr",
        "1e30",
        "--guard.patience",
        "1",
    )
    assert result.code == 3
    aside = unfinished_run.with_name("version_0.replaced")
    assert contents(aside) == before | {".lock": b""}
    assert f"the run that it replaces is kept in {aside}" in result.err
    assert (unfinished_run / "config.yaml").is_file()


def test_a_replaced_run_goes_after_a_kill_too(unfinished_run: Path, gdl: Run) -> None:
    aside = unfinished_run.with_name("version_0.replaced")
    shutil.copytree(unfinished_run, aside)  # the process that put it there was killed
    before = contents(aside)
    resume = ("fit", "--resume", str(unfinished_run), "--max_time")
    assert gdl(*resume, "0.001s").code == 75
    assert contents(aside) == before
    assert gdl(*resume, "1h").code == 0
    assert [p.name for p in unfinished_run.parent.iterdir()] == ["version_0"]


def test_a_new_run_removes_the_drafts_of_killed_processes(gdl: Run) -> None:
    """Not those of living processes, young ones, and what others made."""
    parent = Path("runs/tabular").absolute()
    names = {k: f".{k}{'0' * 15}.tmp" for k in "abc"} | {"other": ".mine.tmp"}
    for key, name in names.items():
        (parent / name).mkdir(parents=True)
        (parent / name / "config.yaml").write_text("draft")
        age = 0 if key == "b" else 3600
        os.utime(parent / name, (time.time() - age, time.time() - age))
    holding = "import sys, pathlib; from gdlightning.runs.run_lock import held\n"
    holding += "with held(pathlib.Path(sys.argv[1])): print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(parent / names["c"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.utime(parent / names["c"], (time.time() - 3600, time.time() - 3600))
        assert gdl("fit", *SHORT).code == 0
        process.communicate()
    left = {p.name for p in parent.iterdir()}
    assert left == {names["b"], names["c"], names["other"], "version_0"}


def test_what_is_no_run_is_not_replaced(gdl: Run) -> None:
    folder = Path("runs/tabular/version_0")
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    result = gdl("fit", *SHORT, "--overwrite", "true")
    assert result.code == 2
    assert f"{folder} is not a run folder" in result.err
    result = gdl("fit", *SHORT, "--overwrite", "true", "--resume", "auto")
    assert result.code == 2
    assert "overwrite is true and resume is auto" in result.err
    assert contents(Path("runs/tabular")) == {"version_0": None, "version_0/notes.txt": b"mine"}


def test_a_run_that_trains_is_not_taken_by_another_process(gdl: Run, tmp_path: Path) -> None:
    """Two first starts of one config at once: one trains, the other says so and leaves."""
    command = [sys.executable, "-m", "gdlightning", "fit", *ENDLESS, "--resume", "auto"]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        while all(process.poll() is None for process in both):
            time.sleep(0.05)
        beaten, winner = sorted(both, key=lambda process: process.poll() is None)
        assert beaten.returncode == 2
        assert winner.poll() is None
        told = beaten.communicate()[1]
        assert "another process is training in runs/tabular/version_0" in told
        assert "choose another --name" in told
        for flags in (("--overwrite", "true"), ("--resume", "runs/tabular/version_0")):
            result = gdl("fit", *ENDLESS, *flags)
            assert result.code == 2
            assert "another process is training in runs/tabular/version_0" in result.err
        assert [p.name for p in (tmp_path / "runs/tabular").iterdir()] == ["version_0"]
    finally:
        for process in both:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


RACE = """
import contextlib, multiprocessing, sys
from gdlightning.runs.load_config import load
from gdlightning.runs.resume import open_run
from gdlightning.errors import UserError

def start(config, gate, end, found):
    with contextlib.redirect_stdout(sys.stderr):
        gate.wait()
        try:
            with open_run(config, first_rank=True) as run:
                found.put(f"got {run.folder}")
                end.wait()
        except UserError as error:
            found.put(str(error))
            end.wait()

context = multiprocessing.get_context("fork")
for name in [f"{kind}-{number}" for number in range(10) for kind in ("first", "over")]:
    how = ("--resume", "auto") if name.startswith("first") else ("--overwrite", "true")
    config, _ = load([*sys.argv[1:], "--name", name, *how])
    gate, end, found = context.Barrier(6), context.Barrier(6), context.Queue()
    children = [context.Process(target=start, args=(config, gate, end, found)) for _ in range(6)]
    for child in children:
        child.start()
    told = [found.get() for _ in children]
    beaten = sum(": another process is training in runs" in text for text in told)
    print(*[text for text in told if text.startswith("got ")], beaten, flush=True)
    for child in children:
        child.join()
"""


def test_of_many_starts_at_once_one_gets_the_run(finished_run: Path, tmp_path: Path) -> None:
    for number in range(10):
        for version in range(2):
            folder = tmp_path / f"runs/over-{number}/version_{version}"
            folder.mkdir(parents=True)
            shutil.copy(finished_run / "config.yaml", folder)
    done = subprocess.run(
        [sys.executable, "-c", RACE, *TABULAR],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    names = [f"{kind}-{number}" for number in range(10) for kind in ("first", "over")]
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        newest = 0 if name.startswith("first") else 1
        assert line == f"got runs/{name}/version_{newest} 5"
        left = {p.name for p in (tmp_path / "runs" / name).iterdir()}
        assert left - {"version_1.replaced"} == {f"version_{k}" for k in range(newest + 1)}
