"""Bad input ends before training: few lines, exit code 2, no traceback, no run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

TABULAR = str(CONFIGS / "tabular.yaml")

# Flags over configs/tabular.yaml → what the message must name.
FLAGS: dict[str, tuple[list[str], list[str]]] = {
    "optimizer": (["--optimizer", "adamv"], ["adamv", "adam"]),
    "schedule": (["--schedule", "cosin"], ["cosin", "cosine"]),
    "clip": (["--clip", "norn"], ["norn", "norm"]),
    "model": (["--model", "tabular-clasification"], ["tabular-classification"]),
    "net": (["--model.net", "mpl"], ["mpl", "mlp"]),
    "data": (["--data", "sklearn-tabluar"], ["sklearn-tabular"]),
    "general key": (["--sed", "1"], ["sed", "seed"]),
    "trainer key": (["--trainer.max_epoch", "1"], ["max_epochs"]),
    "option of another optimizer": (
        ["--optimizer", "sgd", "--optimizer.betas", "0.9,0.99"],
        ["sgd", "betas"],
    ),
    "wrong type": (["--optimizer.lr", "fast"], ["optimizer.lr", "fast", "number"]),
    "negative lr": (["--optimizer.lr", "-1"], ["optimizer.lr", "-1"]),
    "nan lr": (["--optimizer.lr", "nan"], ["optimizer.lr", "nan"]),
    "betas": (["--optimizer.betas", "0.9,1.5"], ["optimizer.betas", "1.5"]),
    "batch size 0": (["--data.batch_size", "0"], ["data.batch_size", "0"]),
    "batch size": (["--data.batch_size", "ful"], ["data.batch_size", "ful"]),
    "warm-up too long": (["--schedule.warmup", "5000"], ["schedule.warmup", "5000"]),
    "negative warm-up": (["--schedule.warmup", "-3"], ["schedule.warmup", "-3"]),
    "fractions": (["--data.val_fraction", "0.9"], ["val_fraction", "0.9"]),
    "data set": (["--data.dataset", "breast_cancr"], ["data.dataset", "breast_cancer"]),
    "config file": (["--config", "nowhere.yaml"], ["nowhere.yaml"]),
    "version": (["--version", "0"], ["version", "0"]),
    "logger": (["--loggers", "tensorbord"], ["tensorbord", "tensorboard"]),
    "freeze pattern": (["--groups.freeze", "nothing.*"], ["nothing.*"]),
    "layer decay": (["--groups.layer_decay", "2"], ["layer_decay", "2"]),
    "init_from": (["--init_from", "nowhere"], ["nowhere"]),
    "imports": (["--imports", "no_such_module"], ["no_such_module"]),
    "class path": (["--model", "no_such.Thing"], ["no_such"]),
    "clip is a file": (["--clip", "../../x"], ["clip", "../../x"]),
    "optimizer is a file": (["--optimizer", "../../x"], ["optimizer", "../../x"]),
    "empty path": (["--data", "image-folder", "--data.path="], ["data.path"]),
    "deep convolution": (
        [
            "--model",
            "sequence-classification",
            "--model.net",
            "temporal-convolution",
            "--model.net.depth",
            "297",
            "--data",
            "sklearn-sequences",
            "--data.dataset",
            "digits",
        ],
        ["depth", "297", "30"],
    ),
    "what it can't": (
        ["--optimizer", "lbfgs", "--groups.layer_decay", "0.5"],
        ["lbfgs", "layer_decay"],
    ),
    "refused optimizer": (["--optimizer", "lomo"], ["lomo"]),
    "no flag": (["adamw"], ["adamw"]),
    "accumulates twice": (
        [
            "--data.batch_size",
            "64",
            "--data.micro_batch_size",
            "8",
            "--trainer.accumulate_grad_batches",
            "2",
        ],
        ["accumulate_grad_batches", "micro_batch_size"],
    ),
    "devices": (["--trainer.devices", "-7"], ["trainer"]),
    "precision": (["--trainer.precision", "12"], ["trainer.precision", "12"]),
    "too few betas": (
        ["--optimizer", "ademamix", "--optimizer.betas", "0.9,0.95"],
        ["optimizer.betas", "must be 3 numbers"],
    ),
    "regression on classes": (["--model", "tabular-regression"], ["regression"]),
}

# A table and flags → what the message must name.
ROWS = [f"{k},{k * k % 7},{'ab'[k % 2]}" for k in range(20)]
TABLES: dict[str, tuple[str, list[str], list[str]]] = {
    "target missing": ("x,z,y\n" + "\n".join(ROWS), ["--data.target", "yy"], ["yy", "y"]),
    "one class": ("x,y\n" + "\n".join(f"{k},a" for k in range(20)), [], ["same", "'a'"]),
    "no rows": ("x,y\n", [], ["no rows"]),
    "empty file": ("", [], ["t.csv"]),
    "missing class": (
        "x,y\n" + "\n".join(f"{k},{'ab'[k % 2] if k else ''}" for k in range(20)),
        [],
        ["1 of 20"],
    ),
    "infinite": (
        "x,y\n" + "\n".join(f"{'inf' if k == 3 else k},{'ab'[k % 2]}" for k in range(20)),
        [],
        ["x", "infinite"],
    ),
    "only a target": ("y\n" + "\n".join("ab"[k % 2] for k in range(20)), [], ["target"]),
    "empty column": (
        "x,z,y\n" + "\n".join(f"{k},,{'ab'[k % 2]}" for k in range(20)),
        [],
        ["z", "empty"],
    ),
    "target is text": (
        "x,y\n" + "\n".join(f"{k},{'ab'[k % 2]}" for k in range(20)),
        ["--data.problem", "regression", "--model", "tabular-regression"],
        ["'a'", "y"],
    ),
    "drop": ("x,z,y\n" + "\n".join(ROWS), ["--data.drop", "zz"], ["zz", "z"]),
    "few rows": ("x,y\n1,a\n2,b\n", ["--data.val_fraction", "0.6"], []),
}


def check(result: object, named: list[str]) -> None:
    """Exit code 2, at most five lines that name what is wrong, nothing left behind."""
    code, err = getattr(result, "code", None), getattr(result, "err", "")
    assert code == 2, err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 5, err
    for word in named:
        assert word in err, err
    assert not Path("runs").exists()


@pytest.mark.parametrize("case", FLAGS)
def test_flags(case: str, gdl: Run) -> None:
    flags, named = FLAGS[case]
    check(gdl("fit", "--config", TABULAR, *QUIET, *flags), named)


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str, gdl: Run) -> None:
    text, flags, named = TABLES[case]
    Path("t.csv").write_text(text)
    result = gdl(
        "fit",
        "--config",
        TABULAR,
        *QUIET,
        "--data",
        "tabular",
        "--data.path",
        "t.csv",
        "--data.target",
        "y",
        *flags,
    )
    check(result, named)


def test_yaml_errors_name_file_and_line(gdl: Run) -> None:
    for text, named in {
        "model: {name: [}": ["broken.yaml", "line 1"],
        "seed: !!timestamp 5\n": ["broken.yaml"],
        "model: {nme: mlp}\n": ["model.nme", "model.name"],
        "seed: 1\nseed: 2\n": ["broken.yaml", "line 2", "seed", "twice"],
        "- a\n- b\n": ["broken.yaml", "list"],
        "model: tabular-classification\noptimizer: {name: adamw, lrr: 1}\n": ["lrr", "lr"],
    }.items():
        Path("broken.yaml").write_text(text)
        check(gdl("fit", "--config", "broken.yaml", *QUIET), named)


def test_other_verbs(gdl: Run) -> None:
    for arguments, named in [
        (["fti"], ["fti", "fit"]),
        (["optimizers", "show", "adamv"], ["adamv", "adam"]),
        (["optimizers", "zzz*"], ["zzz*"]),
        (["schedules", "cosin"], ["cosin", "cosine"]),
        (["predict", "nowhere", "--input", "x.csv"], ["nowhere"]),
        (["predict", "nowhere"], ["There is no run", "nowhere"]),
        (["--verison"], ["--verison", "--version"]),
        (["help", "fti"], ["fti", "fit"]),
        (["test", "nowhere"], ["nowhere"]),
        (["new", "task", "1x"], ["1x"]),
    ]:
        check(gdl(*arguments), named)


def test_damaged_checkpoint(gdl: Run) -> None:
    Path("bad.ckpt").write_bytes(b"not a checkpoint")
    check(gdl("test", "bad.ckpt"), ["bad.ckpt"])


def test_debug_shows_the_traceback(gdl: Run) -> None:
    from gdlightning.errors import UserError

    with pytest.raises(UserError):
        gdl("fit", "--config", TABULAR, "--optimizer", "adamv", "--debug")
