"""Import Lightning without the optional packages that torchmetrics imports if installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from gdlightning.config.settings import Setting

UNUSED = ("matplotlib", "scipy")
"""Packages that torchmetrics imports for plots and audio metrics, which no task uses. They take a
quarter of the startup time. Other code can still import them."""
PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def import_lightning(merged: Mapping[str, Setting]) -> None:
    """Import Lightning, with all packages if the settings name user code, which may plot."""
    if "torchmetrics" in sys.modules:
        return
    if not names_code(merged):
        _import_torchmetrics()
    import lightning.pytorch  # noqa: F401


def names_code(merged: Mapping[str, Setting]) -> bool:
    """Return whether any setting is a module to import, or the path of a class."""
    return "imports" in merged or any(
        PATH.search(str(setting.value))
        for key, setting in merged.items()
        if key.endswith("name") or key == "callbacks"
    )


def _import_torchmetrics() -> None:
    import lightning_utilities.core.imports

    theirs: Any = lightning_utilities.core.imports

    def version(name: str) -> str:
        if name in UNUSED:
            raise theirs.PackageNotFoundError(name)
        found: str = known(name)
        return found

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name.partition(".")[0] in UNUSED else spec(name, package)

    known, spec = theirs._version, theirs.find_spec
    with patch.object(theirs, "_version", version), patch.object(theirs, "find_spec", find_spec):
        import torchmetrics  # noqa: F401
    theirs.package_available.cache_clear()
