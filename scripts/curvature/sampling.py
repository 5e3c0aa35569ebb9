"""Check the error estimates of ``gdl curvature`` by comparing few batches with all batches.

RUN is a run folder.

    python scripts/curvature/sampling.py RUN --batches 4 --draws 40
"""

from __future__ import annotations

import argparse
import math

import torch

from gdlightning.curvature.curvature_report import MeasuredValue, Report, examine
from gdlightning.curvature.hessian import Hessian
from gdlightning.runs.quiet import quiet
from gdlightning.runs.run_hessian import subject


def figures(report: Report) -> dict[str, MeasuredValue]:
    return {
        "largest eigenvalue": report.top[0],
        "second": report.top[1],
        "smallest": report.bottom[0],
        "trace": report.trace,
        "adaptive sharpness": report.adaptive,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--draws", type=int, default=40)
    given = parser.parse_args()
    quiet()
    found = subject(given.run)
    whole, sizes = found.hessian, found.hessian.weights * found.count
    wanted = figures(examine(whole, top=2, bottom=1, seen=1.0))
    apart: dict[str, list[tuple[float, float]]] = {name: [] for name in wanted}
    generator = torch.Generator().manual_seed(0)
    for _ in range(given.draws):
        drawn = torch.randperm(len(sizes), generator=generator)[: given.batches].tolist()
        batches = [whole.batches[k] for k in drawn]
        counts = [round(float(sizes[k])) for k in drawn]
        part = Hessian(whole.loss, whole.parameters, batches, counts)
        seen = sum(counts) / found.count
        for name, own in figures(examine(part, top=2, bottom=1, seen=seen)).items():
            error = math.hypot(own.sampling or 0.0, own.bound)
            apart[name].append((own.value - wanted[name].value, error))
    print(f"{given.batches} of {len(sizes)} batches, {given.draws} draws")
    print("| quantity | all | mean of draws | reported error | within 2 errors |")
    print("|---|---|---|---|---|")
    for name, rows in apart.items():
        off, told = torch.tensor(rows).T
        within = (off.abs() < 2 * told).float().mean()
        mean = wanted[name].value + float(off.mean())
        print(
            f"| {name} | {wanted[name].value:.3g} | {mean:.3g} | ± {told.mean():.2g} "
            f"| {within:.0%} |"
        )


if __name__ == "__main__":
    main()
