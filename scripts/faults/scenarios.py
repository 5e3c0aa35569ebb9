"""Inject faults into runs in hundreds of generated scenarios, and check that nothing is lost.

A scenario is a run of a built-in or custom module, and some commands, each with a fault: signals,
kills within a step or a save, full or failing disks, checkpoints, logs and configs that are
damaged, removed or of a newer format, concurrent jobs, changed options, other data, moved folders.
After every command, everything that could be resumed before must still be resumable. The same
command with ``--resume auto`` must then end as an uninterrupted run. Prints a Markdown table; the
exit code is 1 if a scenario fails.

    python scripts/faults/scenarios.py --count 500 --seed 0
    python scripts/faults/scenarios.py --count 500 --seed 0 --case 17
"""

from __future__ import annotations

import argparse
import pickle
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import broken_disk
import forks
import invariants
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from invariants import Done, Snapshot
from trainings import COMMON, ROOT, first_batch, flags, learnt, logged

OWN = Path(__file__).parent / "own_faults.py"
HAPPENS = ("--callbacks", "own_faults.Happens")
PARTS = {
    "tabular": flags(f"--config {ROOT}/configs/tabular.yaml --data.batch_size 64"),
    "table": flags(
        "--model tabular-classification --data tabular --data.path t.csv --data.target y "
        "--data.batch_size 8 --optimizer sgd --optimizer.momentum 0.9"
    ),
    "own": flags("--model own_faults.Line --data own_faults.Points --optimizer adamw"),
    "own, accumulation": flags(
        "--model own_faults.Line --data own_faults.Points --optimizer sam --optimizer.base adamw "
        "--trainer.accumulate_grad_batches 2 --trainer.max_epochs 5"
    ),
    "own, batches": flags(
        "--model own_faults.Line --data own_faults.Batches --optimizer schedule-free-adamw"
    ),
    "own, state": flags("--model own_faults.Remembering --data own_faults.Points"),
}
"""Runs of about twenty steps."""
COMMANDS = (
    "auto",
    "run",
    "run alone",
    "last",
    "previous",
    "best",
    "plain",
    "overwrite",
    "changed",
    "changed, allowed",
)
OLDER = ("last", "previous", "best")
"""Commands that take a checkpoint."""
HARMS = (
    "none",
    "truncate last",
    "flip last",
    "empty last",
    "remove last",
    "newer last",
    "truncate all",
    "remove all",
    "torn log",
    "garbage log",
    "remove log",
    "remove config",
    "garbage config",
    "rename folder",
    "move folder",
    "other data",
    "leftovers",
)
NOTED = re.compile(r"^Note: .*(exact|resum|restor|going on|bits)", re.IGNORECASE | re.MULTILINE)
TABLE = "x,z,y\n" + "\n".join(f"{k},{k * k % 7},{'ab'[k // 3 % 2]}" for k in range(96)) + "\n"


@dataclass(frozen=True)
class Act:
    """A command with a fault.

    Args:
        command: one of COMMANDS.
        harm: damage to the files before the command, one of HARMS.
        happens: fault in the callback, in the format of own_faults.Happens.
        disk: fault of the disk, in the format of broken_disk.
        rival: second command to run during the first; empty for none.
    """

    command: str = "auto"
    harm: str = "none"
    happens: str = ""
    disk: str = ""
    rival: str = ""

    @property
    def faults(self) -> list[str]:
        """The kinds of its faults, for the table."""
        what, how, _ = self.happens.split() if self.happens else ("", "", "")
        happens = {
            "stop": how,
            "wait": "two jobs",
            "remove": "removed while it trains",
            "rename": "renamed while it trains",
            "": "",
        }[what]
        disk = ""
        if self.disk:
            operation, error, *_ = self.disk.split()
            fails = {"EXIT": "killed in a", "MEMORY": "out of memory in a"}.get(error, "failing")
            disk = f"{fails} {operation}"
        harm = "" if self.harm == "none" else self.harm
        command = {"auto": "", "plain": "no --resume", "overwrite": "--overwrite"}.get(
            self.command, f"--resume, {self.command}"
        )
        return [f for f in (happens, disk, harm, command) if f] or ["none"]

    def __str__(self) -> str:
        parts = [self.harm if self.harm != "none" else "", self.command, self.happens, self.disk]
        return ", ".join([p for p in parts if p] + ([f"rival {self.rival}"] if self.rival else []))


@dataclass(frozen=True)
class Scenario:
    """A run, and the commands before its final resume."""

    part: str
    acts: tuple[Act, ...]

    def __str__(self) -> str:
        return f"{self.part} | {' | '.join(map(str, self.acts))}"


@st.composite
def acts(draw: DrawFn, part: str, first: bool) -> Act:
    """A command with faults; the first is one that trains and does not come to its end."""
    step = draw(st.integers(2, 18))
    happens, disk, rival = "", "", ""
    kind = draw(
        st.sampled_from(
            [
                "stop",
                "kill",
                "save",
                "disk",
                "disk",
                "wait",
                "folder",
                *([] if first else ["none", "none"]),
            ]
        )
    )
    if kind == "stop":
        name = draw(st.sampled_from(["SIGTERM", "SIGTERM", "SIGINT", "SIGUSR1"]))
        happens = f"stop {name} {step}"
    elif kind == "kill":
        happens = f"stop SIGKILL {step}"
    elif kind == "save":
        operation = draw(st.sampled_from(["rename", "fsync", "write", "link"]))
        disk = f"{operation} EXIT *.ckpt* {draw(st.integers(1, 8))} 1"
    elif kind == "disk":
        operation = draw(st.sampled_from(["write", "write", "fsync", "rename", "read", "lock"]))
        errors = {"lock": ["ENOLCK", "EIO"], "read": ["EIO", "MEMORY"]}
        error = draw(st.sampled_from(errors.get(operation, ["ENOSPC", "EIO", "EDQUOT"])))
        patterns = [
            "*.ckpt*",
            "*.ckpt*",
            "*metrics.csv*",
            "*config.yaml*",
            "*events*",
            "*instruments.jsonl*",
            "*metrics.json*",
            "*",
        ]
        if operation == "read":
            patterns = ["*.ckpt*", "last.ckpt", "*metrics.csv*", "*config.yaml*"]
        pattern = "*" if operation == "lock" else draw(st.sampled_from(patterns))
        begin = draw(st.integers(1, 8 if operation in ("write", "fsync", "rename") else 2))
        disk = f"{operation} {error} {pattern} {begin} {draw(st.sampled_from([1, 9999]))}"
        if first and operation in ("read", "lock"):  # which may not end a training that is new
            happens = f"stop SIGTERM {step}"
    elif kind == "wait":
        happens = f"wait now {step}"
        rival = draw(st.sampled_from(["auto", "run", "plain", "last", "overwrite"]))
    elif kind == "folder":
        happens = f"{draw(st.sampled_from(['remove', 'rename']))} now {step}"
    if first:
        return Act("auto", "none", happens, disk, rival)
    harms = [h for h in HARMS if h != "other data" or part == "table"]
    harm = draw(st.sampled_from([*harms, *["none"] * (len(harms) // 2)]))
    command = draw(st.sampled_from([*COMMANDS, *["auto"] * 4, "run"]))
    return Act(command, harm, happens, disk, rival)


@st.composite
def scenarios(draw: DrawFn) -> Scenario:
    """Draw a run with two or three commands."""
    part = draw(st.sampled_from(sorted(PARTS)))
    later = [draw(acts(part, False)) for _ in range(draw(st.integers(1, 2)))]
    return Scenario(part, (draw(acts(part, True)), *later))


OFTEN = 4
"""Scenarios at most that have the same act: hypothesis likes to repeat what it has drawn."""


def generated(count: int, number: int) -> list[Scenario]:
    """Return distinct scenarios for a seed."""
    found: list[Scenario] = []
    seen: Counter[Act] = Counter()

    @seed(number)
    @settings(
        max_examples=count * 6,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios())
    def each(scenario: Scenario) -> None:
        new = len(set(scenario.acts)) == len(scenario.acts)
        if new and len(found) < count and all(seen[act] < OFTEN for act in scenario.acts):
            found.append(scenario)
            seen.update(act for act in scenario.acts if act.faults != ["none"])

    each()
    return found


# What is done to files


def harm(kind: str, folder: Path | None, where: Path, chance: random.Random) -> None:
    """Do something to the files of a run, or to the data."""
    if kind == "other data":
        (where / "t.csv").write_text(TABLE.replace("9,", "8,"))
    if folder is None:
        return
    checkpoints = sorted((folder / "checkpoints").glob("*.ckpt"))
    what, _, which = kind.partition(" ")
    if which in ("last", "all"):
        chosen = [p for p in checkpoints if which == "all" or p.name == "last.ckpt"]
        for path in chosen:
            DAMAGES[what](path, chance)
    elif which == "log" and (folder / "metrics.csv").exists():
        DAMAGES[what](folder / "metrics.csv", chance)
    elif which == "config":
        DAMAGES[what](folder / "config.yaml", chance)
    elif kind == "rename folder":
        if not folder.with_name("version_7").exists():
            folder.rename(folder.with_name("version_7"))
    elif kind == "move folder":
        (where / "runs/moved").mkdir(exist_ok=True)
        folder.rename(where / "runs/moved/version_0")
    elif kind == "leftovers":
        for name in (".last.ckpt.4711.tmp", ".previous-1.ckpt.4711.tmp"):
            if (folder / "checkpoints").is_dir():
                (folder / "checkpoints" / name).write_bytes(b"half")
        (folder / ".config.yaml.4711.tmp").write_text("half")


def _truncate(path: Path, chance: random.Random) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: chance.randrange(1, max(2, len(raw)))])


def _flip(path: Path, chance: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    if raw:
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    path.write_bytes(raw)


def _newer(path: Path, chance: random.Random) -> None:
    from gdlightning.storage.checkpoint_file import KEY, write

    try:
        content = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):  # damaged before
        return
    content[KEY]["format"] = 99
    write(content, path)


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "truncate": _truncate,
    "torn": _truncate,
    "flip": _flip,
    "newer": _newer,
    "empty": lambda path, _: path.write_bytes(b""),
    "remove": lambda path, _: path.unlink(missing_ok=True),
    "garbage": lambda path, chance: path.write_bytes(b"\xff\0: [}\n" + chance.randbytes(40)),
}


# What is run


def arguments(part: str, command: str, folder: Path | None, where: Path) -> list[str]:
    """The command line of one of COMMANDS, on a run where it needs one."""
    usual = [
        "fit",
        "--trainer.max_epochs",
        "3",
        *PARTS[part],
        *COMMON,
        *HAPPENS,
        "--name",
        "run",
        "--checkpoint.every_n_steps",
        "3",
    ]
    if command == "plain" or (folder is None and command != "overwrite"):
        return usual if command == "plain" else [*usual, "--resume", "auto"]
    if command == "overwrite":
        return [*usual, "--overwrite", "true"]
    assert folder is not None
    run = folder.relative_to(where)
    if command in OLDER:
        found = sorted((folder / "checkpoints").glob(f"{command}*.ckpt"))
        return [*usual, "--resume", str(found[-1].relative_to(where) if found else run)]
    if command == "run alone":
        return ["fit", "--resume", str(run)]
    if command.startswith("changed"):
        usual += ["--optimizer.lr", "0.0123"]
        usual += ["--resume_changed", "true"] if command == "changed, allowed" else []
    return [*usual, "--resume", "auto" if command == "auto" else str(run)]


def newest(now: Snapshot) -> Path | None:
    """Return the run that was written to last."""
    folders = [f for f in now.folders if f.exists() and not f.name.startswith(".")]
    return max(folders, key=lambda f: max(p.stat().st_mtime for p in f.rglob("*")), default=None)


class Trouble(Exception):
    """Violation of a guarantee."""


def command(
    scenario: Scenario,
    act: Act,
    where: Path,
    folder: Path | None,
    before: Snapshot,
    beside: bool = False,
) -> tuple[Done, Snapshot]:
    """Give a command, and hold what it leaves behind against what was there.

    Raises:
        Trouble: a promise is not kept.
    """
    argv = arguments(scenario.part, act.command, folder, where)
    env = {"HAPPENS": act.happens} if act.happens else {}
    env |= {"BROKEN": act.disk} if act.disk else {}
    setup = broken_disk.setup if act.disk else None
    try:
        if act.rival:
            code, output = with_rival(scenario, act, where, argv, env)
        else:
            code, output = forks.run(argv, where, env, setup=setup)
    except TimeoutError:
        raise Trouble(f"{act}: hangs") from None
    happened = "Now: " in output
    done = Done(
        code,
        output,
        first_batch(output)[1],
        killed="EXIT" in act.disk or (happened and "KILL" in act.happens),
        faulty=bool(act.disk) or (happened and act.happens[:2] == "re"),
        older=act.command in OLDER,
        overwrites=act.command == "overwrite" or act.rival == "overwrite",
        beside=beside,
    )
    after = invariants.take(where / "runs")
    if happened and act.happens.startswith("remove"):
        before = Snapshot()  # it was the person who removed it
    elif happened and act.happens.startswith("rename"):
        before = invariants.moved(before, after)
    problem = invariants.broken(before, after, done) or ended_wrongly(act, done)
    if problem:
        raise Trouble(f"{act}: {problem}")
    return done, after


def ended_wrongly(act: Act, done: Done) -> str:
    """Return what is wrong with the exit code after a signal, if anything."""
    asked = re.search(r"Now: stop (SIGTERM|SIGINT|SIGUSR1)", done.output)
    if not asked or act.disk:
        return ""
    wanted = 130 if asked[1] == "SIGINT" else 75
    ended = done.code == 0 and "Trained for" in done.output  # it was the last step
    return "" if done.code == wanted or ended else f"exit code {done.code} after {asked[1]}"


def with_rival(
    scenario: Scenario, act: Act, where: Path, argv: list[str], env: dict[str, str]
) -> tuple[int, str]:
    """Run a second command while the first waits during training.

    Returns:
        Exit code and output of the first.

    Raises:
        Trouble: the second has broken a promise.
    """
    for name in ("waiting", "go"):
        (where / name).unlink(missing_ok=True)
    log = where / "first.log"
    log.unlink(missing_ok=True)
    first = forks.start(argv, where, log, env)
    began = time.monotonic()
    while not (where / "waiting").exists() and first.is_alive() and time.monotonic() - began < 300:
        time.sleep(0.02)
    try:
        if (where / "waiting").exists():
            before = settled(where / "runs")
            done, _ = command(scenario, Act(act.rival), where, newest(before), before, True)
            if act.rival in ("run", "last", "overwrite") and done.code != 2:
                raise Trouble(f"a second job, {act.rival}, ended with exit code {done.code}")
    finally:
        (where / "go").touch()
        code = forks.finish(first)
    return code, log.read_text(errors="replace")


def settled(runs: Path) -> Snapshot:
    """What there is once the threads of a waiting process have written what they had to write."""
    now = invariants.take(runs)
    while True:
        time.sleep(0.5)
        before, now = now, invariants.take(runs)
        if before.files == now.files:
            return now


def play(scenario: Scenario, where: Path, twin: Path, number: int) -> str:
    """Run a scenario, and return the first violated guarantee, or an empty string."""
    chance = random.Random(number)
    said, harmed, older, damaged = "", False, False, False
    try:
        for act in scenario.acts:
            folder = newest(invariants.take(where / "runs"))
            harm(act.harm, folder, where, chance)
            older |= act.command in OLDER or act.rival in OLDER
            damaged |= act.harm.endswith((" last", " all"))
            # A run that is sent back has its log cut there; if what it saves then is damaged, it
            # is resumed where the log is no more.
            harmed |= "log" in act.harm or (older and damaged)
            before = invariants.take(where / "runs")
            folder = newest(before) if folder is None or not folder.exists() else folder
            done, _ = command(scenario, act, where, folder, before)
            said += done.output
            prepare(where)
        return last(scenario, where, twin, said, harmed)
    except Trouble as trouble:
        return str(trouble)


def last(scenario: Scenario, where: Path, twin: Path, said: str, harmed: bool) -> str:
    """Resume without a fault: the result must equal the uninterrupted run."""
    before = invariants.take(where / "runs")
    saved = {p.parent.parent for p in before.files if p.suffix == ".ckpt"}
    unreadable = [folder for folder in saved if before.newest(folder) < 0]
    configs = any(a.harm.endswith("config") for a in scenario.acts)
    done, after = command(scenario, Act("auto"), where, None, before)
    newer = any(a.harm.startswith("newer") for a in scenario.acts) and "format" in done.output
    if done.code in (2, 74) and (unreadable or configs or newer):
        return ""
    if done.code:
        return f"the last: exit code {done.code}: {done.output.strip()[-300:]}"
    finished = [
        p.parent
        for p, digest in after.files.items()
        if p.name == "metrics.json" and before.files.get(p) != digest
    ]
    if len(finished) != 1:
        return f"the last: {len(finished)} runs were finished by it"
    if finished[0] in unreadable:
        return "the last: a fresh start in a folder whose checkpoints can't be read"
    if NOTED.search(said + done.output):
        return ""
    different = learnt(twin, finished[0])
    if not harmed:
        different = different or logged(twin, finished[0])
    return f"final resume: differs from the uninterrupted run: {different}" if different else ""


def prepare(where: Path) -> Path:
    """Restore the custom modules."""
    where.mkdir(parents=True, exist_ok=True)
    shutil.copy(OWN, where)
    (where / "t.csv").write_text(TABLE)
    return where


def twins(parts: set[str], root: Path) -> dict[str, Path]:
    """The undisturbed run of each part; the script ends where one does not train."""
    found = {}
    for part in sorted(parts):
        where = prepare(root / f"twin-{sorted(PARTS).index(part)}")
        code, output = forks.run(arguments(part, "auto", None, where), where)
        if code:
            sys.exit(f"{part} does not train: {output[-2000:]}")
        found[part] = where / "runs/run/version_0"
    return found


def report(outcomes: dict[int, tuple[Scenario, str]], rerun: str) -> int:
    """Print a Markdown table by fault and all failures; return 1 if there are any."""
    kinds = Counter(f for s, _ in outcomes.values() for f in {f for a in s.acts for f in a.faults})
    lost = Counter(
        f for s, p in outcomes.values() if p for f in {f for a in s.acts for f in a.faults}
    )
    print("| fault or command | scenarios with it | nothing lost |\n|---|---|---|")
    for kind, count in sorted(kinds.items()):
        print(f"| {kind} | {count} | {count - lost[kind]} |")
    failures = {k: o for k, o in outcomes.items() if o[1]}
    print(f"| all | {len(outcomes)} | {len(outcomes) - len(failures)} |")
    for number, (scenario, problem) in failures.items():
        print(f"{number}: {scenario}\n  {problem}\n  {rerun} --case {number}")
    return int(bool(failures) or not outcomes)


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="pattern of scenarios")
    parser.add_argument("--case", default="", help="numbers of scenarios, such as 17,20")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folders of successful cases, too"
    )
    asked = parser.parse_args()
    cases = {int(k) for k in asked.case.split(",") if k}
    chosen = {
        k: s
        for k, s in enumerate(generated(asked.count, asked.seed))
        if (k in cases or not cases) and re.search(asked.only, str(s))
    }
    forks.prepare()
    root = Path(tempfile.mkdtemp(prefix="gdl-scenarios-"))
    sys.path.append(str(OWN.parent))
    twin = twins({s.part for s in chosen.values()}, root)
    counted, lock = Counter[bool](), threading.Lock()

    def one(number: int) -> str:
        where = prepare(root / str(number))
        try:
            problem = play(chosen[number], where, twin[chosen[number].part], number)
        except Exception as error:  # of the judge itself, which must not end the others
            problem = f"the judge failed: {error!r}"
        with lock:
            counted[bool(problem)] += 1
            print(
                f"  {sum(counted.values())}/{len(chosen)} {number}: {chosen[number]}: "
                f"{problem or 'kept'}  [{where}]",
                file=sys.stderr,
                flush=True,
            )
        if not problem and not asked.keep:
            shutil.rmtree(where)
        return problem

    with ThreadPoolExecutor(asked.jobs) as pool:
        problems = list(pool.map(one, chosen))
    outcomes = {k: (s, p) for (k, s), p in zip(chosen.items(), problems, strict=True)}
    rerun = f"python scripts/faults/scenarios.py --count {asked.count} --seed {asked.seed}"
    code = report(outcomes, rerun)
    if not code and not asked.keep:
        shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
