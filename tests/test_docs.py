"""Every code block and command of README and docs runs as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *kinds: str) -> list[str]:
    """Return the code blocks of the given languages, in order."""
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind in kinds]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "bash")], ids=lambda p: p.name)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    for line in "".join(blocks(page, "bash")).splitlines():
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, line


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "blocks.py"
    script.write_text("\n\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_yaml_blocks_are_configs(tmp_path: Path) -> None:
    found = [text for page in PAGES for text in blocks(page, "yaml")]
    assert found
    for text in found:
        config = yaml.safe_load((ROOT / "configs" / "tabular.yaml").read_text())
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config | yaml.safe_load(text)))
        done = subprocess.run(
            [sys.executable, "-m", "gdlightning", "fit", "--config", str(path), "--print_config"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_other_blocks_are_the_make_commands() -> None:
    """Blocks without a language are not run here: the make commands and the way by hand, which
    the checks of a clean checkout run."""
    for page in PAGES:
        for text in blocks(page, ""):
            for line in text.splitlines():
                first = shlex.split(line, comments=True)[:1]
                assert first in ([], ["make"], ["python3"], ["pip"]), line
    makefile = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in makefile
    assert "\ntest:" in makefile


def test_the_config_of_the_readme_is_the_installed_one() -> None:
    assert (ROOT / "configs" / "tabular.yaml").read_text() in blocks(ROOT / "README.md", "yaml")
