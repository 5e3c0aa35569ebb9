"""Damaged files of a run folder, a study, a landscape and an experiment."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from hostile_base import ROOT, Attempt, Scene
from hostile_trees import copied, spoil

COMPARE = (
    "--optimizers",
    "adamw,sgd",
    "--trials",
    "1",
    "--seeds",
    "2",
    "--steps",
    "2",
    "--trainer.accelerator",
    "cpu",
    "--data.batch_size",
    "4",
)
SHORT = ("--monitor.every", "1", "--loggers", "tensorboard,csv")
RUN = "runs/tabular/version_0"


def _spoilt(scene: Scene, pattern: str) -> tuple[Path, str]:
    """Damage one file of a copy of an unfinished run."""
    folder = copied(scene.base / "unfinished", scene.folder / RUN)
    path = scene.chance.choice(sorted(folder.glob(pattern)))
    return folder, spoil(path, scene.chance)


def _verbs(folder: Path, scene: Scene) -> dict[str, list[str]]:
    run = str(folder)
    return {
        "diagnose": ["diagnose", run],
        "diagnose --png": ["diagnose", run, "--png", "d.png"],
        "fit --resume": ["fit", "--resume", run],
        "fit --resume auto": scene.fit(
            "tabular",
            scene.good("tabular"),
            *SHORT,
            "--trainer.max_steps",
            "12",
            "--resume",
            "auto",
        ),
        "test": ["test", run],
        "predict": ["predict", run, "--input", str(scene.good("tabular"))],
        "export": ["export", run, "--output", "out.safetensors"],
        "curvature": [
            "curvature",
            run,
            "--steps",
            "6",
            "--top",
            "1",
            "--bottom",
            "1",
            "--probes",
            "2",
        ],
    }


def _of_run(pattern: str, verbs: Sequence[str]) -> Callable[[Scene], Attempt]:
    def make(scene: Scene) -> Attempt:
        folder, what = _spoilt(scene, pattern)
        verb = scene.chance.choice(list(verbs))
        return Attempt(_verbs(folder, scene)[verb], f"{what}, {verb}", harmless=True)

    return make


LATER = ("fit --resume", "fit --resume auto")
ALL = (*LATER, "test", "predict", "export", "curvature", "diagnose")
instruments = _of_run("instruments.jsonl", ("diagnose", "diagnose", "diagnose --png", *LATER))
measured = _of_run("curvature.json", ("diagnose", "diagnose --png"))
metrics = _of_run("metrics.csv", LATER)
events = _of_run("events.out.*", LATER)
run_config = _of_run("config.yaml", LATER)
other = _of_run("[hmv]*.[jy]*", ALL)
"""hparams.yaml, metrics.json, verdicts.json."""
saved = _of_run("checkpoints/*.ckpt", (*ALL, *LATER))


def alone(scene: Scene) -> Attempt:
    """The only checkpoint of a run."""
    attempt = saved(scene)
    kept = scene.chance.choice(sorted((scene.folder / RUN / "checkpoints").glob("*.ckpt")))
    for other in (scene.folder / RUN / "checkpoints").glob("*.ckpt"):
        if other != kept and not other.is_dir():
            other.unlink()
    return attempt


def study(scene: Scene) -> Attempt:
    """Damage a file of a study, which is then resumed."""
    folder = copied(scene.base / "study", scene.folder / "study")
    chance = scene.chance
    names = ["journal.log"] * 6 + sorted(p.name for p in folder.iterdir() if p.is_file())
    what = spoil(folder / chance.choice(names), chance)
    return Attempt(_compare(folder), what, harmless=True)


def database(scene: Scene) -> Attempt:
    """The database of a study."""
    path = scene.folder / "study.db"
    shutil.copy(scene.base / "study.db", path)
    what = _edited(path, scene) if scene.chance.random() < 0.6 else spoil(path, scene.chance)
    argv = [*_compare(scene.folder / "out"), "--storage", f"sqlite:///{path}"]
    return Attempt(argv, what, harmless=True)


def _edited(path: Path, scene: Scene) -> str:
    """Change a value of a table, or remove rows or a table."""
    chance = scene.chance
    with contextlib.closing(sqlite3.connect(path)) as held, held:
        tables = [n for (n,) in held.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = chance.choice(tables)
        columns = [row[1] for row in held.execute(f"PRAGMA table_info({table})")]
        column, way = chance.choice(columns), chance.random()
        if way < 0.1:
            held.execute(f"DROP TABLE {table}")
            return f"without {table}"
        if way < 0.3:
            held.execute(f"DELETE FROM {table} WHERE rowid % 2 = ?", (chance.randrange(2),))
            return f"half of {table}"
        value = chance.choice([None, "x", "", -1, 2**62, 1e300, b"\xff", "{}", "[1]", "[" * 9999])
        with contextlib.suppress(sqlite3.IntegrityError):
            held.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
        return f"{table}.{column} is {str(value)[:9]}"


def _compare(folder: Path) -> list[str]:
    config = str(ROOT / "configs" / "tabular.yaml")
    return ["compare", "--config", config, *COMPARE, "--output", str(folder)]


def space(scene: Scene) -> Attempt:
    """A file of search spaces."""
    path = scene.folder / "space.yaml"
    path.write_text(
        "sgd: {lr: [0.01, 1.0], momentum: {values: [0.8, 0.9]}}\n"
        "plain: {optimizer: {name: sgd, momentum: 0.0, nesterov: false}, lr: [0.01, 1.0]}\n"
    )
    what = spoil(path, scene.chance)
    argv = [*_compare(scene.folder / "out"), "--optimizers", "", "--space", str(path)]
    return Attempt(argv, what, harmless=True)


def settings(scene: Scene) -> Attempt:
    """Pass a config with values of other types to each command that reads one."""
    path = scene.folder / "own.yaml"
    family = scene.chance.choice(["tabular", "sequence", "transformer", "vision", "text"])
    shutil.copy(ROOT / "configs" / f"{family}.yaml", path)
    what = spoil(path, scene.chance)
    config = ["--config", str(path)]
    verbs = {
        "print": ["fit", *config, "--print_config"],
        "fit": [*scene.fit("tabular", scene.good("tabular")), *config],
        "recommend": ["recommend", *config],
        "compare": ["compare", *config, *COMPARE],
        "lr-find": ["lr-find", *config, "--steps", "10", "--trainer.accelerator", "cpu"],
    }
    verb = scene.chance.choice(
        ["print", "print", "print", "fit", "recommend", "compare", "lr-find"]
    )
    return Attempt(verbs[verb], f"{family}.yaml, {what}, {verb}", harmless=True)


def surface(scene: Scene) -> Attempt:
    """Damage an interrupted landscape, which is then resumed."""
    folder = copied(scene.base / "landscape", scene.folder / "landscape")
    file = scene.chance.choice(sorted(folder.glob("*.json")))
    what = spoil(file, scene.chance)
    return Attempt(_landscape(scene.base, folder), what, harmless=True)


def _landscape(base: Path, folder: Path) -> list[str]:
    return [
        "landscape",
        str(base / "unfinished"),
        "--size",
        "3",
        "--batches",
        "1",
        "--dims",
        "1",
        "--output",
        str(folder),
    ]


def lab(scene: Scene) -> Attempt:
    """Damage the record of a seed of an experiment."""
    folder = copied(scene.base / "lab", scene.folder / "lab")
    what = spoil(scene.chance.choice(sorted((folder / "seeds").glob("*.json"))), scene.chance)
    return Attempt(_lab(folder), what, harmless=True)


def _lab(folder: Path) -> list[str]:
    return ["lab", "run", "saddle-points", "--seeds", "1", "--output", str(folder)]


def prepare_runs(
    scene: Scene, run: Callable[[list[str]], tuple[int, str]], kinds: Collection[str]
) -> None:
    """An unfinished run, and a study, a landscape and a record of the lab for those kinds.

    Args:
        scene: of the base.
        run: runs a command.
        kinds: that are wanted.
    """
    base = scene.base
    os.chdir(base)
    unfinished = scene.fit("tabular", scene.good("tabular"), *SHORT)
    commands = {
        "": [*unfinished, "--trainer.max_steps", "8", "--run_root", "made"],
        "curvature": ["diagnose", "made/tabular", "--curvature"],
        "study": _compare(base / "study"),
        "database": [*_compare(base / "out"), "--storage", f"sqlite:///{base}/study.db"],
        "lab": _lab(base / "lab"),
    }
    for kind, argv in commands.items():
        if kind and kind not in kinds:
            continue
        code, error = run(argv)
        if code:
            raise SystemExit(f"{' '.join(argv)}: {error}")
    folder = base / "unfinished"
    shutil.copytree(base / "made" / "tabular" / "version_0", folder)
    (folder / "metrics.json").unlink()
    config = (folder / "config.yaml").read_text()
    changes = {"max_steps: 8": "max_steps: 12", "run_root: made": "run_root: runs"}
    for before, after in changes.items():
        config = config.replace(before, after)
    (folder / "config.yaml").write_text(config)
    if "landscape" in kinds:
        code, error = run(_landscape(base, base / "landscape"))
        if code:
            raise SystemExit(error)
