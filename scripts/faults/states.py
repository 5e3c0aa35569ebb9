"""Stop and resume runs with state of every type, and compare with uninterrupted runs.

Each value is saved by a module, a layer, a data module or a callback through Lightning's hooks.
After a stop and a resume, one of the following must hold: the owner receives exactly what it saved,
type and value, and the run ends as an uninterrupted one; a ``Note:`` or ``Warning:`` names the
value that is left out; or the command ends with exit code 2 before training and leaves nothing
behind. Prints a Markdown table; the exit code is 1 if a case fails.

    python scripts/faults/states.py
    python scripts/faults/states.py --only "^path;"
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
from own_states import VALUES
from trainings import COMMON, difference, first_batch, flags

OWN = Path(__file__).parent / "own_states.py"
PLACES = {
    "module": "--model own_states.Module --model.value {} --data own_states.Data",
    "checkpoint": "--model own_states.TopLevel --model.value {} --data own_states.Data",
    "layer": "--model own_states.Extra --model.value {} --data own_states.Data",
    "data": "--model own_states.Base --data own_states.Data --data.value {}",
    "callback": "--model own_states.Base --data own_states.Data "
    "--callbacks [{{name:own_states.State,value:{}}}]",
    "callback's hook": "--model own_states.Base --data own_states.Data "
    "--callbacks [{{name:own_states.Saving,value:{}}}]",
}
"""Flags for each owner of a value."""
BASE = "--model own_states.Base --data own_states.Data"
TOLD = re.compile(r"^(?:Note|Warning): .*", re.MULTILINE)
PROMISED = {
    "numpy_float",
    "numpy_int",
    "array",
    "path",
    "record",
    "moment",
    "duration",
    "default_dict",
    "a_set",
    "frozen_set",
    "counter",
    "a_deque",
    "named_tuple",
    "an_enum",
    "complex_number",
    "raw_bytes",
    "decimal",
    "generator_state",
    "tuple_keys",
    "int_keys",
    "large_numbers",
    "odd_floats",
    "size",
    "dtype_and_device",
    "deep",
    "ordered_dict",
    "numpy_generator_state",
    "python_generator_state",
}
"""Values that must be restored; others may be left out or raise an error."""
GOOD = ("equal", "noted", "left out", "refused")


@dataclass(frozen=True)
class Case:
    """A run whose parts save a value.

    Args:
        name: name in the table.
        flags: flags of the command.
        loads: whether a resume must restore a value.
        bits: whether a ``Note:`` that results may differ is sufficient.
    """

    name: str
    flags: tuple[str, ...]
    loads: bool = True
    bits: bool = False

    @property
    def promised(self) -> bool:
        """Whether nothing will do but what was saved."""
        return self.name.partition(";")[0] in PROMISED

    @property
    def command(self) -> list[str]:
        """Arguments of ``gdl``."""
        return [
            "fit",
            *self.flags,
            *COMMON,
            "--optimizer",
            "adamw",
            "--optimizer.lr",
            "0.01",
            "--name",
            "run",
            "--trainer.max_epochs",
            "3",
            "--resume",
            "auto",
        ]


def held() -> list[Case]:
    """Return every value with every owner."""
    return [
        Case(
            f"{value}; {place}",
            tuple(
                part.replace(":", ": ").replace(",", ", ") if part.startswith("[") else part
                for part in flags(text.format(value))
            ),
        )
        for value, (place, text) in product(VALUES, PLACES.items())
    ]


def module(name: str, cls: str, *more: str, loads: bool = True, bits: bool = False) -> Case:
    """A module of the user's."""
    model = (*flags(f"--model own_states.{cls} --data own_states.Data"), *more)
    return Case(f"{name}; module", model, loads, bits)


def callback(name: str, cls: str) -> Case:
    """A callback of the user's."""
    return Case(f"{name}; callback", (*flags(BASE), "--callbacks", f"own_states.{cls}"), False)


OTHERS = (
    module("hyper-parameter: class", "HyperClass"),
    module("hyper-parameter: function", "HyperFunction"),
    module("hyper-parameter: lambda", "HyperLambda"),
    module("hyper-parameter: path", "HyperPath"),
    module("hyper-parameter: path that is given", "HyperPath", "--model.where", "c/d"),
    module("hyper-parameter: enum", "HyperEnum"),
    module("hyper-parameter: enum that is given", "HyperEnum", "--model.colour", "BLUE"),
    module("hyper-parameter: dtype", "HyperDtype"),
    module("hyper-parameter: nested", "HyperNested"),
    module("hyper-parameter: module", "HyperModule"),
    module("hyper-parameter: lock", "HyperOpen"),
    module("hyper-parameters seed, compile, profile", "Named"),
    module(
        "hyper-parameters seed, compile, profile, given",
        "Named",
        "--model.seed",
        "8",
        "--model.compile",
        "false",
        "--model.profile",
        "q",
    ),
    module("hyper-parameter name", "NamedName"),
    Case(
        "hyper-parameters; data",
        flags("--model own_states.Base --data own_states.HyperData"),
        False,
    ),
    module("own torch.Generator", "OwnTorchGenerator", loads=False, bits=True),
    module("own numpy generator", "OwnNumpyGenerator", loads=False, bits=True),
    module("own random.Random", "OwnPythonGenerator", loads=False, bits=True),
    module("own generator, saved", "SavedGenerator"),
    module("average that training depends on", "SavedAverage"),
    callback("BaseFinetuning", "Unfreeze"),
    callback("requires_grad switched each epoch", "Switch"),
    callback("requires_grad switched once", "SwitchOnce"),
    callback("values logged on some steps", "SometimesLogged"),
    Case(
        "64-true; module",
        flags("--model own_states.Base --data own_states.Doubles --trainer.precision 64-true"),
        False,
    ),
)


def folder(root: Path, *parts: object) -> Path:
    """Create an empty folder with the custom modules."""
    made = root / "-".join(map(str, parts))
    made.mkdir(parents=True)
    shutil.copy(OWN, made)
    return made


def trained(case: Case, where: Path, stop: str = "") -> tuple[int, str, str]:
    """Exit code and output of one process, and what is wrong with them in any case."""
    try:
        code, output = forks.run(case.command, where, {"STOP_AT": stop})
    except TimeoutError as error:
        return -1, "", str(error)
    last = " / ".join(output.strip().splitlines()[-3:])
    if "Traceback" in output:
        return code, output, f"traceback, exit code {code}: {last}"
    return code, output, "" if code in (0, 2, 75) else f"exit code {code}: {last}"


def undisturbed(case: Case, twin: Path) -> str:
    """Train without interruption, and return the failure, if any."""
    code, _, problem = trained(case, twin)
    return problem or (f"exit code {code}" if code else "")


def judge(case: Case, root: Path, number: int, stop: int) -> str:
    """Train, stop, resume and compare: return one of GOOD, or the failure."""
    twin, where = folder(root, number, "twin"), folder(root, number)
    code, output, problem = trained(case, where, str(stop))
    if problem:
        return f"when stopped: {problem}"
    if code == 2:
        left = (where / "runs").exists()
        if left or case.promised:
            return f"refused{', but left files behind' if left else ''}: {output.strip()[-300:]}"
        return "refused"
    if code != 75:
        return "the run was not stopped"
    told = TOLD.findall(output)
    before = TOLD.findall(first_batch(output)[0])
    code, output, problem = trained(case, where)
    if problem or code:
        return f"when resumed: {problem or f'exit code {code}: {output.strip()[-400:]}'}"
    if first_batch(output)[1] != stop:
        said = output.strip().splitlines()[0][:200]
        return f"stopped after {stop} steps, resumed after {first_batch(output)[1]}: {said}"
    wrong, missing, loaded = (lines(where / n) for n in ("wrong", "missing", "loaded"))
    if wrong:
        return f"came back as something else: {wrong[0]}"
    key = case.name.partition(";")[0]
    if case.loads and not loaded:
        missing = [f"{key}: nothing was loaded"]
    unsaid = [m for m in missing if not any(m.partition(":")[0] in line for line in told)]
    if unsaid or (missing and case.promised):
        return f"is missing{' without a word' if unsaid else ''}: {missing[0]}"
    if problem := undisturbed(case, twin):
        return f"undisturbed: {problem}"
    try:
        different = difference(twin / "runs/run/version_0", where / "runs/run/version_0")
    except Exception as error:  # whatever it is, it is the outcome of this case
        return f"can't be compared: {error!r}"
    if different and case.bits and before:
        return "noted"
    second = folder(root, number, "second") if different else twin
    if different and (
        undisturbed(case, second)
        or difference(twin / "runs/run/version_0", second / "runs/run/version_0")
    ):
        return "two undisturbed runs differ"
    return different or ("left out" if missing else "equal")


def lines(path: Path) -> list[str]:
    """Return the lines of a file, if it exists."""
    return path.read_text().splitlines() if path.exists() else []


def report(outcomes: dict[Case, str]) -> int:
    """Print a Markdown table by place and all failures; return 1 if there are any."""
    print(f"| held by | values | {' | '.join(GOOD)} | failed |\n|{'---|' * (3 + len(GOOD))}")
    places = dict.fromkeys(c.name.partition("; ")[2] for c in outcomes)
    for place in [*places, "all"]:
        own = [o for c, o in outcomes.items() if place in (c.name.partition("; ")[2], "all")]
        counts = Counter(o if o in GOOD else "failed" for o in own)
        cells = [len(own), *(counts[k] for k in (*GOOD, "failed"))]
        print(f"| {place} | {' | '.join(map(str, cells))} |")
    failures = {c: o for c, o in outcomes.items() if o not in GOOD}
    for case, outcome in failures.items():
        print(f"{case.name}: {outcome}\n  STOP_AT=11 gdl {' '.join(case.command)}")
    return int(bool(failures) or not outcomes)


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="pattern of case names")
    parser.add_argument("--stop", type=int, default=11, help="number of batches before the stop")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--keep", action="store_true", help="keep the folders of successful cases, too"
    )
    given = parser.parse_args()
    forks.prepare()
    root = Path(tempfile.mkdtemp(prefix="gdl-states-"))
    cases = [c for c in (*held(), *OTHERS) if re.search(given.only, c.name)]

    def one(case: Case) -> str:
        number = cases.index(case)
        outcome = judge(case, root, number, given.stop)
        print(f"  {case.name}: {outcome}  [{root / str(number)}]", file=sys.stderr, flush=True)
        if outcome in GOOD and not given.keep:
            for name in (f"{number}", f"{number}-twin"):
                shutil.rmtree(root / name, ignore_errors=True)
        return outcome

    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = dict(zip(cases, pool.map(one, cases), strict=True))
    code = report(outcomes)
    if not code and not given.keep:
        shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
