"""The clauses of the contract, each a function that raises ``Broken`` where it is not kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gdlightning.contract.problem import Digits, digits
from gdlightning.contract.trial import SHORT, Outcome, Trial
from gdlightning.optimizers.groups import Grouping, Rule
from gdlightning.optimizers.options import options

STEPS = 200
"""Steps in which an optimizer must have learned something."""
LEARNED = 0.05
"""Part of the first loss by which it must have fallen."""
MAX_NORM = 1e-3
"""A norm that every gradient of the task exceeds."""


class Broken(Exception):
    """A clause is not kept; the message says what was seen."""


def require(kept: bool, seen: str) -> None:
    """Raise ``Broken`` unless a clause is kept."""
    if not kept:
        raise Broken(seen)


@torch.no_grad()
def whole_loss(weights: dict[str, Tensor]) -> float:
    """The mean loss of all digits at some weights."""
    module = Digits()
    module.load_state_dict(weights)
    return float(module.loss(digits().take(torch.arange(len(digits())))))


def learns(trial: Trial) -> None:
    """200 steps at its defaults: finite losses, and the loss of all digits fell by a twentieth."""
    before, after = losses(trial)
    require(after < (1 - LEARNED) * before, f"the loss went from {before:.3g} to {after:.3g}")


def losses(trial: Trial) -> tuple[float, float]:
    """The loss of all digits before and after 200 steps at the defaults.

    Raises:
        Broken: a loss or a weight was not finite.
    """
    outcome = trial.run(STEPS)
    require(outcome.finite, "a loss or a weight was not finite")
    require(len(outcome.losses) == STEPS, f"{len(outcome.losses)} steps were made")
    return whole_loss(outcome.before), whole_loss(outcome.after)


def schedule(trial: Trial) -> None:
    """A change of the learning rate in the middle of training changes what follows."""
    require(trial.lr is not None, "it has no learning rate")
    changed = trial.run(lr_from=(SHORT // 2, 2.0))
    require(not same(trial.run(), changed), "twice the learning rate made the same steps")


def groups(trial: Trial) -> None:
    """A group's own learning rate and weight decay are obeyed."""
    if trial.lr is None:
        raise Broken("it has no learning rate")
    plain, faster = (  # groups with the same settings would be one, and sums another
        trial.run(grouping=Grouping(rules=[Rule("hidden.*", lr=factor * trial.lr)]))
        for factor in (1 + 1e-9, 2)
    )
    require(not same(plain, faster, "hidden"), "twice the group's learning rate changed nothing")
    if "weight_decay" not in options(trial.entry):
        return
    light, heavy = (
        trial.run(
            options={"weight_decay": 0.1},
            grouping=Grouping(rules=[Rule("hidden.weight", weight_decay=decay)]),
        )
        for decay in (1e-9, 0.5)
    )
    require(not same(light, heavy, "hidden"), "the group's weight decay changed nothing")


def clipping(trial: Trial) -> None:
    """Each step sees gradients that are clipped already."""
    clipped = trial.run(clip=MAX_NORM).clips
    require(len(clipped) >= SHORT, f"{len(clipped)} of {SHORT} steps were clipped")
    require(max(clipped) <= MAX_NORM * 1.001, f"a step saw a gradient of norm {max(clipped):.3g}")


def accumulation(trial: Trial) -> None:
    """Two accumulated halves of a batch make the step of the whole, as near as rounding lets them.

    Some methods make much of the last bit: eigenvectors of equal eigenvalues, line searches. So a
    third training, of the whole batch with gradients off by rounding errors, tells how far apart
    is near. In float64; in float32 where an optimizer takes nothing else.
    """
    precision, rounding = "64-true", 1e-15
    try:
        trial.run(2, precision=precision)
    except Exception:  # whatever a library raises
        precision, rounding = "32-true", 1e-7
    for steps in (2, SHORT):  # some make none before their estimates are good
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
    require(far <= max(1e-7, 10 * near), f"weights came out {far:.2g} apart")


def resume(trial: Trial) -> None:
    """From a checkpoint, loaded with ``weights_only``, 20 more steps with the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        whole = trial.run(40, folder=Path(folder, "whole"))
        middle = Path(folder, "whole", "previous-1.ckpt")
        resumed = trial.run(40, folder=Path(folder, "resumed"), resume=middle)
    require(len(resumed.losses) == 20, f"{len(resumed.losses)} steps were made after step 20")
    require(whole.finite and same(whole, resumed), "the steps after the checkpoint were others")


def no_gradient(trial: Trial) -> None:
    """A parameter that no loss reaches is left alone."""
    outcome = trial.run(unused=True)
    require(outcome.moved() and not outcome.moved("unused"), "a weight without gradient moved")


def frozen(trial: Trial) -> None:
    """A frozen parameter is not touched."""
    outcome = trial.run(grouping=Grouping(freeze=["output.*"]))
    require(outcome.moved() and not outcome.moved("output"), "a frozen weight moved")


def bf16(trial: Trial) -> None:
    """Parameters in bfloat16 are trained, and stay so."""
    outcome = trial.run(precision="bf16-true")
    kinds = {v.dtype for v in outcome.after.values()}
    require(kinds == {torch.bfloat16}, f"weights became {', '.join(map(str, kinds))}")
    require(outcome.finite and outcome.moved(), "weights did not move, or not to finite values")


def same(one: Outcome, other: Outcome, prefix: str = "") -> bool:
    """Whether two trainings ended with the same bits."""
    return all(torch.equal(a, b) for a, b in pairs(one, other, prefix))


def distance(one: Outcome, other: Outcome) -> float:
    """The root mean square of the differences of the weights of two trainings."""
    apart = torch.cat([(a - b).flatten().double() for a, b in pairs(one, other)])
    return float(apart.square().mean().sqrt())


def pairs(one: Outcome, other: Outcome, prefix: str = "") -> list[tuple[Tensor, Tensor]]:
    """The weights of two trainings beside each other."""
    return [(v, other.after[k]) for k, v in one.after.items() if k.startswith(prefix)]


ALONE: dict[str, Callable[[Trial], None]] = {
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
"""The clauses that one process can try; ``ddp`` takes two."""
