"""Results as small HTML fragments for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gdlightning.diagnostics.diagnose import MARKS
from gdlightning.diagnostics.verdict import Verdict


def metrics_table(title: str, metrics: Mapping[str, Any]) -> str:
    """Return a table with one row per metric."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{_shown(value)}</td></tr>"
        for name, value in metrics.items()
    )
    head = f"<caption>{escape(title)}</caption>"
    return f"<table>{head}<tr><th>metric</th><th>value</th></tr>{rows}</table>"


def verdicts_list(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as a list: title, evidence, advice."""
    if not verdicts:
        return "<p>No findings.</p>"
    return f"<ul>{''.join(map(_verdict, verdicts))}</ul>"


def _verdict(verdict: Verdict) -> str:
    inner = [*verdict.evidence, *(f"→ {text}" for text in verdict.advice)]
    items = "".join(f"<li>{escape(text)}</li>" for text in inner)
    head = f"{MARKS[verdict.severity]} {verdict.severity}: {verdict.title}"
    return f"<li><b>{escape(head)}</b><ul>{items}</ul></li>"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
