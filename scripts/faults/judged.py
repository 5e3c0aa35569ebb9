"""Run a generated command in this process, and check how it ends."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import signal
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from spoilt import Case

from gdlightning.__main__ import main

LINES = 5
"""Maximum number of lines of a message."""
LONG = 2000
"""Maximum number of characters of a message."""
ERRORS = {2: "error", 3: "diverged", 74: "storage"}


@dataclass
class Verdict:
    """How a command ended: run, help, error, or what it must not be; and what it printed."""

    kind: str
    problem: str = ""
    err: str = ""


def prepare(home: Path) -> Path:
    """Small files of a user's, and the folder in which commands run, two below ``home``."""
    work = home / "a" / "b"
    given = work / "given"
    given.mkdir(parents=True)
    rows = [
        f"{k},{k % 4},{'red' if k % 3 else 'blue'},{k * k % 17 / 2},{'ab'[k % 2]}"
        for k in range(40)
    ]
    (given / "table.csv").write_text("\n".join(["x,code,colour,size,kind", *rows]))
    steps = ["series,step,a,b,kind"]
    steps += [
        f"{k},{t},{math.sin(t + k)},{t % 3},{'ab'[k % 2]}"
        for k in range(12)
        for t in range(6 + k % 3)
    ]
    (given / "series.csv").write_text("\n".join(steps))
    lines = [
        f"{','.join(str((t + k) % 5) for t in range(5))}:1,?,1,1,1:{'ab'[k % 2]}" for k in range(20)
    ]
    header = "@problemName P\n@univariate false\n@classLabel true a b\n@data\n"
    (given / "series.ts").write_text(header + "\n".join(lines))
    texts = [f"warm bright word{k},good" if k % 2 else f"cold dark word{k},bad" for k in range(24)]
    (given / "texts.csv").write_text("text,mood\n" + "\n".join(texts))
    (given / "book.txt").write_text("the cat sät on the mat. " * 30, encoding="utf-8")
    from PIL import Image

    for k in range(12):
        folder = given / "images" / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * k, 10 * k, 99)).save(folder / f"{k}.png")
        texts_of = given / "texts" / "ab"[k % 2]
        texts_of.mkdir(parents=True, exist_ok=True)
        (texts_of / f"{k}.txt").write_text(texts[k])
    return work


def files(home: Path) -> set[Path]:
    """Return all files and folders below ``home``."""
    return set(home.rglob("*"))


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Stop the command after a time limit, as a scheduler does."""

    def ring(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL or number in seen:
            raise TimeoutError(f"longer than {seconds} s")  # not in training, or deaf to it
        seen.append(number)
        signal.alarm(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    seen: list[int] = []
    former = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def run(case: Case, work: Path, seconds: int = 60) -> Verdict:
    """Run ``gdl fit`` on a case in a folder that ``prepare`` has made, and leave it as it was."""
    home = work.parent.parent
    (work / "c.yaml").write_text(case.text, encoding="utf-8", errors="surrogatepass")
    if case.table is not None:
        for suffix in ("csv", "ts", "txt"):
            (work / f"t.{suffix}").write_bytes(case.table)
    before = files(home)
    out, err = io.StringIO(), io.StringIO()
    place = Path.cwd()
    os.chdir(work)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            limited(seconds),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            code = main(["fit", "--config", "c.yaml", *case.flags])
        verdict = judge(case, code, err.getvalue(), files(home) - before, before - files(home))
    except SystemExit as stop:
        kind = "stopped" if stop.code == 75 else "exit"
        verdict = Verdict(kind, "" if kind == "stopped" else f"SystemExit {stop.code}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        verdict = Verdict("traceback", f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        os.chdir(place)
        for path in sorted(files(home) - before, key=lambda p: len(p.parts)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    if verdict.kind == "unnamed" and run(Case(case.good), work, seconds).kind == "error":
        verdict.kind = "error"  # the config itself had a fault, which was named instead
    return verdict


def judge(case: Case, code: int, err: str, left: set[Path], lost: set[Path]) -> Verdict:
    """What is to be said of an exit code, a message, and the files that came and went."""
    if lost:
        return Verdict("bad", f"removed {sorted(lost)[0]}", err)
    if code == 0:
        shown = {"--help", "-h", "--print_config"} & {f.partition("=")[0] for f in case.flags}
        if shown or any(".help" in f for f in case.flags) or not left:
            return Verdict("help" if not left else "bad", "" if not left else "leaves files", err)
        whole = any(p.name == "metrics.json" for p in left)
        return Verdict("run" if whole else "bad", "" if whole else "no metrics.json", err)
    kind = ERRORS.get(code, "bad")
    if kind == "bad":
        return Verdict(kind, f"exit code {code}", err)
    text = err.strip()
    lines = [line for line in text.splitlines() if not line.startswith("Note: ")]
    if not lines or not lines[0].startswith("error: "):
        return Verdict("bad", "the message does not begin with error:", err)
    if len(lines) > LINES or len(text) > LONG:
        return Verdict("bad", f"{len(lines)} lines, {len(text)} characters", err)
    if "Traceback" in text:
        return Verdict("bad", "traceback printed", err)
    if code == 2 and left:
        return Verdict("bad", f"leaves {sorted(left)[0].name}", err)
    if code == 2 and case.named and not any(n in text for n in case.named):
        return Verdict("unnamed", f"does not name {' or '.join(case.named)}", err)
    return Verdict(kind, "", err)
