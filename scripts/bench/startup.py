"""Measure the startup time of commands.

Times whole processes, in alternation with a baseline: light commands compared with
``import torch``, and ``gdl fit`` up to the first optimizer step compared with
``import torch, lightning.pytorch``. Prints a Markdown table of ratios.

    python scripts/bench/startup.py --rounds 7
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
LEAVE = """
import os
import lightning.pytorch as L

class Leave(L.Callback):
    '''Ends the process after the first step.'''
    def on_train_batch_end(self, *_):
        os._exit(77)
"""
STEPPED, ERROR = 77, 2
"""Exit codes after the first step, and after an error message."""
GDL = [sys.executable, "-m", "gdlightning"]
FIRST_STEP = [
    sys.executable,
    "-c",
    """
import os, sys
from torch.optim.optimizer import register_optimizer_step_post_hook
from gdlightning.__main__ import main
register_optimizer_step_post_hook(lambda *_: os._exit(77))
sys.exit(main())
""",
]
"""The command line, ending after the first optimizer step."""
TORCH = [sys.executable, "-c", "import torch"]
BOTH = [
    sys.executable,
    "-c",
    "import torch, lightning.pytorch, os; os._exit(0)",
]  # exits like the commands above


def fit(command: list[str], config: str, *flags: str) -> list[str]:
    """Return a command that trains one step of a config."""
    return [*command, "fit", "--config", str(ROOT / "configs" / f"{config}.yaml"), *flags]


COMMANDS: dict[str, tuple[list[str], int, list[str]]] = {
    "gdl --help": ([*GDL, "--help"], 0, TORCH),
    "gdl optimizers": ([*GDL, "optimizers"], 0, TORCH),
    "gdl schedules": ([*GDL, "schedules"], 0, TORCH),
    "gdl fit --optimzer adam (an error)": ([*GDL, "fit", "--optimzer", "adam"], ERROR, TORCH),
    "gdl fit, tabular, up to its first step": (fit(FIRST_STEP, "tabular"), STEPPED, BOTH),
    "gdl fit, vision, up to its first step": (fit(FIRST_STEP, "vision"), STEPPED, BOTH),
    "gdl fit, transformer, up to its first step": (fit(FIRST_STEP, "transformer"), STEPPED, BOTH),
    "gdl fit, tabular, with a custom callback": (
        fit(GDL, "tabular", "--callbacks", "[leave.Leave]"),
        STEPPED,
        BOTH,
    ),
}
"""Timed commands, their exit codes, and their baselines."""


def seconds(command: list[str], code: int, folder: str) -> float:
    """Return the time of a process in seconds; it must end with the given exit code."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    if done.returncode != code:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.decode()[-800:]}")
    return time.perf_counter() - began


def main() -> None:
    """Run the measurements, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="only commands that contain this text")
    given = parser.parse_args()
    print("| command | baseline | seconds | median ratio | range |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "leave.py").write_text(LEAVE)
        for name, (command, code, base) in COMMANDS.items():
            if given.only not in name:
                continue
            pairs = [
                (seconds(command, code, folder), seconds(base, 0, folder))
                for _ in range(1 + given.rounds)
            ][1:]  # the first round is a warm-up
            ratios = [ours / theirs for ours, theirs in pairs]
            beside = "torch" if base is TORCH else "torch, lightning"
            print(
                f"| {name} | importing {beside} | {median(p[0] for p in pairs):.2f} "
                f"| {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
