"""Optimizers with quantised states, from torchao and bitsandbytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdlightning.optimizers.entry import Entry

BLOCKWISE = "https://arxiv.org/abs/2110.02861"
ADAM = "https://arxiv.org/abs/1412.6980"
ADAMW = "https://arxiv.org/abs/1711.05101"
MOMENTS = "m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²"
DECOUPLED = f"{MOMENTS}; θ ← θ − η(m̂/(√v̂+ε) + λθ)"
COUPLED = f"g ← g + λθ; {MOMENTS}; θ ← θ − ηm̂/(√v̂+ε)"
EMPTY: Mapping[str, Any] = {}

TORCHAO = tuple(
    Entry(
        name=f"torchao:{name}-{bits}",
        target=f"torchao.optim:{cls}{suffix}",
        summary=f"{title} with {bits.replace('bit', '-bit')} moments",
        family="low-memory",
        use="As adamw, when its state does not fit in memory; only tensors with at least 4096 "
        "elements benefit.",
        paper=paper,
        rule=f"{rule}\nm and v are stored in blocks, {how}",
        defaults={"weight_decay": 0.01} if name == "adamw" else {},
        aliases=(f"{name}-{bits}",) if f"{name}-{bits}" != "adamw-8bit" else (),
    )
    for name, cls, title, rule in (
        ("adam", "Adam", "Adam", COUPLED),
        ("adamw", "AdamW", "AdamW", DECOUPLED),
    )
    for bits, suffix, paper, how in (
        ("8bit", "8bit", BLOCKWISE, "each value an 8-bit code times the maximum of its block"),
        ("4bit", "4bit", "https://arxiv.org/abs/2309.01507", "each value a 4-bit code"),
        ("fp8", "Fp8", "https://arxiv.org/abs/2209.05433", "as float8 times a scale"),
    )
)

# Callables, options of other classes, and options that the library rejects or ignores.
UNREAD = (
    "args",
    "optim_bits",
    "is_paged",
    "amsgrad",
    "nesterov",
    "dampening",
    "centered",
    "lr_decay",
    "initial_accumulator_value",
    "bias_correction",
    "adam_w_mode",
)
NO_RATIO = "With 8-bit states there is no trust ratio: the step is that of {}"


def _bitsandbytes(
    name: str,
    cls: str,
    summary: str,
    family: str,
    paper: str,
    rule: str,
    *,
    pages: bool = False,
    defaults: Mapping[str, Any] = EMPTY,
    hidden: tuple[str, ...] = (),
    deviation: str = "",
    without: str = "",
) -> tuple[Entry, ...]:
    """Return the entries of an optimizer with 32-bit and 8-bit states, and paged ones if any."""
    return tuple(
        Entry(
            name=f"bitsandbytes:{'paged-' * paged}{name}{'-8bit' * eight}",
            target=f"bitsandbytes.optim:{'Paged' * paged}{cls}{'8bit' * eight}",
            summary=summary + "; 8-bit states" * eight + "; paged to CPU memory" * paged,
            family="low-memory" if eight or paged else family,
            use="When the optimizer state does not fit in memory; only tensors with at least 4096"
            " elements benefit."
            if eight or paged
            else "",
            paper=BLOCKWISE if eight else paper,
            rule=rule,
            deviation=NO_RATIO.format(without) if eight and without else deviation,
            licence="MIT",
            defaults=defaults,
            aliases=(f"{'paged-' * paged}{name}{'-8bit' * eight}",)
            if (eight or paged) and (name, paged) != ("adam", False)
            else (),
            hidden=UNREAD + hidden,
            device="cuda" if paged else "",
        )
        for eight in (False, True)
        for paged in ((False, True) if pages else (False,))
    )


BITSANDBYTES = (
    *_bitsandbytes(
        "adagrad",
        "Adagrad",
        "steps scaled by the sum of squared gradients",
        "adaptive",
        "https://jmlr.org/papers/v12/duchi11a.html",
        "g ← g + λθ; v ← v + g²; θ ← θ − ηg/(√v+ε)",
    ),
    *_bitsandbytes(
        "adam",
        "Adam",
        "Adam, without weight decay by default",
        "adaptive",
        ADAM,
        DECOUPLED,
        pages=True,
        deviation="Weight decay is decoupled, as in AdamW, instead of added to the gradient",
    ),
    *_bitsandbytes(
        "adamw",
        "AdamW",
        "Adam with decoupled weight decay",
        "adaptive",
        ADAMW,
        DECOUPLED,
        pages=True,
    ),
    *_bitsandbytes(
        "ademamix",
        "AdEMAMix",
        "Adam with a second, slow momentum",
        "adaptive",
        "https://arxiv.org/abs/2409.03137",
        "m₁, v as in Adam; m₂ ← β₃m₂ + (1−β₃)g\nθ ← θ − η((m̂₁ + αm₂)/(√v̂+ε) + λθ)",
        pages=True,
    ),
    *_bitsandbytes(
        "lamb",
        "LAMB",
        "Adam with a bounded step per layer",
        "adaptive",
        "https://arxiv.org/abs/1904.00962",
        f"{MOMENTS}; u = m̂/(√v̂+ε)\nθ ← θ − η(min(1, τ|θ|/|u|)u + λθ)",
        deviation="The trust ratio can only shorten a step; weight decay is applied outside of it",
        without="bitsandbytes:adamw-8bit",
    ),
    *_bitsandbytes(
        "lars",
        "LARS",
        "momentum with a bounded step per layer",
        "momentum",
        "https://arxiv.org/abs/1708.03888",
        "m ← βm + g + λθ; θ ← θ − η·min(1, τ|θ|/|m|)·m",
        defaults={"lr": 0.1, "momentum": 0.9},
        deviation="The trust ratio is applied after momentum and can only shorten a step",
        without="bitsandbytes:sgd-8bit",
    ),
    *_bitsandbytes(
        "lion",
        "Lion",
        "sign of an interpolated momentum",
        "sign",
        "https://arxiv.org/abs/2302.06675",
        "u = sign(β₁m + (1−β₁)g); θ ← θ − η(u + λθ); m ← β₂m + (1−β₂)g",
        pages=True,
    ),
    *_bitsandbytes(
        "rmsprop",
        "RMSprop",
        "steps scaled by a mean of squared gradients",
        "adaptive",
        "https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        "g ← g + λθ; v ← αv + (1−α)g²; θ ← θ − ηg/(√v+ε)",
        defaults={"lr": 1e-3},
        hidden=("momentum",),
    ),
    *_bitsandbytes(
        "sgd",
        "SGD",
        "gradient descent with momentum",
        "momentum",
        "https://doi.org/10.1016/0041-5553(64)90137-5",
        "m ← βm + g + λθ; θ ← θ − ηm",
        defaults={"lr": 0.1, "momentum": 0.9},
    ),
)

ENTRIES = (*TORCHAO, *BITSANDBYTES)
