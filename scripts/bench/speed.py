"""Compare the training speed of gdlightning with plain loops and other frameworks.

All of them train the same nets on the same batches in the same order with the same optimizer and
clipping, in turn, for several rounds. The time per step is measured between optimizer steps, after
the first 20. Before that, their losses are checked to agree. Prints a Markdown table of ratios for
docs/benchmarks.md and writes all results to runs/bench/speed.json.

    python scripts/bench/speed.py --rounds 5
    python scripts/bench/speed.py --workloads CNN --contestants floor gdlightning --steps 1500
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

from contestants import CONTESTANTS, run
from workloads import WORKLOADS, Workload

PACKAGES = {
    "HF Trainer": "transformers",
    "Ignite": "ignite",
    "skorch": "skorch",
    "accelerate": "accelerate",
}
APART = 2e-3
"""Maximum relative difference of losses by rounding."""


def main() -> int:
    """Measure, print and write; the exit code is 1 if losses disagree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--contestants", nargs="+", default=None, choices=CONTESTANTS)
    parser.add_argument("--steps", type=int, help="timed steps (default: by workload)")
    given = parser.parse_args()
    there = [c for c in CONTESTANTS if c not in PACKAGES or importlib.util.find_spec(PACKAGES[c])]
    contestants = given.contestants or there
    workloads = {w: WORKLOADS[w] for w in given.workloads}
    if given.steps is not None:
        workloads = {name: replace(w, steps=given.steps) for name, w in workloads.items()}
    found = {name: measure(w, contestants, given.rounds) for name, w in workloads.items()}
    print("\n" + table(found))
    write(found)
    return max(disagreements(name, one.losses) for name, one in found.items())


@dataclass(frozen=True)
class Found:
    """Of one workload.

    Attributes:
        losses: contestant → loss after the workload's ``agree`` steps.
        seconds: contestant → those of a step, in each round.
        steps: that were made in a round.
    """

    losses: dict[str, float]
    seconds: dict[str, list[float]]
    steps: int


def measure(w: Workload, contestants: list[str], rounds: int) -> Found:
    """All to the steps where they must agree, then all in turn, timed, in each round."""
    found = Found({}, {c: [] for c in contestants}, w.steps)
    for contestant in contestants:
        _, loss = run(contestant, replace(w, steps=w.agree))
        found.losses[contestant] = loss
        say(f"{w.name}, {contestant}: loss {loss:.6f} after {w.agree} steps")
    for number in range(rounds):
        turn = number % len(contestants)  # so that the predecessors vary
        for contestant in contestants[turn:] + contestants[:turn]:
            step, _ = run(contestant, w)
            found.seconds[contestant].append(step)
            say(f"{w.name}, round {number + 1}, {contestant}: {1e3 * step:.3f} ms a step")
    return found


def say(line: str) -> None:
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def table(found: dict[str, Found]) -> str:
    """Return a row per contestant: median ratio to the tutorial loop and the minimal loop."""
    lines = []
    for name, one in found.items():
        bases = [b for b in ("tutorial loop", "floor") if b in one.seconds]
        lines += [
            f"| {name}, {one.steps:,} steps | ms per step | "
            + " | ".join(f"÷ {b}" for b in bases)
            + f" | loss after {WORKLOADS[name].agree} |",
            "|---" * (3 + len(bases)) + "|",
        ]
        for contestant, seconds in one.seconds.items():
            cells = [f"{1e3 * median(seconds):.3f}"]
            for base in bases:
                r = [a / b for a, b in zip(seconds, one.seconds[base], strict=True)]
                cells.append(f"{median(r):.2f} ({min(r):.2f} to {max(r):.2f})")
            cells.append(f"{one.losses[contestant]:.5f}")
            lines.append(f"| {contestant} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def disagreements(name: str, losses: dict[str, float]) -> int:
    """Return 1 if the final losses of the contestants disagree, else 0."""
    middle = median(losses.values())
    apart = {c: loss for c, loss in losses.items() if abs(loss / middle - 1) > APART}
    if apart:
        print(f"{name}: losses differ from {middle:.6f}: {apart}", file=sys.stderr)
    return int(bool(apart))


def write(found: dict[str, Found]) -> None:
    """Write all results with versions as JSON."""
    import torch

    packages = ("torch", "lightning", "transformers", "pytorch-ignite", "skorch", "accelerate")
    content = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {p: _version(p) for p in packages},
        "workloads": {name: asdict(one) for name, one in found.items()},
    }
    folder = Path("runs", "bench")
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / "speed.json.new"
    new.write_text(json.dumps(content, indent=1))
    new.replace(folder / "speed.json")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
