"""Run a comparison on a Ray cluster, with one worker per node.

Each worker runs ``gdl compare`` with the same flags, on a storage that all nodes can access: a
database or a shared folder. The first worker writes the report.

    python scripts/study/ray_workers.py --workers 4 -- \\
        --config configs/tabular.yaml --optimizers adamw,sgd --output /shared/study
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any


def compare(flags: list[str], workers: int) -> list[int]:
    """Run ``gdl compare`` as Ray tasks, and return the exit codes."""
    import ray

    def work(more: list[str]) -> int:
        command = [sys.executable, "-m", "gdlightning", "compare", *flags, *more]
        return subprocess.run(command, check=False).returncode

    remote: Any = ray.remote(num_cpus=1)(work)
    tasks = [remote.remote(["--follow"] if k else []) for k in range(workers)]
    found: list[int] = ray.get(tasks)
    return found


def main() -> int:
    """Start the workers and wait for them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="flags of gdl compare, after --")
    given = parser.parse_args()
    return max(compare([f for f in given.flags if f != "--"], given.workers))


if __name__ == "__main__":
    sys.exit(main())
