"""The clause ``ddp``: two processes that share each batch end with the same weights.

The command

    python -m gdlightning.conformance.ranks adamw soap

runs one of the processes, with ``LOCAL_RANK`` and related variables in the environment, and prints
a line per optimizer. ``two_ranks`` starts both processes and compares the lines.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, Queue

TIMEOUT = 120.0
"""Seconds without a line after which a process counts as hung."""


def two_ranks(
    names: Iterable[str],
    done: Callable[[str, str | None], None],
    *,
    imports: Sequence[str] = (),
    patience: float = TIMEOUT,
) -> None:
    """Train each optimizer in two processes and report the results.

    Args:
        names: names of optimizers.
        done: callback with a name, and the observation if the clause is violated, otherwise None.
        imports: modules that register optimizers, imported first.
        patience: time limit per optimizer, in seconds.
    """
    left = list(names)
    while left:
        for name, seen in _together(tuple(left), imports, patience):
            left.remove(name)
            done(name, seen)


def _together(
    names: Sequence[str], imports: Sequence[str], patience: float
) -> Iterable[tuple[str, str | None]]:
    """Yield results until the processes end or one of them hangs."""
    processes = [_start(rank, port, names, imports) for port in [_free_port()] for rank in range(2)]
    queues = [_lines(process) for process in processes]
    try:
        for name in names:
            try:
                lines = [queue.get(timeout=patience) for queue in queues]
            except Empty:
                lines = [None, None]
            if None in lines:
                yield name, "a process hung or crashed"
                return
            found = [json.loads(line) for line in lines if line]
            problem = next((f["problem"] for f in found if f["problem"]), None)
            differ = len({f["digest"] for f in found}) > 1
            yield name, problem or ("the weights of the two processes differ" if differ else None)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _start(
    rank: int, port: int, names: Sequence[str], imports: Sequence[str]
) -> subprocess.Popen[str]:
    places = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = os.environ | {k: str(v) for k, v in places.items()}
    environment |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "gdlightning.conformance.ranks",
        *names,
        *(f"+{m}" for m in imports),
    ]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _lines(process: subprocess.Popen[str]) -> Queue[str | None]:
    queue: Queue[str | None] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            if line.startswith("{"):
                queue.put(line)
        queue.put(None)

    threading.Thread(target=read, daemon=True).start()
    return queue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def main(names: Sequence[str]) -> int:
    """Train each optimizer as one of two processes and print JSON lines; ``+`` marks modules."""
    from gdlightning.conformance.capabilities import require
    from gdlightning.conformance.training_check import TrainingCheck, quiet
    from gdlightning.optimizers.registry import find

    quiet()
    for module in (name[1:] for name in names if name.startswith("+")):
        importlib.import_module(module)
    for name in (name for name in names if not name.startswith("+")):
        digest, problem = "", None
        try:
            outcome = TrainingCheck(find(name)).run(ranks=2)
            require(
                outcome.finite and outcome.moved(), "the weights did not change or are not finite"
            )
            tensors = [v.float().numpy().tobytes() for v in outcome.after.values()]
            digest = hashlib.sha256(b"".join(tensors)).hexdigest()
        except Exception as error:  # third-party optimizers may raise anything
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps({"name": name, "digest": digest, "problem": problem}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
