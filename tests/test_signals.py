"""Signals that arrive before there is anything to save, sent to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET

FIT = ("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET)
MODULE = (sys.executable, "-m", "gdlightning")
SCRIPT = (
    sys.executable,
    "-c",
    "import sys; from gdlightning.__main__ import main; sys.exit(main())",
)

STUCK = """
import ctypes
from pathlib import Path
mutex = ctypes.create_string_buffer(64)  # zeros: an unlocked mutex of the C library
lock = ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
Path("stuck").touch()
lock(mutex)  # never returns, whatever signal arrives
"""


def start(command: tuple[str, ...], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def handles(process: subprocess.Popen[str], number: int) -> bool:
    """Return whether a process has set a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("command", "name", "wait"),
    [
        (MODULE, "SIGTERM", 0.0),
        (SCRIPT, "SIGUSR1", 0.0),
        (MODULE, "SIGUSR1", 0.5),
        (SCRIPT, "SIGTERM", 1.5),
        (MODULE, "SIGINT", 1.0),
    ],
)
def test_a_signal_during_imports_stops_with_the_code_and_one_line(
    command: tuple[str, ...], name: str, wait: float, tmp_path: Path
) -> None:
    process = start((*command, *FIT), tmp_path)
    while not handles(process, signal.SIGUSR1):
        assert process.poll() is None
    time.sleep(wait)
    began = time.monotonic()
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == (130 if name == "SIGINT" else 75)
    assert err.strip() == f"{name}: stopping; there is nothing to save."
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs a mutex of zeros")
def test_a_process_that_c_code_keeps_from_reacting_ends_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "stuck_in_c.py").write_text(STUCK)
    process = start((*MODULE, *FIT, "--imports", "stuck_in_c"), tmp_path)
    while not (tmp_path / "stuck").exists():
        assert process.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 75
    assert err.strip() == "SIGTERM: stopped after 8 s; there is nothing to save."
    assert not (tmp_path / "runs").exists()


def test_other_verbs_end_with_130_after_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import signal, torch\nimport lightning.pytorch as L\n"
        "class Line(L.LightningModule):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = torch.nn.Linear(1, 1)\n"
        "    def training_step(self, batch, batch_idx):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    def train_dataloader(self):\n"
        "        return [torch.ones(2, 1)] * 3\n"
    )
    (tmp_path / "interrupting.py").write_text("raise KeyboardInterrupt\n")
    for config in (
        "model: {name: interrupted.Line}\ntrainer: {accelerator: cpu}\n",
        "imports: [interrupting]\n",
    ):
        (tmp_path / "line.yaml").write_text(config)
        process = start((*MODULE, "lr-find", "--config", "line.yaml"), tmp_path)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 130, err
        assert "Traceback" not in err


def test_a_signal_after_the_end_of_a_run_changes_nothing(tmp_path: Path) -> None:
    """Otherwise, a scheduler would restart a finished run."""
    (tmp_path / "late.py").write_text(
        "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    )
    process = start((*MODULE, *FIT, "--trainer.max_epochs", "1", "--imports", "late"), tmp_path)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert (tmp_path / "runs/tabular/version_0/metrics.json").exists()
