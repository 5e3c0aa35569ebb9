"""Failed output never ends a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import CONFIGS

PRINTS = """
import os, sys
from gdlightning.streams import drop_failed_output, open_missing
open_missing()
drop_failed_output()
for _ in range(3):
    print("é" * 10_000, flush=True)
    print("a warning", file=sys.stderr)
    os.write(2, b"a signal")
with open("file", "w") as stream:
    stream.write("whole")
sys.exit(7)
"""


@pytest.mark.parametrize("how", ["closed", "full", "no reader", "ascii"])
def test_output_that_cannot_be_written_is_dropped(how: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    target = {"closed": None, "full": full, "no reader": writer, "ascii": None}[how]

    def close() -> None:
        if how == "closed":
            for number in range(3):
                os.close(number)

    done = subprocess.run(
        [sys.executable, "-c", PRINTS],
        cwd=tmp_path,
        check=False,
        preexec_fn=close,
        stdout=subprocess.PIPE if target is None else target,
        stderr=subprocess.PIPE if target is None else target,
        env=os.environ | {"PYTHONIOENCODING": "ascii" if how == "ascii" else "utf-8"},
    )
    os.close(writer)
    os.close(full)
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "file").read_text() == "whole"
    assert done.stdout == (b"\\xe9" * 10_000 + b"\n") * 3 if how == "ascii" else not done.stdout


def test_a_run_outlives_its_readers_and_a_full_log_file(tmp_path: Path) -> None:
    """As in ``gdl fit ... > FILE 2> >(head -1)`` on a full disk."""
    command = [
        sys.executable,
        "-m",
        "gdlightning",
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        "--trainer.max_epochs",
        "2",
        "--optimizer",
        "adagrad",
        "--trainer.accelerator",
        "cpu",
    ]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.read(1)
    process.stderr.close()
    assert process.wait(timeout=100) == 0
    folder = tmp_path / "runs/tabular/version_0"
    assert json.loads((folder / "metrics.json").read_text())["test_auroc"] > 0.5
    assert (folder / "checkpoints/last.ckpt").is_file()
