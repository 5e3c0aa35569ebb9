"""Reports of experiments: an HTML page, and Markdown for the documentation."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gdlightning.drawing import page as html
from gdlightning.drawing.style import DARK, LIGHT, save
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, Effect
from gdlightning.lab.experiment import Card
from gdlightning.lab.run_experiments import Result
from gdlightning.storage.atomic_write import write_json, write_text

COLOUR = {ClaimVerdict.HOLDS: "good", ClaimVerdict.CONDITIONS: "fair", ClaimVerdict.NOT_HERE: "bad"}
LEAD = "Reproducible experiments with effect sizes, their spread over seeds, and a verdict."


def write(result: Result, folder: Path) -> None:
    """Write the record of an experiment as JSON, its figure in both themes, and its page."""
    name = result.card.name
    write_json(folder / f"{name}.json", record(result))
    for theme, mark in ((LIGHT, ""), (DARK, "-dark")):
        save(result.experiment.draw(result.found, theme), folder / f"{name}{mark}.png", dpi=130)
    write_text(folder / f"{name}.html", page([result]))


def record(result: Result) -> dict[str, Any]:
    """Return a result as plain values."""
    card, outcome = result.card, result.outcome
    return {
        **described(card),
        "verdict": outcome.verdict.value,
        "words": outcome.words,
        "effects": [
            {"what": e.what, "unit": e.unit, "values": list(e.values), "expected": e.expected}
            for e in outcome.effects
        ],
        "seconds": result.seconds,
    }


def described(card: Card) -> dict[str, Any]:
    """Return the description of an experiment as plain values."""
    return {
        "name": card.name,
        "claim": card.claim,
        "setup": card.setup,
        "source": card.source,
        "seeds": card.seeds,
    }


def page(results: Sequence[Result]) -> str:
    """Return a page of one experiment, or of several with an overview."""
    if len(results) == 1:
        only = results[0]
        return html.page(only.card.title, *_body(only), lead=only.card.claim)
    parts = [_overview(results)]
    for result in results:
        name = result.card.name
        parts += [
            f'<h2 id="{name}">{html.escape(result.card.title)}</h2>',
            f"<p><strong>{html.escape(result.card.claim)}</strong></p>",
            *_body(result),
        ]
    return html.page("Claims about gradient descent", *parts, lead=LEAD)


def _overview(results: Sequence[Result]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{r.card.name}">{html.escape(r.card.title)}</a></td>'
        f"<td>{html.escape(r.card.claim)}</td><td>{_badge(r.outcome)}</td></tr>"
        for r in results
    )
    head = "<thead><tr><th>experiment</th><th>claim</th><th>verdict</th></tr></thead>"
    return f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>'


def _badge(outcome: Conclusion) -> str:
    return f'<strong class="{COLOUR[outcome.verdict]}">{outcome.verdict.value}</strong>'


def _body(result: Result) -> list[str]:
    card, outcome = result.card, result.outcome
    return [
        f"<p>{_badge(outcome)}. {html.escape(outcome.words)}</p>",
        html.picture(lambda theme: result.experiment.draw(result.found, theme), card.claim),
        html.table(
            ("quantity", f"median of {len(result.found)} seeds (range)", "expected"),
            [(e.what, str(e), e.expected or "–") for e in outcome.effects],
        ),
        *map(html.paragraph, card.setup.split("\n\n")),
        html.paragraph(f"Source of the claim: {card.source}"),
        html.code(f"gdl lab run {shlex.quote(card.name)}"),
    ]


def markdown(results: Sequence[Result], pictures: str) -> str:
    """Return the report as Markdown.

    Args:
        results: results of all experiments.
        pictures: folder of the figures, as a link relative to the text.
    """
    table = ["| experiment | claim | verdict |", "|---|---|---|"]
    parts = []
    for result in results:
        card, outcome = result.card, result.outcome
        figure, seeds = f"{pictures}/{card.name}", len(result.found)
        table.append(f"| [{card.title}](#{card.name}) | {card.claim} | {outcome.verdict.value} |")
        parts.append(
            f'## {card.title}\n\n<a id="{card.name}"></a>\n\n**{card.claim}** Verdict: '
            f"**{outcome.verdict.value}**. {outcome.words}\n\n"
            f"<picture>\n"
            f'<source srcset="{figure}-dark.png" '
            f'media="(prefers-color-scheme: dark)">\n'
            f'<img src="{figure}.png" alt="{html.escape(card.claim)}">\n</picture>\n\n'
            f"| quantity | median of {seeds} seeds (range) | expected |\n|---|---|---|\n"
            + "".join(map(_line, outcome.effects))
            + f"\n{card.setup}\n\nSource of the claim: {card.source}\n"
        )
    return "\n".join(table) + "\n\n" + "\n".join(parts)


def _line(one: Effect) -> str:
    cells = (one.what, str(one), one.expected or "–")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
