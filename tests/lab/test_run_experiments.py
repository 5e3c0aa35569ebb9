"""``gdl lab`` lists, runs, stores and draws experiments."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gdlightning.__main__ import main
from gdlightning.drawing.style import Theme, figure
from gdlightning.lab import experiment
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.experiment import FOLDER, ORDER, Experiment, card, names
from gdlightning.lab.experiment_page import markdown, page
from gdlightning.lab.run_experiments import Result, _read

Run = Callable[..., Any]
CHEAPEST = "saddle-points"
PNG = b"\x89PNG\r\n\x1a\n"


def test_every_experiment_says_what_it_claims() -> None:
    files = {p.stem.replace("_", "-") for p in FOLDER.glob("*.py")} - {"--init--"}
    assert set(names()) == files
    for name in names():
        one = card(name)
        assert 10 < len(one.claim) <= 100, name
        assert one.claim.endswith("."), name
        assert one.setup, name
        assert one.source, name
        assert one.seeds >= 3, name


def test_they_are_listed_without_torch() -> None:
    code = (
        "import sys\nfrom gdlightning.__main__ import main\n"
        "main(['lab', 'list', '--format', 'json'])\n"
        "print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [one["name"] for one in json.loads(done.stdout)] == names()
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "fine-tunning"), ("no experiment named fine-tunning", "Did you mean fine")),
        (("run",), ("needs the name",)),
        (("run", CHEAPEST, "--seeds", "0"), ("--seeds is 0", "1 or more")),
        (("run", CHEAPEST, "--workers", "-1"), ("--workers is -1",)),
        (("run", CHEAPEST, "--output", "note.txt"), ("--output note.txt",)),
        (("run", CHEAPEST, "--output", "note.txt/lab"), ("--output note.txt/lab",)),
        (("run", CHEAPEST, "--output", "odd"), ("--output odd",)),
        (("list", "momentum"), ("gdl lab run momentum",)),
        (("all", CHEAPEST), (f"gdl lab run {CHEAPEST}",)),
    ],
)
def test_what_cannot_be_meant_is_told_before_work(
    gdl: Run, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "seeds").write_text("mine too")
    before = sorted(tmp_path.rglob("*"))
    done = gdl("lab", *arguments)
    assert done.code == 2
    assert all(word in done.err for word in words), done.err
    assert len(done.err.splitlines()) <= 5
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_was_killed_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stored seeds are reused, and a repeated command measures nothing."""
    command = ["lab", "run", CHEAPEST, "--seeds", "2", "--workers", "1", "--output", str(tmp_path)]
    first, second = (tmp_path / "seeds" / f"{CHEAPEST}-{seed}.json" for seed in (0, 1))
    begun = subprocess.Popen(
        [sys.executable, "-m", "gdlightning", *command],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not first.exists() and begun.poll() is None:
        time.sleep(0.05)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    assert not second.exists()
    assert not (tmp_path / f"{CHEAPEST}.html").exists()
    kept = first.stat().st_mtime_ns

    assert main([*command, "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert first.stat().st_mtime_ns == kept
    measured = second.stat().st_mtime_ns
    assert told == json.loads((tmp_path / f"{CHEAPEST}.json").read_text())
    assert told["verdict"] in list(ClaimVerdict)
    assert all(len(one["values"]) == 2 for one in told["effects"])
    for mark in ("", "-dark"):
        assert (tmp_path / f"{CHEAPEST}{mark}.png").read_bytes().startswith(PNG)
    assert told["claim"] in (tmp_path / f"{CHEAPEST}.html").read_text()

    assert main(command) == 0
    out = capsys.readouterr().out
    assert told["verdict"].upper() in out
    assert f"{CHEAPEST}.html" in out
    assert (first.stat().st_mtime_ns, second.stat().st_mtime_ns) == (kept, measured)

    record = json.loads(second.read_text())
    spoilt = json.dumps(record | {"found": {**record["found"], next(iter(record["found"])): 5}})
    assert _read(second, card(CHEAPEST)) == record
    for text in (spoilt, "[" * 100_000, "5", "[]", json.dumps(record | {"seconds": "long"})):
        second.write_text(text)
        assert _read(second, card(CHEAPEST)) is None  # so it is measured again


@pytest.mark.parametrize(("package", "extra"), [("sklearn", "data"), ("matplotlib", "plots")])
def test_what_is_not_installed_is_told_before_work(
    gdl: Run, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == package else find(name)
    )
    done = gdl("lab", "run", CHEAPEST)
    assert done.code == 2
    assert f"gdlightning[{extra}]" in done.err
    assert not Path("lab").exists()


def test_they_stand_in_the_order_of_the_account() -> None:
    assert [name.replace("-", "_") for name in names()] == list(ORDER)


def test_what_other_code_measured_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are invalid if the code of the experiment or its shared modules changes."""
    shutil.copytree(FOLDER.parent, tmp_path / "lab")
    monkeypatch.setattr(experiment, "FOLDER", tmp_path / "lab" / "experiments")
    tuned, plain = card("guide-sparse"), card("edge-of-stability")
    assert tuned.digest != plain.digest
    for changed, tuned_changes, plain_changes in (
        ("experiments/guide_sparse.py", True, False),
        ("tuning.py", True, False),
        ("descent.py", True, True),
        ("panels.py", False, False),
    ):
        before = tuned.digest, plain.digest
        file = tmp_path / "lab" / changed
        file.write_text(file.read_text() + "\n# other words\n")
        assert (tuned.digest, plain.digest) == before, changed
        file.write_text(file.read_text() + "\nOTHER = 1\n")
        assert (tuned.digest != before[0]) is tuned_changes, changed
        assert (plain.digest != before[1]) is plain_changes, changed


def test_other_words_and_figures_need_no_new_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FOLDER.parent, tmp_path / "lab")
    monkeypatch.setattr(experiment, "FOLDER", tmp_path / "lab" / "experiments")
    plain = card("edge-of-stability")
    before, claim = plain.digest, plain.claim
    code = plain.path.read_text()
    figure = code.replace('ylabel="λ·lr"', 'ylabel="sharpness"').replace(claim, "Another claim.")
    assert figure != code
    plain.path.write_text(figure)
    assert plain.digest == before
    plain.path.write_text(code.replace("STEPS, EVERY = 3000", "STEPS, EVERY = 2000"))
    assert plain.digest != before


def results() -> list[Result]:
    """Return an artificial result of each experiment, with an empty figure."""
    outcome = Conclusion(
        ClaimVerdict.CONDITIONS, "Seen <here> & there.", (effect("a | b", [1, 2]),)
    )

    def draw(found: Any, theme: Theme) -> Any:
        return figure(theme=theme)[0]

    return [
        Result(
            Experiment(card(name), lambda seed: {}, lambda found: outcome, draw),
            [{}, {}],
            outcome,
            1.0,
        )
        for name in names()
    ]


def test_the_markdown_has_them_all() -> None:
    text = markdown(results(), "pictures/lab")
    for name in names():
        assert f"](#{name}) | {card(name).claim} | holds under conditions |" in text
        assert f"pictures/lab/{name}-dark.png" in text
    assert "| a \\| b | 1.5 (1 to 2) | – |" in text


def test_a_page_of_many_has_them_all() -> None:
    text = page(results())
    for name in names():
        assert f'href="#{name}"' in text
        assert f'<h2 id="{name}">' in text
    assert "Seen &lt;here&gt; &amp; there." in text
