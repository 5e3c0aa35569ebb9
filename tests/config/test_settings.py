"""Settings are read from files and flags; errors name the origin of the setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

from gdlightning.config.settings import MAX_YAML_VALUES, Setting, located, read_yaml
from gdlightning.errors import UserError

TABULAR = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET)

TOO_LARGE = {
    "list": "imports: [" + "a, " * 5_000 + "a]",
    "keys": "\n".join(f"key{k}: 1" for k in range(2_500)),
    "aliases": "a: &a [" + "1, " * 99 + "1]\nb: [" + "*a, " * 50 + "*a]",
    "nested aliases": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "\n".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 10)}]" for x, y in ("ab", "bc", "cd")),
    "merges": "a: &a {"
    + ", ".join(f"k{n}: 1" for n in range(100))
    + "}\n"
    + "\n".join(f"b{n}: {{<<: *a}}" for n in range(30)),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_at_most_5000_values_after_anchors_and_merges(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_YAML_VALUES == 5_000  # promised by docs/security.md
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(TOO_LARGE[case])
    with pytest.raises(UserError, match=r"^c\.yaml has more than 5,000 values"):
        read_yaml("c.yaml")


def test_a_file_below_the_limit_is_read(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: &a [" + "1, " * 1_000 + "1]\nb: [*a, *a, *a]")
    assert sum(map(len, read_yaml(str(file))["b"])) == 3 * 1_001
    file.write_text("a: &a [*a]")
    with pytest.raises(UserError, match="anchor that refers to itself"):
        read_yaml(str(file))


def origin(key: str | tuple[str, ...], given: dict[str, str]) -> str | None:
    settings = {k: Setting(k, None, where) for k, where in given.items()}
    return located(UserError("wrong", key=key), settings).file


def test_the_origin_is_that_of_the_key_and_never_guessed() -> None:
    given = {"data.path": "a.yaml", "data.target": "b.yaml", "clip.name": "c.yaml"}
    assert origin("data.target", given) == "b.yaml"
    assert origin(("data.id", "data.path"), given) == "a.yaml"
    assert origin("clip", given) == "c.yaml"
    assert origin("data", given) is None
    assert origin("optimizer.lr", given) is None
    assert located(UserError("data.path is wrong"), {}).file is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.lr", "-1"),
        ("optimizer.lr", "fast"),
        ("schedule.warmup", "-3"),
        ("guard.patience", "0"),
        ("monitor.every", "-1"),
        ("checkpoint.every_n_steps", "0"),
        ("groups.layer_decay", "2"),
        ("groups.freeze", "[nothing.*]"),
        ("data.batch_size", "0"),
        ("model.net.hidden", "[0]"),
        ("model.label_smoothing", "2"),
        ("trainer.devices", "-7"),
        ("init_from", "nowhere"),
        ("seed", "-1"),
        ("callbacks", "[nope]"),
        ("loggers", "[nope]"),
    ],
)
def test_errors_name_the_file_or_the_command_line(key: str, value: str, gdl: Run) -> None:
    tree = value
    for part in reversed(key.split(".")):
        tree = f"{{{part}: {tree}}}"
    Path("own.yaml").write_text(tree)
    in_file = gdl("fit", *TABULAR, "--config", "own.yaml")
    assert in_file.code == 2
    assert "in own.yaml)" in in_file.err
    on_line = gdl("fit", *TABULAR, f"--{key}={value}")
    assert on_line.code == 2
    assert "on the command line)" in on_line.err
