"""Stop and resume runs with data loaders of every kind, and compare with uninterrupted runs.

Every loader is trained with three optimizers and stopped at exact moments. The same command with
``--resume auto`` must then end with the same bits as an uninterrupted run, or a ``Note:`` before
the first step must have stated what a resume does not restore exactly. Prints a Markdown table; the
exit code is 1 if a case fails.

    python scripts/faults/loaders.py
    python scripts/faults/loaders.py --only "workers" --optimizers adamw --stops epoch
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import forks
from trainings import COMMON, ROOT, difference, first_batch, flags, log_of

OWN = Path(__file__).parent / "own_loaders.py"
OPTIMIZERS = {
    "adamw": flags("--optimizer adamw --optimizer.lr 0.01"),
    "sgd": flags(
        "--optimizer sgd --optimizer.lr 0.01 --optimizer.momentum 0.9 "
        "--trainer.accumulate_grad_batches 2"
    ),
    "sam": flags("--optimizer sam --optimizer.base adamw --optimizer.lr 0.01"),
}
PART, NUMBER = "0.7", "5"
"""Of the training batches, where they are limited."""
STOPS = {
    "step": ("batch 11",),
    "validation": ("validation batch 5",),
    "epoch": ("epoch 2",),
    "twice": ("epoch 1", "batch 3"),
    "limited": ("batch 8",),
    "limited, epoch": ("epoch 2",),
}
"""When the user's module sends SIGTERM to its process, and to those that resume it."""
ASKED = re.compile(r"Asking for a stop after (\d+) steps")
NOTED = re.compile(r"^Note: .*(exact|resum|restor|going on|bits)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """A kind of loader, as selected on the command line."""

    name: str
    flags: tuple[str, ...]
    countable: bool = True

    @classmethod
    def own(cls, name: str, data: str, countable: bool = True) -> Kind:
        """Create a kind of loader from a custom data module."""
        return cls(name, flags(f"--model own_loaders.Net --data own_loaders.{data}"), countable)


KINDS = (
    Kind.own("DataLoader, shuffle", "Plain"),
    Kind("the module's own train_dataloader", flags("--model own_loaders.OwnLoader")),
    Kind.own("DataLoader, generator", "Generator"),
    Kind.own("augmentation in the main process", "Augmented"),
    Kind.own("augmentation in workers", "Workers"),
    Kind.own("persistent workers", "PersistentWorkers"),
    Kind.own("IterableDataset without a length", "Endless", countable=False),
    Kind.own("IterableDataset with a length", "Sized"),
    Kind.own("IterableDataset in workers", "StreamWorkers", countable=False),
    Kind.own("subclass of DataLoader", "Subclass"),
    Kind.own("batch sampler on numpy's global generator", "BatchSampler"),
    Kind.own("sampler with np.random.Generator", "NumpySampler"),
    Kind.own("sampler with random.Random", "PythonSampler"),
    Kind.own("sampler with set_epoch", "SetEpoch"),
    Kind.own("sampler that counts epochs", "CountedEpochs"),
    Kind.own("WeightedRandomSampler, generator", "Weighted"),
    Kind.own("dict of two loaders", "TwoInDict"),
    Kind.own("unequal lengths, max_size_cycle", "LongestCycle"),
    Kind.own("unequal lengths, min_size", "Shortest"),
    Kind.own("unequal lengths, max_size", "Longest"),
    Kind.own("list of batches", "ListOfBatches", countable=False),
    Kind.own("subclass of list", "Sequence"),
    Kind.own("own iterable without a length", "OwnIterable", countable=False),
    Kind.own("stateful loader", "Stateful"),
    Kind.own("dataset with its own generator", "OwnAugmentation"),
    Kind(
        "gdlightning's data module",
        flags(
            f"--config {ROOT}/configs/tabular.yaml --callbacks own_loaders.Stop "
            "--data.batch_size 16 --data.val_fraction 0.6 --model.net.dropout 0.2"
        ),
    ),
)


@dataclass(frozen=True)
class Case:
    """A run with a loader and an optimizer, and the moment of its stop."""

    kind: Kind
    optimizer: str
    stop: str

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"{self.kind.name}; {self.optimizer}; {self.stop}"

    @property
    def command(self) -> list[str]:
        """Arguments of ``gdl``."""
        more: tuple[str, ...] = ()
        if self.stop.startswith("limited"):
            part = self.kind.countable and self.optimizer == "adamw"
            more = (
                "--trainer.limit_train_batches",
                PART if part else NUMBER,
                "--trainer.val_check_interval",
                "3",
            )
        return [
            "fit",
            *self.kind.flags,
            *OPTIMIZERS[self.optimizer],
            *COMMON,
            *flags("--name run --trainer.max_epochs 4 --resume auto"),
            *more,
        ]


def folder(root: Path, *parts: object) -> Path:
    """Create an empty folder with the custom modules."""
    made = root / "-".join(map(str, parts))
    made.mkdir(parents=True)
    shutil.copy(OWN, made)
    return made


def trained(case: Case, where: Path, stop: str = "", expected: int = 0) -> tuple[str, str]:
    """Run one process, and return its failure, if any, and its output."""
    try:
        code, output = forks.run(case.command, where, {"STOP_AT": stop})
    except TimeoutError as error:
        return str(error), ""
    last = " / ".join(output.strip().splitlines()[-3:])
    if "Traceback" in output:
        return f"traceback, exit code {code}: {last}", output
    return "" if code == expected else f"exit code {code} in place of {expected}: {last}", output


def judge(case: Case, twin: Path, where: Path) -> str:
    """Stop, resume and compare: return ``equal``, ``noted`` or the failure."""
    noted, at = None, 0
    for stop in (*STOPS[case.stop], ""):
        problem, output = trained(case, where, stop, 75 if stop else 0)
        if problem:
            return f"{f'to be stopped at {stop}' if stop else 'at last'}: {problem}"
        before, began = first_batch(output)
        if began not in (at, at + (case.optimizer == "sgd" and at > 0)):  # two batches a step
            resumed = f"after {began}" if began >= 0 else "at its end"
            return f"was to stop after {at} steps, and was resumed {resumed}"
        noted = noted or NOTED.search(before)
        at = int(ASKED.findall(output)[0]) if stop else 0
    run, whole = where / "runs/run/version_0", twin / "runs/run/version_0"
    try:
        different = difference(whole, run)
        steps = [[row["step"] for row in log_of(each)] for each in (run, whole)]
    except Exception as error:  # whatever it is, it is the outcome of this case
        return f"can't be compared: {error!r}"
    if different and noted:
        return "noted" if steps[0] == steps[1] else f"{noted[0]}; but the logs have other steps"
    return different or "equal"


def of_training(cases: list[Case], root: Path, keep: bool) -> dict[Case, str]:
    """Return the outcomes of cases with the same uninterrupted run."""
    first = cases[0]
    number = f"{KINDS.index(first.kind)}-{first.optimizer}"
    twin = folder(root, "twin", number, first.stop)
    problem, _ = trained(first, twin)
    found = {}
    for case in cases:
        where = folder(root, number, case.stop)
        found[case] = problem and f"does not train: {problem}"
        if not problem:
            found[case] = judge(case, twin, where)
        again = "" if problem or found[case] in ("equal", "noted") else repeatable(case, twin, root)
        found[case] = again or found[case]
        print(f"  {case.name}: {found[case]}  [{where}]", file=sys.stderr, flush=True)
        if found[case] in ("equal", "noted") and not keep:
            shutil.rmtree(where)
    return found


def repeatable(case: Case, twin: Path, root: Path) -> str:
    """Return the first difference of two uninterrupted runs, or an empty string."""
    second = folder(root, twin.name, case.stop, "second")
    problem, _ = trained(case, second)
    problem = problem or difference(twin / "runs/run/version_0", second / "runs/run/version_0")
    return problem and f"two undisturbed runs differ: {problem}"


def chosen(only: str, optimizers: list[str], stops: list[str]) -> list[list[Case]]:
    """Group cases by their uninterrupted run."""
    kinds = [k for k in KINDS if re.search(only, k.name)]
    groups: dict[tuple[str, ...], list[Case]] = {}
    for kind, optimizer, stop in product(kinds, optimizers, stops):
        case = Case(kind, optimizer, stop)
        groups.setdefault(tuple(case.command), []).append(case)
    return list(groups.values())


def report(outcomes: dict[Case, str]) -> int:
    """Print a Markdown table and all failures; return 1 if there are any."""
    print("| loader | stops | equal | noted beforehand | failed |\n|---|---|---|---|---|")
    for kind in [*dict.fromkeys(c.kind for c in outcomes), None]:
        own = [o for c, o in outcomes.items() if kind in (c.kind, None)]
        counts = Counter(o if o in ("equal", "noted") else "failed" for o in own)
        cells = [len(own), *(counts[k] for k in ("equal", "noted", "failed"))]
        print(f"| {kind.name if kind else 'all'} | {' | '.join(map(str, cells))} |")
    failures = {c: o for c, o in outcomes.items() if o not in ("equal", "noted")}
    for case, outcome in failures.items():
        stops = ", then ".join(f"STOP_AT='{stop}'" for stop in STOPS[case.stop])
        print(f"{case.name}: {outcome}\n  {stops}: gdl {' '.join(case.command)}")
    return int(bool(failures) or not outcomes)


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="pattern of loader names")
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--stops", default=";".join(STOPS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--keep", action="store_true", help="keep the folders of successful cases, too"
    )
    given = parser.parse_args()
    forks.prepare()
    root = Path(tempfile.mkdtemp(prefix="gdl-loaders-"))
    groups = chosen(given.only, given.optimizers.split(","), given.stops.split(";"))
    outcomes: dict[Case, str] = {}
    with ThreadPoolExecutor(given.jobs) as pool:
        for found in pool.map(lambda cases: of_training(cases, root, given.keep), groups):
            outcomes |= found
    code = report(outcomes)
    if not code and not given.keep:
        shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
