"""Every verb is one file: help, completion and documentation are built from the files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

from gdlightning import cli

ROOT = Path(__file__).parents[2]
GREET = '''"""``gdl greet-me``."""
GROUP = "greetings"
SUMMARY = "Say hello"
USAGE = "gdl greet-me NAME"


def main(argv):
    print("Hello,", *argv)
    return 7
'''


def test_a_new_file_is_a_verb(gdl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verbs").mkdir()
    (tmp_path / "verbs" / "greet_me.py").write_text(GREET)
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path / "verbs")])
    done = gdl("greet-me", "Ada")
    assert (done.code, done.out) == (7, "Hello, Ada\n")
    assert "greetings:\n  greet-me" in gdl("--help").out
    assert "greet-me" in gdl("completion", "zsh").out
    assert "greet-me" in gdl("list", "verb").out
    assert "greet-me?" in gdl("greet-em").err


def test_every_verb_is_described() -> None:
    for verb in cli.verbs():
        assert verb.group in cli.GROUPS, verb
        assert verb.summary, verb
        assert f"gdl {verb.name}" in verb.usage, verb


def test_the_guide_has_the_table_of_verbs() -> None:
    """If this fails: print gdlightning.cli.table() and paste it into docs/guide.md."""
    assert f"\n{cli.table()}\n" in (ROOT / "docs" / "guide.md").read_text()


@pytest.mark.parametrize("verb", sorted(cli.verb_modules()))
def test_help_of_a_verb(verb: str, gdl: Run) -> None:
    helped, same = gdl("help", verb), gdl(verb, "--help")
    assert helped.code == 0
    assert helped.out == same.out
    assert "gdl" in helped.out
    assert "`" not in helped.out


def test_bash_completes_verbs(gdl: Run) -> None:
    script = gdl("completion", "bash").out
    for words, completed in {
        "gdl la": {"lab", "landscape"},
        "gdl help la": {"lab", "landscape"},
        "gdl fit la": {"latest.yaml"},
    }.items():
        Path("latest.yaml").touch()
        line = words.split()
        typed = f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}"
        code = f'{script}{typed}; _gdl; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == completed


def test_configs_are_listed(gdl: Run) -> None:
    Path("mine.yaml").write_text("# A config of this folder.\nmodel: gpt\n")
    found = {r["name"]: r["summary"] for r in gdl("list", "config", "--format", "json").json()}
    assert set(found) == {"mine.yaml", *(path.stem for path in CONFIGS.glob("*.yaml"))}
    assert found["vision"] == "Handwritten digits with a small residual network."
    assert found["mine.yaml"] == "A config of this folder."


def test_c_is_config(gdl: Run) -> None:
    config = str(CONFIGS / "tabular.yaml")
    short = gdl("fit", "-c", config, *QUIET, "--print_config")
    assert short.code == 0, short.err
    assert short.out == gdl("fit", "--config", config, *QUIET, "--print_config").out
