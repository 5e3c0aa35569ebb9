"""Run ten thousand valid and invalid random configs: each must give a run or a clear error.

Each config, written as YAML with flags, is passed to ``gdl fit`` in this process. It must end with
a run folder with metrics, or with exit code 2, at most five lines that begin with ``error:`` and
name the fault, and no files left behind. Prints counts, and each example that ended otherwise; the
exit code is 1 if there is any.

    python scripts/faults/configs.py --count 10000 --processes 2 --seed 0
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

MEMORY = 8 << 30
"""Memory limit of a process in bytes, so that a net of width 1e9 is an error."""


def part(count: int, seed: int, number: int, report: Path) -> None:
    """Run ``count`` examples, and write one line per result to a file."""
    import torch
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from judged import prepare, run
    from spoilt import Case, cases

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    began = time.monotonic()
    done = 0
    with tempfile.TemporaryDirectory() as home, report.open("w", encoding="utf-8") as stream:
        work = prepare(Path(home))

        @seeded(seed * 1000 + number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(cases())
        def each(case: Case) -> None:
            nonlocal done
            start = time.monotonic()
            verdict = run(case, work)
            row = vars(verdict) | {
                "spoilt": case.spoilt,
                "flags": case.flags,
                "text": case.text,
                "table": None if case.table is None else repr(case.table),
                "seconds": time.monotonic() - start,
            }
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            done += 1
            if done % 100 == 0:
                print(
                    f"process {number}: {done:,} of {count:,} examples, "
                    f"{time.monotonic() - began:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )

        each()


def main() -> int:
    """Run all parts, and print a summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shown", type=int, default=10, help="maximum number of failures to print")
    parser.add_argument("--report", help="file for all results, as JSON lines")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder, f"{k}.jsonl") for k in range(given.processes)]
        share = -(-given.count // given.processes)
        workers = [
            context.Process(target=part, args=(share, given.seed, k, path))
            for k, path in enumerate(reports)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        lines = [line for path in reports for line in path.read_text("utf-8").splitlines()]
    if given.report:
        Path(given.report).write_text("\n".join(lines), encoding="utf-8")
    died = sum(worker.exitcode != 0 for worker in workers)
    return show([json.loads(line) for line in lines], given.shown) or min(1, died)


def show(rows: list[dict[str, Any]], most: int) -> int:
    """Print counts, times and failures; return 1 if there are any."""
    kinds = Counter(row["kind"] for row in rows)
    good = {"run", "error", "help", "stopped", "diverged", "storage"}
    for kind, count in kinds.most_common():
        print(f"{kind.ljust(10)} {count:,}")
    meant = Counter(row["kind"] for row in rows if not row["spoilt"])
    print(f"of configs that can be meant: {dict(meant)}")
    slow = sorted((row["seconds"] for row in rows), reverse=True)
    print(f"{len(rows):,} examples, {sum(slow):.0f} s in all, slowest {slow[0]:.1f} s")
    failing = [row for row in rows if row["kind"] not in good]
    for row in failing[:most]:
        print(f"\n--- {row['kind']}: {row['problem'][:500]}")
        print(f"spoilt: {row['spoilt']}\nflags: {row['flags']}\n{row['text'][:3000]}")
        if row["table"]:
            print(f"table: {row['table'][:1000]}")
        print(row["err"][-3000:])
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
