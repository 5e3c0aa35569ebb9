"""Each family's config trains on its embedded data, tests, and predicts for new inputs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from helpers import CONFIGS, Run, metrics

STEPS = ("--trainer.max_steps", "4", "--trainer.log_every_n_steps", "1")
METRIC = {
    "tabular": "test_auroc",
    "tabular_regression": "test_rmse",
    "vision": "test_accuracy",
    "vision_vit": "test_accuracy",
    "sequence": "test_accuracy",
    "forecast": "test_rmse",
    "text": "test_accuracy",
    "transformer": "test_bits_per_byte",
}


def test_every_config_is_tried() -> None:
    assert {p.stem for p in CONFIGS.glob("*.yaml")} == set(METRIC)


@pytest.mark.parametrize("config", METRIC)
def test_config_trains_and_tests(config: str, fit: Run, gdl: Run) -> None:
    fit(config, *STEPS)
    found = metrics(config)
    assert math.isfinite(found[METRIC[config]])
    again = gdl("test", f"runs/{config}", "--format", "json").json()
    assert again[METRIC[config]] == pytest.approx(found[METRIC[config]], rel=1e-5)


def rows(path: str) -> list[dict[str, str]]:
    """A CSV file."""
    with Path(path).open() as stream:
        return list(csv.DictReader(stream))


def test_tabular_predicts_new_rows_of_a_users_table(fit: Run, gdl: Run) -> None:
    lines = [
        f"{k if k % 5 else ''},{'red' if k % 3 else 'blue'},{'yes' if k % 3 else 'no'}"
        for k in range(60)
    ]
    Path("t.csv").write_text("size,colour,bought\n" + "\n".join(lines) + "\n")
    fit(
        "tabular",
        "--data",
        "tabular",
        "--data.path",
        "t.csv",
        "--data.target",
        "bought",
        "--optimizer.lr",
        "0.01",
        "--trainer.max_epochs",
        "30",
    )
    Path("new.csv").write_text("colour,size\nred,3\nblue,\ngreen,7\n")
    assert gdl("predict", "runs/tabular", "--input", "new.csv", "--output", "p.csv").code == 0
    found = rows("p.csv")
    assert [r["prediction"] for r in found[:2]] == ["yes", "no"]
    assert float(found[2]["probability_yes"]) + float(found[2]["probability_no"]) == pytest.approx(
        1
    )
    assert gdl("predict", "runs/tabular", "--input", "new.csv", "--output", "p.parquet").code == 0
    missing = gdl("predict", "runs/tabular", "--input", "p.csv")
    assert missing.code == 2
    assert "has no column" in missing.err


def test_vision_reads_folders_and_predicts_files(fit: Run, gdl: Run) -> None:
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        Path("images", name).mkdir(parents=True)
        for k in range(20):
            pixels = generator.integers(level - 30, level + 30, (9, 13, 3)).astype("uint8")
            Image.fromarray(pixels).save(f"images/{name}/{k}.png")
    flags = (
        "--data",
        "image-folder",
        "--data.path",
        "images",
        "--data.batch_size",
        "8",
        "--data.test_fraction",
        "0.2",
        "--trainer.max_epochs",
        "5",
    )
    fit("vision", *flags)
    assert metrics("vision")["test_accuracy"] == 1.0
    assert gdl("predict", "runs/vision", "--input", "images/dark", "--output", "p.csv").code == 0
    found = rows("p.csv")
    assert len(found) == 20
    assert all(r["prediction"] == "dark" and r["input"].endswith(".png") for r in found)

    Path("images/dark/broken.png").write_bytes(b"no image")
    bad = gdl("fit", "--config", str(CONFIGS / "vision.yaml"), *flags, "--name", "bad")
    assert bad.code == 2
    assert "broken.png" in bad.err
    assert not Path("runs/bad").exists()


def test_sequences_of_a_users_table(fit: Run, gdl: Run) -> None:
    lines = ["series,step,a,b,kind"]
    for k in range(40):
        for t in range(4 + k % 5):  # lengths differ
            kind = "up" if k % 2 == 0 else "down"
            lines.append(f"{k},{t},{t if kind == 'up' else -t},{0.1 * k if t else ''},{kind}")
    Path("s.csv").write_text("\n".join(lines) + "\n")
    fit(
        "sequence",
        "--data",
        "sequence-table",
        "--data.path",
        "s.csv",
        "--data.id",
        "series",
        "--data.target",
        "kind",
        "--data.time",
        "step",
        "--data.batch_size",
        "8",
        "--trainer.max_epochs",
        "15",
    )
    assert gdl("predict", "runs/sequence", "--input", "s.csv", "--output", "p.csv").code == 0
    found = rows("p.csv")
    assert len(found) == 40
    right = sum(r["prediction"] == ("up" if int(r["input"]) % 2 == 0 else "down") for r in found)
    assert right >= 38


def test_ts_files(fit: Run, gdl: Run) -> None:
    header = "@problemName Steps\n@univariate false\n@classLabel true a b\n@data\n"
    body = [
        f"{','.join(str(t * (1 if k % 2 else -1)) for t in range(5))}:1,?,1,1,1:{'ab'[k % 2]}"
        for k in range(30)
    ]
    Path("x_TRAIN.ts").write_text(header + "\n".join(body))
    Path("x_TEST.ts").write_text(header + "\n".join(body[:10]))
    for net in ("recurrent", "temporal-convolution", "transformer-encoder"):
        fit(
            "sequence",
            "--model.net",
            net,
            "--data",
            "ts-file",
            "--data.path",
            "x_TRAIN.ts",
            "--data.test_path",
            "x_TEST.ts",
            "--data.batch_size",
            "8",
            "--trainer.max_epochs",
            "12",
            "--name",
            net,
        )
        assert metrics(net)["test_accuracy"] == 1.0, net


def test_forecasts_go_on_from_the_end(fit: Run, gdl: Run) -> None:
    values = [10 + 5 * math.sin(2 * math.pi * t / 12) for t in range(240)]
    Path("f.csv").write_text("t,y\n" + "\n".join(f"{t},{v}" for t, v in enumerate(values)))
    fit(
        "forecast",
        "--data",
        "forecast-table",
        "--data.path",
        "f.csv",
        "--data.target",
        "y",
        "--data.time",
        "t",
        "--data.log",
        "false",
        "--trainer.max_epochs",
        "20",
    )
    assert metrics("forecast")["test_rmse"] < 1.0
    assert gdl("predict", "runs/forecast", "--input", "f.csv", "--output", "p.json").code == 0
    record = json.loads(Path("p.json").read_text())[0]
    wanted = [10 + 5 * math.sin(2 * math.pi * t / 12) for t in range(240, 252)]
    errors = [abs(record[f"step_{k + 1}"] - w) for k, w in enumerate(wanted)]
    assert max(errors) < 3


def test_texts_of_a_users_table_and_folder(fit: Run, gdl: Run) -> None:
    good, bad = "lovely warm kind bright", "awful cold cruel dark"
    lines = [
        f'"{good if k % 2 else bad} number{k}",{"good" if k % 2 else "bad"}' for k in range(40)
    ]
    Path("t.csv").write_text("text,mood\n" + "\n".join(lines) + "\n")
    for vocabulary in ("counted", "hashed"):
        fit(
            "text",
            "--data",
            "text-table",
            "--data.path",
            "t.csv",
            "--data.target",
            "mood",
            "--data.vocabulary",
            vocabulary,
            "--data.features",
            "512",
            "--name",
            vocabulary,
        )
        Path("new.txt").write_text("so lovely and warm\ndark and cruel\n")
        predict = ("predict", f"runs/{vocabulary}", "--input", "new.txt", "--output", "p.csv")
        assert gdl(*predict).code == 0
        assert [r["prediction"] for r in rows("p.csv")] == ["good", "bad"]
    for k, line in enumerate(lines):
        text, _, mood = line.rpartition(",")
        folder = Path("texts", mood)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.txt").write_text(text)
    fit("text", "--data", "text-folder", "--data.path", "texts", "--name", "folder")
    assert metrics("folder")["test_accuracy"] == 1.0


@pytest.mark.parametrize("level", ["bytes", "characters"])
def test_language_models_of_a_users_text(level: str, fit: Run, gdl: Run) -> None:
    Path("book.txt").write_text("the cat sät on the mat. " * 400, encoding="utf-8")
    fit(
        "transformer",
        "--data",
        "text-files",
        "--data.path",
        "book.txt",
        "--data.context",
        "32",
        "--data.level",
        level,
        "--model.net.width",
        "32",
        "--model.net.depth",
        "1",
        "--trainer.max_steps",
        "150",
        "--trainer.val_check_interval",
        "150",
        "--optimizer",
        "adamw",
        "--optimizer.lr",
        "5e-3",
    )
    assert metrics("transformer")["test_bits_per_byte"] < 0.5
    prompt = (
        "predict",
        "runs/transformer",
        "--prompt",
        "the cat ",
        "--length",
        "14",
        "--temperature",
        "0",
    )
    assert "sät on" in gdl(*prompt).out
    assert gdl(*prompt, "--output", "p.jsonl").code == 0
    assert json.loads(Path("p.jsonl").read_text())["completion"].startswith("sät")
    short = gdl(
        "fit",
        "--config",
        str(CONFIGS / "transformer.yaml"),
        "--data",
        "text-files",
        "--data.path",
        "book.txt",
        "--data.context",
        "9000",
    )
    assert short.code == 2
    assert "data.context" in short.err
