"""Self-contained HTML pages with text, tables and figures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any

from gdlightning.drawing.style import DARK, LIGHT, Theme

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --muted: #666d75;
  --rule: #dfe3e8; --panel: #f6f8fa; --accent: #2a78d6; --good: #00795a; --fair: #a85b00;
  --bad: #b4303f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e6e8eb;
  --muted: #9aa3ad; --rule: #2f353d; --panel: #1b1f26; --accent: #6aa9f0; --good: #3fc79a;
  --fair: #f0a04b; --bad: #f0808c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 2.5rem 1.5rem 5rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans",
  sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; padding-top: .8rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 46rem; } p.lead { color: var(--muted); margin-top: 0; }
a { color: var(--accent); }
figure { margin: 1.2rem 0; } figure img, figure svg { max-width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .9rem; max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; margin: .8rem 0; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th { color: var(--muted); font-weight: 600; } td.number, th.number { text-align: right;
  font-variant-numeric: tabular-nums; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; }
pre { background: var(--panel); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
"""


def page(title: str, *parts: str, lead: str = "", head: str = "") -> str:
    """Return a complete HTML page.

    Args:
        title: title of the page; plain text.
        parts: HTML of the body, in order.
        lead: line below the title; plain text.
        head: additional HTML of the head, such as a style or script.
    """
    intro = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>{head}</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{intro}\n{body}\n</body></html>\n"
    )


def escape(text: object) -> str:
    """Escape text for HTML."""
    return html.escape(str(text))


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def code(text: str) -> str:
    """Return a block of code or commands."""
    return f"<pre>{escape(text)}</pre>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of plain values; columns of numbers are right-aligned."""
    lines = [list(row) for row in rows]
    numeric = [
        all(isinstance(line[k], int | float) for line in lines) and bool(lines)
        for k in range(len(header))
    ]
    mark = [' class="number"' if n else "" for n in numeric]
    top = "".join(f"<th{m}>{escape(h)}</th>" for h, m in zip(header, mark, strict=True))
    cells = [
        "".join(f"<td{m}>{_cell(v)}</td>" for v, m in zip(line, mark, strict=True))
        for line in lines
    ]
    body = "".join(f"<tr>{line}</tr>" for line in cells)
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{whole}</div>'


def picture(draw: Callable[[Theme], Any], alt: str, caption: str = "") -> str:
    """Return a figure with variants for light and dark pages.

    Args:
        draw: function from a theme to a matplotlib figure.
        alt: alternative text.
        caption: text below the figure; plain text.
    """
    light, dark = (_png(draw(theme)) for theme in (LIGHT, DARK))
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{escape(alt)}"></picture>{below}</figure>'
    )


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor=figure.get_facecolor())
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(value)


def script(package: str, name: str) -> str:
    """Return a JavaScript file of a package as a script element."""
    code = files(package).joinpath(name).read_text(encoding="utf-8")
    return f"<script>\n{code}</script>"
