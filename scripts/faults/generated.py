"""Random small configs over all tasks, nets, optimizers, schedules and clipping methods."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from gdlightning.config.sections import find
from gdlightning.optimizers.registry import entries, installed
from gdlightning.schedules import names as schedule_names

Tree = dict[str, Any]

QUICK = {"max_epochs": 1, "max_steps": 2, "accelerator": "cpu", "enable_progress_bar": False}
"""Limits that end every run, even if one of them is invalid."""

FOLDER = "given/"
"""Folder of the data files named below."""

DATA: dict[str, list[Tree]] = {
    "tabular-classification": [
        {"name": "sklearn-tabular", "dataset": "iris"},
        {"name": "sklearn-tabular", "dataset": "wine"},
        {"name": "tabular", "path": "table.csv", "target": "kind"},
        {"name": "tabular", "path": "table.csv", "target": "kind", "categorical": ["code"]},
    ],
    "tabular-regression": [
        {"name": "sklearn-tabular", "dataset": "diabetes"},
        {"name": "tabular", "path": "table.csv", "target": "size", "drop": ["kind"]},
        {"name": "tabular", "path": "table.csv", "target": "size", "problem": "regression"},
    ],
    "image-classification": [
        {"name": "image-folder", "path": "images"},
        {"name": "image-folder", "path": "images", "size": 8, "flip": True, "shift": 0.1},
        {"name": "image-folder", "path": "images", "rotate": 5, "zoom": 0.1, "erase": 0.2},
    ],
    "sequence-classification": [
        {"name": "sequence-table", "path": "series.csv", "id": "series", "target": "kind"},
        {
            "name": "sequence-table",
            "path": "series.csv",
            "id": "series",
            "target": "kind",
            "time": "step",
            "columns": ["a"],
        },
        {"name": "ts-file", "path": "series.ts"},
    ],
    "forecasting": [
        {"name": "sample-series", "context": 8, "horizon": 3},
        {"name": "sample-series", "context": 12, "horizon": 2, "log": True},
        {
            "name": "forecast-table",
            "path": "series.csv",
            "target": "a",
            "id": "series",
            "time": "step",
            "context": 3,
            "horizon": 1,
        },
    ],
    "text-classification": [
        {"name": "text-table", "path": "texts.csv", "target": "mood"},
        {
            "name": "text-table",
            "path": "texts.csv",
            "target": "mood",
            "vocabulary": "hashed",
            "features": 64,
            "ngrams": 2,
        },
        {"name": "text-folder", "path": "texts", "min_count": 2},
    ],
    "language-modelling": [
        {"name": "text-files", "path": "book.txt", "context": 16},
        {"name": "text-files", "path": "book.txt", "context": 12, "level": "characters"},
    ],
}

small = st.sampled_from([4, 8])
dropout = st.sampled_from([0.0, 0.1])
blocks = {"width": small, "depth": st.integers(1, 2), "dropout": dropout}
NETS: dict[str, dict[str, dict[str, SearchStrategy[Any]]]] = {
    "tabular-classification": {
        "mlp": {
            "hidden": st.lists(small, max_size=2),
            "dropout": dropout,
            "activation": st.sampled_from(["relu", "gelu", "silu", "tanh"]),
        },
        "linear": {},
        "residual-mlp": {**blocks, "expansion": st.sampled_from([1.0, 2.0])},
    },
    "image-classification": {
        "resnet": {"width": small, "blocks": st.sampled_from([[1], [1, 1]]), "dropout": dropout},
        "vit": {**blocks, "heads": st.sampled_from([1, 2]), "patch": st.sampled_from([2, 4])},
    },
    "sequence-classification": {
        "recurrent": {
            **blocks,
            "cell": st.sampled_from(["lstm", "gru"]),
            "bidirectional": st.booleans(),
        },
        "temporal-convolution": {**blocks, "kernel": st.sampled_from([1, 3])},
        "transformer-encoder": {**blocks, "heads": st.sampled_from([1, 2])},
    },
    "text-classification": {"bag-of-words": {"sparse": st.booleans()}},
    "language-modelling": {
        "gpt": {
            **blocks,
            "heads": st.sampled_from([1, 2]),
            "tie": st.booleans(),
            "ngrams": st.integers(1, 2),
            "ngram_buckets": st.just(32),
        },
    },
}
NETS["tabular-regression"] = NETS["tabular-classification"]
NETS["forecasting"] = NETS["sequence-classification"]

OPTIONS: dict[str, SearchStrategy[Any]] = {
    "lr": st.sampled_from([0.0, 1e-4, 1e-3, 0.1]),
    "weight_decay": st.sampled_from([0.0, 0.01, 0.5]),
    "momentum": st.sampled_from([0.0, 0.9]),
    "betas": st.sampled_from([[0.9, 0.95], [0.5, 0.999]]),
    "eps": st.sampled_from([1e-8, 1e-6]),
}
"""Options with the same meaning in all optimizers."""

SCHEDULES: dict[str, SearchStrategy[Any]] = {
    "final": st.sampled_from([0.01, 0.5]),
    "cycles": st.integers(1, 5),
    "growth": st.sampled_from([1.0, 2.0]),
    "gamma": st.sampled_from([0.5, 1.0]),
    "timescale": st.integers(1, 100),
    "rise": st.sampled_from([0.0, 0.3, 1.0]),
    "power": st.sampled_from([0.5, 2.0]),
    "drops": st.integers(1, 4),
    "shape": st.sampled_from(["linear", "sqrt"]),
    "patience": st.integers(0, 2),
    "low": st.sampled_from([0.0, 0.1]),
    "decay": st.sampled_from([0.0, 0.2, 1.0]),
}

CLIPS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "none": {},
    "norm": {"max_norm": st.sampled_from([0.1, 1.0]), "norm_type": st.sampled_from([1.0, 2.0])},
    "value": {"max_value": st.just(0.5)},
    "agc": {"factor": st.just(0.02)},
    "group_norm": {"max_norm": st.just(1.0)},
    "quantile": {"quantile": st.just(0.5), "window": st.just(10), "warmup": st.integers(1, 4)},
}

TRAINER: dict[str, SearchStrategy[Any]] = {
    "max_steps": st.integers(1, 3),
    "max_epochs": st.integers(1, 2),
    "limit_train_batches": st.sampled_from([1, 2, 0.5, 1.0]),
    "limit_val_batches": st.sampled_from([0, 1, 0.5]),
    "limit_test_batches": st.sampled_from([0, 1, 0.5]),
    "val_check_interval": st.sampled_from([1, 2, 0.5, 1.0]),
    "check_val_every_n_epoch": st.integers(1, 2),
    "accumulate_grad_batches": st.integers(1, 3),
    "num_sanity_val_steps": st.sampled_from([0, 1, -1]),
    "log_every_n_steps": st.integers(1, 50),
    "precision": st.sampled_from(["32-true", "bf16-mixed", "16-mixed", "64-true", 32, "bf16-true"]),
    "enable_checkpointing": st.booleans(),
    "enable_model_summary": st.booleans(),
    "deterministic": st.booleans(),
    "detect_anomaly": st.booleans(),
    "overfit_batches": st.sampled_from([0, 1, 0.5]),
    "fast_dev_run": st.sampled_from([True, 2]),
    "profiler": st.just("simple"),
}

GENERAL: dict[str, SearchStrategy[Any]] = {
    "name": st.sampled_from(["run", "zwölf", "a b", "x.y", "2"]),
    "seed": st.integers(0, 9),
    "run_root": st.sampled_from(["runs", "all/runs"]),
    "version": st.just(1),
    "max_time": st.just("1h"),
    "callbacks": st.sampled_from(
        [[], [{"name": "early-stopping", "monitor": "train_loss"}], ["learning-rate-monitor"]]
    ),
    "guard": st.sampled_from([{"policy": "skip"}, {"policy": "off"}, {"spike": 10.0}]),
    "checkpoint": st.sampled_from([{"keep": 1}, {"every_n_steps": 1}, {"monitor": "train_loss"}]),
    "watch": st.sampled_from([{"graph": True}, {"samples": True}, {"histograms": True}]),
}

GROUPS: dict[str, SearchStrategy[Any]] = {
    "layer_decay": st.sampled_from([0.5, 0.9]),
    "decay": st.sampled_from([["matrix"], ["matrix", "vector"], []]),
    "freeze": st.sampled_from([["*.bias"], ["*bias*", "*.bias"]]),
    "rules": st.sampled_from(
        [
            [{"pattern": "*bias*", "weight_decay": 0.0}],
            [{"pattern": "net.*", "lr": 1e-3}, {"pattern": "*", "freeze": False}],
        ]
    ),
}


@st.composite
def some(draw: DrawFn, table: dict[str, SearchStrategy[Any]], most: int = 3) -> Tree:
    """Draw some keys of a table, each with a value."""
    if not table:
        return {}
    keys = draw(st.lists(st.sampled_from(sorted(table)), max_size=most, unique=True))
    return {k: draw(table[k]) for k in keys}


@st.composite
def optimizers(draw: DrawFn, net: Tree) -> Tree:
    """Draw an optimizer that supports this net, with some of its options."""
    lacking = set()
    if net["name"] in ("linear", "bag-of-words") or net.get("hidden") == []:
        lacking.add("matrices")
    if not net.get("sparse"):
        lacking.add("sparse")
    usable = [e for e in entries() if installed(e) and not (e.refused or e.device)]
    name = draw(st.sampled_from([e.name for e in usable if not lacking & set(e.needs)]))
    found = find("optimizer", name)
    table = {k: s for k, s in OPTIONS.items() if k in found.options}
    table |= {k: st.booleans() for k, o in found.options.items() if o.type is bool}
    tree = {"name": name, **draw(some(table))}
    for section in found.nested:
        if draw(st.booleans()):
            tree[section] = {"name": draw(st.sampled_from(["adamw", "sgd", "lion"])), "lr": 0.01}
    return tree


@st.composite
def configs(draw: DrawFn) -> Tree:
    """Draw a complete valid config."""
    task = draw(st.sampled_from(sorted(DATA)))
    net = draw(st.sampled_from(sorted(NETS[task])))
    data = dict(draw(st.sampled_from(DATA[task])))
    if "path" in data:
        data["path"] = FOLDER + data["path"]
    data["batch_size"] = draw(st.sampled_from([1, 3, 8, "full"]))
    if draw(st.booleans()):
        data["micro_batch_size"] = draw(st.sampled_from([1, 2, 50]))
    data |= draw(
        some(
            {
                "val_fraction": st.sampled_from([0.0, 0.2]),
                "test_fraction": st.sampled_from([0.0, 0.2]),
                "seed": st.integers(0, 3),
            }
        )
    )
    schedule = draw(st.sampled_from(schedule_names()))
    known = find("schedule", schedule).options
    chosen = {"name": net, **draw(some(NETS[task][net]))}
    for key in ("width", "depth", "heads"):  # the defaults of nets are larger
        if key in NETS[task][net]:
            chosen.setdefault(key, draw(NETS[task][net][key]))
    tree: Tree = {
        "model": {"name": task, "net": chosen},
        "data": data,
        "optimizer": draw(optimizers(chosen)),
        "trainer": QUICK | draw(some(TRAINER, 4)),
    }
    if draw(st.booleans()):
        options = {k: s for k, s in SCHEDULES.items() if k in known}
        tree["schedule"] = {"name": schedule, **draw(some(options))}
        if draw(st.booleans()):
            tree["schedule"]["warmup"] = draw(st.sampled_from([0, 1, 0.5, "10%", "0.1 epochs"]))
    if draw(st.booleans()):
        clip = draw(st.sampled_from(sorted(CLIPS)))
        tree["clip"] = {"name": clip, **draw(some(CLIPS[clip]))}
    if draw(st.integers(0, 3)) == 0:
        tree["groups"] = draw(some(GROUPS, 2))
    tree |= draw(some(GENERAL))
    tree["watch"] = {"graph": False, "samples": False} | tree.get("watch", {})
    tree["loggers"] = draw(st.sampled_from([[], ["csv"], ["csv"], ["tensorboard", "csv"]]))
    return tree
