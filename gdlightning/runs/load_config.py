"""A command line with its config files, read and checked."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from gdlightning.config.early_checks import check_glance, is_auto
from gdlightning.config.expand_paths import expand
from gdlightning.config.given_objects import Objects
from gdlightning.config.optimizer_transfer import transferred
from gdlightning.config.schema import Config, General, check
from gdlightning.config.settings import FIXED, NAMED, Setting, displaced, merge, placed, read_flags

PATHS = ("run_root", "init_from", "resume")
"""General options that are paths."""


SWITCHES = {"debug", "help", "h", "print_config"}


def load(argv: list[str]) -> tuple[Config, dict[str, Any]]:
    """Read and check a command line with its config files.

    Returns:
        The config, and the switches (``debug``, ``help``, …).

    Raises:
        UserError: whatever can be found wrong before anything is built.
    """
    switches = SWITCHES | {f"{s}.help" for s in (*NAMED, "trainer", *FIXED)}
    settings, found = read_flags(argv, switches)
    files = _config_files(argv)
    return resolve(settings, files[-1] if files else ""), found


def resolve(settings: list[Setting], file: str = "", objects: Objects | None = None) -> Config:
    """Merge and check settings.

    Args:
        settings: the settings, in the order in which they were given.
        file: config file that names the run, unless a setting does.
        objects: Python objects that settings name but cannot store, by dotted key.

    Raises:
        UserError: whatever can be found wrong before anything is built.
    """
    merged = merge(settings)
    note = transferred(merged, displaced(settings, "optimizer"))
    if "name" not in merged and file:
        merged["name"] = Setting("name", Path(file).stem, file)
    check_glance(merged, General)
    if is_auto(merged):
        from gdlightning.runs.auto_optimizer import settle

        merged, note = settle(merged, objects)
    config = check(merged, objects)
    config.note = note
    for key in PATHS:
        if config.values[key] is not None:
            with placed(merged.get(key)):
                config.values[key] = expand(config.values[key], key)
    return config


def _config_files(argv: list[str]) -> list[str]:
    files = [b for a, b in pairwise(argv) if a == "--config"]
    return files + [a.partition("=")[2] for a in argv if a.startswith("--config=")]
