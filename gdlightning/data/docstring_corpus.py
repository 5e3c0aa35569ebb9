"""Labelled text available on every machine: the docstrings of installed libraries."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

SOURCES = {
    "python": "collections",
    "numpy": "numpy",
    "torch": "torch.nn",
    "lightning": "lightning.pytorch",
    "torchmetrics": "torchmetrics",
}
"""Package whose folder is searched, by class. For Python, it is the standard library."""

DOCSTRING = re.compile(r'^[ \t]*r?"""(.+?)"""', re.MULTILINE | re.DOTALL)


def docstrings(limit: int = 800) -> tuple[list[str], list[str]]:
    """Collect docstrings and the library of each.

    Files are read, not imported. The names of the libraries are removed from the text.

    Args:
        limit: The maximum number of texts per library.

    Returns:
        The texts and the library of each.
    """
    names = re.compile(rf"\b({'|'.join(SOURCES)}|np|pl|pytorch)\b", re.IGNORECASE)
    texts: list[str] = []
    labels: list[str] = []
    for label, package in SOURCES.items():
        seen: set[str] = set()
        for file in _files(package, label == "python"):
            source = file.read_text(encoding="utf-8", errors="replace")
            for match in DOCSTRING.finditer(source):
                text = names.sub(" ", " ".join(match[1].split()))[:600]
                if len(text) >= 80 and text not in seen and len(seen) < limit:
                    seen.add(text)
            if len(seen) >= limit:
                break
        texts += sorted(seen)
        labels += [label] * len(seen)
    return texts, labels


def _files(package: str, whole_library: bool) -> list[Path]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent
    found = sorted((folder.parent if whole_library else folder).rglob("*.py"))
    other = {"site-packages", "dist-packages", "test", "tests"} if whole_library else {"tests"}
    return [p for p in found if not other & set(p.parts)]
