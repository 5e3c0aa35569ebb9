"""Clauses of the contract: functions that raise ``Broken`` if an optimizer violates them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gdlightning.conformance.problem import Digits, digits
from gdlightning.conformance.training_check import SHORT, CheckedRun, TrainingCheck
from gdlightning.optimizers.groups import Grouping, Rule
from gdlightning.optimizers.options import options

STEPS = 200
"""Number of steps within which an optimizer must reduce the loss."""
MIN_REDUCTION = 0.05
"""Minimum reduction of the loss, relative to the initial loss."""
MAX_NORM = 1e-3
"""Maximum norm for clipping, which every gradient of the task exceeds."""


class Broken(Exception):
    """Violation of a clause; the message describes the observation."""


def require(kept: bool, seen: str) -> None:
    """Raise ``Broken`` unless a condition holds.

    Args:
        kept: condition of the clause.
        seen: observation otherwise.
    """
    if not kept:
        raise Broken(seen)


@torch.no_grad()
def whole_loss(weights: dict[str, Tensor]) -> float:
    """Return the mean loss of all digits for some weights."""
    module = Digits()
    module.load_state_dict(weights)
    return float(module.loss(digits().take(torch.arange(len(digits())))))


def learns(trial: TrainingCheck) -> None:
    """Check that 200 steps with default settings have finite losses and reduce the loss by 5%."""
    before, after = losses(trial)
    require(after < (1 - MIN_REDUCTION) * before, f"the loss went from {before:.3g} to {after:.3g}")


def losses(trial: TrainingCheck) -> tuple[float, float]:
    """Return the loss of all digits before and after 200 steps with default settings.

    Raises:
        Broken: if a loss or weight is not finite.
    """
    outcome = trial.run(STEPS)
    require(outcome.finite, "a loss or a weight was not finite")
    require(len(outcome.losses) == STEPS, f"only {len(outcome.losses)} steps were performed")
    return whole_loss(outcome.before), whole_loss(outcome.after)


def schedule(trial: TrainingCheck) -> None:
    """Check that changing the learning rate during training affects the following steps."""
    require(trial.lr is not None, "it has no learning rate")
    changed = trial.run(lr_from=(SHORT // 2, 2.0))
    require(not same(trial.run(), changed), "doubling the learning rate had no effect")


def groups(trial: TrainingCheck) -> None:
    """Check that the learning rate and weight decay of a group take effect."""
    if trial.lr is None:
        raise Broken("it has no learning rate")
    plain, faster = (  # equal settings would merge the groups, which changes the rounding
        trial.run(grouping=Grouping(rules=[Rule("hidden.*", lr=factor * trial.lr)]))
        for factor in (1 + 1e-9, 2)
    )
    require(not same(plain, faster, "hidden"), "the group's learning rate had no effect")
    if "weight_decay" not in options(trial.entry):
        return
    light, heavy = (
        trial.run(
            options={"weight_decay": 0.1},
            grouping=Grouping(rules=[Rule("hidden.weight", weight_decay=decay)]),
        )
        for decay in (1e-9, 0.5)
    )
    require(not same(light, heavy, "hidden"), "the group's weight decay had no effect")


def clipping(trial: TrainingCheck) -> None:
    """Check that each step uses clipped gradients."""
    clipped = trial.run(clip=MAX_NORM).clips
    require(len(clipped) >= SHORT, f"{len(clipped)} of {SHORT} steps were clipped")
    require(max(clipped) <= MAX_NORM * 1.001, f"a step used a gradient of norm {max(clipped):.3g}")


def accumulation(trial: TrainingCheck) -> None:
    """Check that two accumulated halves of a batch give the same step as the whole batch.

    Some methods amplify the last bit, such as eigenvectors of equal eigenvalues and line searches.
    A third run, on the whole batch with rounding errors added to the gradients, sets the tolerance.
    Runs are in float64, or in float32 if the optimizer does not support it.
    """
    precision, rounding = "64-true", 1e-15
    try:
        trial.run(2, precision=precision)
    except Exception:  # third-party optimizers may raise anything
        precision, rounding = "32-true", 1e-7
    for steps in (2, SHORT):  # some skip steps until their estimates are reliable
        whole = trial.run(steps, precision=precision)
        if whole.moved():
            break
    halves = trial.run(steps, accumulate=2, precision=precision)
    rounded = trial.run(steps, noise=rounding, precision=precision)
    require(
        whole.moved() and abs(whole.clips[0] / halves.clips[0] - 1) < 100 * rounding,
        "the gradient was not that of the whole batch",
    )
    far, near = distance(whole, halves), distance(whole, rounded)
    require(far <= max(1e-7, 10 * near), f"the weights differ by {far:.2g}")


def resume(trial: TrainingCheck) -> None:
    """Check that 20 more steps after a checkpoint are bitwise identical.

    The checkpoint is loaded with ``weights_only``.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole = trial.run(40, folder=Path(folder, "whole"))
        middle = Path(folder, "whole", "previous-1.ckpt")
        resumed = trial.run(40, folder=Path(folder, "resumed"), resume=middle)
    require(len(resumed.losses) == 20, f"{len(resumed.losses)} steps were performed after step 20")
    require(whole.finite and same(whole, resumed), "the steps after the checkpoint differ")


def no_gradient(trial: TrainingCheck) -> None:
    """Check that a parameter without a gradient does not change."""
    outcome = trial.run(unused=True)
    require(outcome.moved() and not outcome.moved("unused"), "a weight without gradient changed")


def frozen(trial: TrainingCheck) -> None:
    """Check that a frozen parameter does not change."""
    outcome = trial.run(grouping=Grouping(freeze=["output.*"]))
    require(outcome.moved() and not outcome.moved("output"), "a frozen weight changed")


def bf16(trial: TrainingCheck) -> None:
    """Check that bfloat16 parameters are trained and keep their dtype."""
    outcome = trial.run(precision="bf16-true")
    kinds = {v.dtype for v in outcome.after.values()}
    require(kinds == {torch.bfloat16}, f"the weights became {', '.join(map(str, kinds))}")
    require(outcome.finite and outcome.moved(), "the weights did not change or are not finite")


def same(one: CheckedRun, other: CheckedRun, prefix: str = "") -> bool:
    """Return whether the weights of two runs are bitwise identical."""
    return all(torch.equal(a, b) for a, b in pairs(one, other, prefix))


def distance(one: CheckedRun, other: CheckedRun) -> float:
    """Return the root mean square difference of the weights of two runs."""
    apart = torch.cat([(a - b).flatten().double() for a, b in pairs(one, other)])
    return float(apart.square().mean().sqrt())


def pairs(one: CheckedRun, other: CheckedRun, prefix: str = "") -> list[tuple[Tensor, Tensor]]:
    """Return pairs of weights of two runs."""
    return [(v, other.after[k]) for k, v in one.after.items() if k.startswith(prefix)]


ALONE: dict[str, Callable[[TrainingCheck], None]] = {
    "learns": learns,
    "schedule": schedule,
    "groups": groups,
    "clipping": clipping,
    "accumulation": accumulation,
    "resume": resume,
    "no-gradient": no_gradient,
    "frozen": frozen,
    "bf16": bf16,
}
"""Clauses that a single process can check; ``ddp`` needs two."""
