"""The figures of ``gdl curvature`` as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gdlightning.runs.run_curvature import CAVEAT


def as_text(record: dict[str, Any]) -> str:
    """Return the figures as a table with their interpretation."""
    split = {"train": "training", "val": "validation"}[record["split"]]
    count, of = record["batches"], "" if record["of"] is None else f" of {record['of']:,}"
    return "\n".join(
        [
            f"{record['checkpoint']}, step {record['step']:,}: {record['parameters']:,} parameters",
            f"{record['examples']:,}{of} {split} examples in {count:,} batch"
            f"{'es' * (count > 1)}: loss {record['loss']:.4g}, "
            f"gradient norm {record['gradient_norm']:.3g}",
            "",
            *_table(record),
            "",
            *_stability(record),
            CAVEAT,
        ]
    )


def _table(record: dict[str, Any]) -> Iterator[str]:
    yield _line("", "value", "method", "examples")
    for key, name in {"top": "largest eigenvalues", "bottom": "smallest eigenvalues"}.items():
        for number, measured in enumerate(record[key]):
            yield _row("" if number else name, measured)
    yield _row("trace", record["trace"])
    yield _row("adaptive sharpness", record["adaptive_sharpness"])


def _row(name: str, measured: dict[str, Any]) -> str:
    sampling = measured["sampling"]
    apart = "all seen" if sampling == 0 else "?" if sampling is None else f"± {_short(sampling)}"
    line = _line(name, f"{measured['value']:.4g}", f"± {_short(measured['bound'])}", apart)
    return line if measured["converged"] else f"{line}  not converged: more --steps"


def _line(*cells: str) -> str:
    return f"{cells[0]:22}{cells[1]:>10}  {cells[2]:>9}  {cells[3]:>9}".rstrip()


def _short(error: float) -> str:
    return f"{error:,.0f}" if 10 <= error < 1e6 else f"{error:.2g}"


def _stability(record: dict[str, Any]) -> Iterator[str]:
    stands, name = record["stability"], record["optimizer"]
    if record["split"] != "train":
        return
    if stands is None:
        yield f"λ·lr is not known: {name} has no learning rate, or no state in the checkpoint."
        return
    now = f"λ·lr is {stands['product']['value']:.4g} at lr {stands['lr']:.3g}"
    peak = f"{stands['at_peak']['value']:.4g} at the peak of the schedule, {stands['peak']:.3g}"
    yield now if stands["lr"] == stands["peak"] else f"{now}, and would be {peak}"
    if stands["limit"] is None:
        yield (
            f"The stability limit of {name} is not known: "
            "its steps differ from one another, or are not linear in gradients."
        )
        return
    how = {"measured": " as measured", "2": ""}.get(stands["formula"], f" = {stands['formula']}")
    of = ", for λ of P^-½ H P^-½, where P is its preconditioner" if stands["divided"] else ""
    yield f"{name} is stable up to {stands['limit']:.4g}{how}{of}."
