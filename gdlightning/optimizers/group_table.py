"""Parameter groups as a table for the terminal and for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence

from gdlightning.optimizers.build import Part

HEADINGS = ("optimizer", "kind", "tensors", "parameters", "lr", "weight decay", "e.g.")


def rows(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """Return one row per group, as text."""
    found: list[tuple[str, ...]] = []
    for part in parts:
        for g in part.groups:
            lr = g.lr if g.lr is not None else (part.lr or 0.0) * g.lr_factor
            count = sum(p.numel() for p in g.params)
            decay = "-" if g.weight_decay is None else f"{g.weight_decay:g}"
            found.append(
                (
                    part.optimizer,
                    g.kind,
                    str(len(g.params)),
                    f"{count:,}",
                    f"{lr:.4g}",
                    decay,
                    g.names[0],
                )
            )
    return found


def table(parts: Sequence[Part], markdown: bool = False) -> str:
    """Return the table as aligned text or Markdown."""
    lines = [HEADINGS, *rows(parts)]
    if markdown:
        text = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([text[0], "|" + "---|" * len(HEADINGS), *text[1:]])
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADINGS))]
    right = {2, 3, 4, 5}
    return "\n".join(
        "  ".join(
            c.rjust(w) if k in right else c.ljust(w)
            for k, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
