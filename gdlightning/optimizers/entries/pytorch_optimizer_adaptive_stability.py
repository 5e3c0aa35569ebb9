"""Adaptive optimizers of pytorch-optimizer that limit or rescale steps or change the decay."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="adabound",
        target="pytorch_optimizer:AdaBound",
        summary="Adam with step bounds that tighten until it becomes SGD",
        family="adaptive",
        paper="https://openreview.net/forum?id=Bkg3g2R9FX",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  a = η √(1−β2ᵗ) / (1−β1ᵗ) / (√v + ε)\n"
            "lo = f (1 − 1/(γt+1)),  hi = f (1 + 1/(γt)),  f = final_lr · η / η at the start\n"
            "θ ← θ − ηλθ − clip(a, lo, hi) ⊙ m"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adagc",
        target="pytorch_optimizer:AdaGC",
        summary="AdamW that clips each tensor by its own running gradient norm",
        family="adaptive",
        paper="https://arxiv.org/abs/2502.11034",
        rule=(
            "g ← g min(1, 1.05 γ/‖g‖),  γ ← β γ + (1−β) ‖g‖;  of each tensor, from t = 100\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²;  before, g ← g min(1, 1/‖all g‖)\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adamc",
        target="pytorch_optimizer:AdamC",
        summary="AdamW with weight decay scaled by the schedule",
        family="adaptive",
        use="Long training runs of transformers, whose gradients grow towards the end.",
        paper="https://arxiv.org/abs/2506.02285",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "matrices: ηλθ · η/η_max for ηλθ"
        ),
        licence="Apache-2.0",
        matrix_options={"normalized": True},
    ),
    Entry(
        name="adamod",
        target="pytorch_optimizer:AdaMod",
        summary="Adam whose step sizes are bounded by their own running mean",
        family="adaptive",
        paper="https://arxiv.org/abs/1910.12249",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  a = η √(1−β2ᵗ) / (1−β1ᵗ) / (√v + ε)\n"
            "s ← β3 s + (1−β3) a\n"
            "θ ← θ − ηλθ − min(a, s) ⊙ m"
        ),
        licence="Apache-2.0",
        cannot={
            "learns": (
                "its steps are bounded by a running mean that starts at 0, so it warms up over a "
                "thousand steps"
            ),
        },
    ),
    Entry(
        name="adamp",
        target="pytorch_optimizer:AdamP",
        summary="Adam that removes the component of a step parallel to scale-invariant weights",
        family="adaptive",
        use="As Adam, in networks with normalisation layers.",
        paper="https://arxiv.org/abs/2006.08217",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  u = m √(1−β2ᵗ) / (√v + ε)\n"
            "where |cos(g, θ)| < δ/√n:  u ← u − (θ·u / ‖θ‖²) θ,  λ ← λ/10\n"
            "θ ← θ − ηλθ − η u / (1−β1ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adams",
        target="pytorch_optimizer:AdamS",
        summary="Adam with weight decay that is stable under adaptive gradients",
        family="adaptive",
        paper="https://arxiv.org/abs/2011.11152",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "θ ← θ − ηλθ / √(mean of all v̂) − η m̂ / (√v̂ + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adanorm",
        target="pytorch_optimizer:AdaNorm",
        summary="Adam on gradients corrected to their running norm",
        family="adaptive",
        paper="https://arxiv.org/abs/2210.06364",
        rule=(
            "e ← r e + (1−r) ‖g‖,  s = g max(1, e/‖g‖)\n"
            "m ← β1 m + (1−β1) s,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="amos",
        target="pytorch_optimizer:Amos",
        summary="Adam-like steps with weight decay adapted to the model's scale",
        family="adaptive",
        paper="https://arxiv.org/abs/2210.11693",
        rule=(
            "v ← β v + (1−β) mean(g²),  r = (1−βᵗ)/(v + ε),  σ: the scale of θ by its shape\n"
            "γ = η² r mean(g²) / √(1 + ¼ √η b)\n"
            "θ ← θ − (ησ √r g + ½ γθ) / (1 + ¼ √(ησ) b),  b ← (1+γ) b + γ"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="emo-navi",
        target="pytorch_optimizer:EmoNavi",
        summary="Adam with steps scaled by the trend of the loss; optional shadow weights",
        family="adaptive",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "e = 8 (1−|σ|)(1 ± (1−|σ|)/10) for ¼ < |σ| < ½, 1−|σ| for |σ| > ¾, else 1\n"
            "θ ← θ − ηλθ − η e m / (√v + ε),  σ = tanh(relative fall of the running loss)"
        ),
        licence="Apache-2.0",
        needs=("loss",),
    ),
    Entry(
        name="lamb",
        target="pytorch_optimizer:Lamb",
        summary="Adam with each layer's step scaled to its weights, for large batches",
        family="adaptive",
        use="Very large batches (thousands).",
        paper="https://arxiv.org/abs/1904.00962",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  u = m / (√v + ε)\n"
            "θ ← θ − ηλθ\n"
            "θ ← θ − η/(1−β1ᵗ) · min(‖θ‖, 10)/‖u‖ · u"
        ),
        deviation=(
            "Bug: the momentum's bias is corrected after the step is scaled to the weights, which"
            " makes the first step too long by a factor of 1/(1−beta1), which is ten; the second "
            "moment's bias is not corrected. Weight decay is applied outside the scaled step, the"
            " norm of the weights is capped at 10, and eps is added to the norm of the step."
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="novograd",
        target="pytorch_optimizer:NovoGrad",
        summary="momentum SGD on gradients normalised layer by layer",
        family="adaptive",
        use="Speech and vision with large batches.",
        paper="https://arxiv.org/abs/1905.11286",
        rule=("v ← β2 v + (1−β2) ‖g‖² for each tensor\nm ← β1 m + g / (√v + ε) + λθ\nθ ← θ − η m"),
        licence="Apache-2.0",
    ),
    Entry(
        name="spam",
        target="pytorch_optimizer:SPAM",
        summary="Adam that clips spikes and resets its momentum",
        family="adaptive",
        paper="https://arxiv.org/abs/2501.06842",
        rule=(
            "g ← sign(g) √(5000 v) where g² > 5000 v\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²;  m, v ← 0 each 500 steps\n"
            "θ ← (1−ηλ) (θ − κη m̂ / (√v̂ + ε)),  κ: 50 steps of warm-up after a reset"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="stable-adamw",
        target="pytorch_optimizer:StableAdamW",
        summary="AdamW with steps clipped by their own root mean square",
        family="adaptive",
        use="As AdamW, when there are loss spikes; it needs no gradient clipping.",
        paper="https://arxiv.org/abs/2304.13013",
        rule=(
            "m ← β m + (1−β) g with β1 (1−β1ᵗ⁻¹)/(1−β1ᵗ) for β,  v likewise with g² and β2\n"
            "α = η / max(1, √mean(g² / max(v, ε²)))\n"
            "θ ← θ − αλθ − α m / (√v + ε)"
        ),
        licence="Apache-2.0",
        likeness=Likeness(1.0, "AdamW with clipped steps"),
    ),
    Entry(
        name="stable-spam",
        target="pytorch_optimizer:StableSPAM",
        summary="SPAM with adaptive clipping, for low precision",
        family="adaptive",
        paper="https://arxiv.org/abs/2502.17055",
        rule=(
            "a ← θ₁ a + (1−θ₁) max|g|,  g ← g â / max|g| where |g| > â;  hats: bias-corrected\n"
            "n, q ← means of ‖g‖, ‖g‖²,  g ← g/‖g‖ · n̂/(√q̂ + ε);  m, v of g, 0 each 1000 steps\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="swats",
        target="pytorch_optimizer:SWATS",
        summary="Adam that switches to SGD once its step size is stable",
        family="adaptive",
        paper="https://arxiv.org/abs/1712.07628",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  hats bias-corrected\n"
            "θ ← θ + p,  p = −η m̂ / (√v̂ + ε),  Λ: running mean of −p·p / p·g\n"
            "once Λ is steady, for good:  b ← β1 b + g,  θ ← θ − Λ (1−β1) b"
        ),
        licence="Apache-2.0",
    ),
)
