"""The example configs that are installed with the package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "configs"


def shipped_configs() -> list[Path]:
    """Return the installed configs, sorted by name."""
    return sorted(FOLDER.glob("*.yaml"))


def find_config(path: str) -> Path:
    """Return the file of a config.

    Args:
        path: path of a file, or the name of an installed config, such as ``tabular``. A file of
            that name in the working directory comes first.
    """
    file = Path(path)
    if not file.exists() and file.name == path and not file.suffix:
        own = FOLDER / f"{path}.yaml"
        return own if own.is_file() else file
    return file
