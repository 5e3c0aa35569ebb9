"""Adaptive optimizers of pytorch-optimizer, M to Z."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
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
        name="exadam",
        target="pytorch_optimizer:EXAdam",
        summary="Adam with moments that correct each other",
        family="adaptive",
        paper="https://arxiv.org/abs/2412.20302",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "p = 1 + β2ᵗ v/(v+ε),  q = 1 + β1ᵗ m²/(m²+ε)\n"
            "θ ← θ − ηλθ − η p (m̂ + g/(1−β1ᵗ)) / (√(q v̂) + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="fadam",
        target="pytorch_optimizer:FAdam",
        summary="Adam read as natural gradient with a diagonal empirical Fisher",
        family="adaptive",
        paper="https://arxiv.org/abs/2405.12807",
        rule=(
            "F ← b F + (1−b) g²,  b = β2 (1−β2ᵗ⁻¹)/(1−β2ᵗ),  f = √F + ε\n"
            "m ← β1 m + (1−β1) cl(g/f),  cl(x) = x / max(1, rms(x))\n"
            "θ ← θ − η (m + λ cl(θ/f))"
        ),
        licence="Apache-2.0",
        hidden=("momentum_dtype", "fim_dtype"),
    ),
    Entry(
        name="ftrl",
        target="pytorch_optimizer:FTRL",
        summary="follow the regularised leader, with L1 and L2",
        family="adaptive",
        use="Sparse linear models.",
        paper="https://static.googleusercontent.com/media/research.google.com/en//pubs/archive/41159.pdf",
        rule=(
            "s = √(n + g²) − √n,  z ← z + g − sθ/η,  n ← n + g²\n"
            "θ ← −(z − λ₁ sign(z)) / ((β + √n)/η + λ₂),  and 0 where |z| ≤ λ₁"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="grams",
        target="pytorch_optimizer:Grams",
        summary="sign of the gradient, size of Adam's step",
        family="adaptive",
        paper="https://arxiv.org/abs/2412.17107",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η sign(g) |m̂| / (√v̂ + ε)\n"
            "m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="grokfast-adamw",
        target="pytorch_optimizer:GrokFastAdamW",
        summary="AdamW on gradients whose slow part is amplified",
        family="adaptive",
        use="Small algorithmic tasks that generalise long after fitting (grokking).",
        paper="https://arxiv.org/abs/2405.20233",
        rule=(
            "h ← α h + (1−α) g,  g ← g + 2 h\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m̂ / max(√v̂, ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="kate",
        target="pytorch_optimizer:Kate",
        summary="scale-invariant AdaGrad without the square root",
        family="adaptive",
        paper="https://arxiv.org/abs/2403.02648",
        rule=("b² ← b² + g² + ε,  m² ← m² + δ g² + g²/b²\nθ ← θ − ηλθ − η m g / b²"),
        licence="Apache-2.0",
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
        name="laprop",
        target="pytorch_optimizer:LaProp",
        summary="momentum of the normalised gradient, instead of Adam's normalised momentum",
        family="adaptive",
        use="As Adam, with more stable steps at small beta2.",
        paper="https://arxiv.org/abs/2002.04839",
        rule=(
            "v ← β2 v + (1−β2) g²,  v̂ = v/(1−β2ᵗ)\n"
            "m ← β1 m + (1−β1) η g / (√v̂ + ε)\n"
            "θ ← (1 − ηλ) (θ − m̂),  m̂ = m/(1−β1ᵗ)"
        ),
        deviation=(
            "Eps is added before the second moment's bias is corrected, and each gradient enters "
            "the momentum with the learning rate of its step. The momentum's bias is corrected in"
            " float32, even for float64 weights."
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="madgrad",
        target="pytorch_optimizer:MADGRAD",
        summary="momentumised, adaptive dual averaging",
        family="adaptive",
        use="Vision, and sparse problems.",
        paper="https://arxiv.org/abs/2101.11075",
        rule=(
            "g ← g + λθ,  s ← s + η√t g,  v ← v + η√t g²\nz = θ₀ − s / (∛v + ε)\nθ ← μ θ + (1−μ) z"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="magma",
        target="pytorch_optimizer:Magma",
        summary="masks the steps of a base optimizer by their agreement with momentum",
        family="adaptive",
        paper="https://arxiv.org/abs/2602.15322",
        rule=(
            "a ← 0.9 a + 0.1 sigmoid(cos(m, g)/τ) of each tensor,  B = 0 or 1, each half the time\n"
            "θ ← θ + a B Δθ,  Δθ: the base optimizer's step, m its momentum"
        ),
        licence="Apache-2.0",
        needs=("base",),
        hidden=("exclude",),
    ),
    Entry(
        name="msvag",
        target="pytorch_optimizer:MSVAG",
        summary="momentum SGD with variance-adapted size",
        family="adaptive",
        paper="https://arxiv.org/abs/1705.07774",
        rule=(
            "m ← β m + (1−β) g,  v ← β v + (1−β) g²,  m̂, v̂ = m, v / (1−βᵗ)\n"
            "ρ = (1−β²ᵗ)(1−β)² / ((1−β²)(1−βᵗ)²),  s = (v̂ − m̂²)/(1−ρ)\n"
            "θ ← θ − η m̂ · m̂² / (m̂² + ρ s)"
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
        name="padam",
        target="pytorch_optimizer:PAdam",
        summary="Adam with a partial power of the second moment",
        family="adaptive",
        paper="https://arxiv.org/abs/1806.06763",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − η √(1−β2ᵗ) / (1−β1ᵗ) · m / (√v + ε)^(2p),  p = partial = ¼"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="qhadam",
        target="pytorch_optimizer:QHAdam",
        summary="Adam with quasi-hyperbolic momentum",
        family="adaptive",
        use="Set nus, such as 0.7 and 1; with the default, it is Adam.",
        paper="https://arxiv.org/abs/1810.06801",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − η (ν₁ m̂ + (1−ν₁) g) / (√(ν₂ v̂ + (1−ν₂) g²) + ε),  ν = nus = 1, 1\n"
            "m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="pytorch_optimizer:radam",
        target="pytorch_optimizer:RAdam",
        summary="Adam with rectified variance at the start",
        family="adaptive",
        use="As radam, with decoupled weight decay.",
        paper="https://arxiv.org/abs/1908.03265",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  m̂ = m/(1−β1ᵗ)\n"
            "κ = 2/(1−β2) − 1,  ρ = κ − 2tβ2ᵗ/(1−β2ᵗ),  r² = (ρ−4)(ρ−2)κ / ((κ−4)(κ−2)ρ)\n"
            "θ ← θ − ηλθ − η r √(1−β2ᵗ) m̂ / (√v + ε) if ρ ≥ 5,  else no step"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="ranger",
        target="pytorch_optimizer:Ranger",
        summary="RAdam with lookahead and gradient centralisation",
        family="adaptive",
        paper="https://github.com/lessw2020/Ranger-Deep-Learning-Optimizer",
        rule=(
            "g ← g − mean over each row's entries;  m, v, m̂, r, ρ as in radam\n"
            "θ ← θ − ηλθ − η r √(1−β2ᵗ) m̂ / (√v + ε) if ρ ≥ 5,  else θ ← θ − ηλθ + η m̂\n"
            "each 6 steps:  s ← (s + θ)/2,  θ ← s"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="ranger21",
        target="pytorch_optimizer:Ranger21",
        summary="AdamW with many additions, including a schedule",
        family="adaptive",
        use="When you want many additions at once, including the schedule.",
        paper="https://arxiv.org/abs/2106.13731",
        rule=(
            "g clipped to ‖θ‖/100, centred, divided by its deviation;  v ← β2 v + (1−β2) g²\n"
            "mₜ = β1² mₜ₋₂ + (1−β1²) g,  u = ((1+β0) mₜ − β0 mₜ₋₁)/√((1+β0)² + β0²) / (1−β1ᵗ)\n"
            "θ ← θ − ηλθ/√(mean v̂) − η u / softplus(√max v̂ + ε);  θ ← (θ + s)/2, s ← θ each 5"
        ),
        licence="Apache-2.0",
        needs=("steps",),
        data_options={"num_iterations": "steps"},
    ),
    Entry(
        name="simplified-ademamix",
        target="pytorch_optimizer:SimplifiedAdEMAMix",
        summary="AdEMAMix with one momentum, plus the gradient weighted by alpha",
        family="adaptive",
        paper="https://arxiv.org/abs/2502.02431",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η (m + α g) / (b √v + b² ε),  b = √(1−β2ᵗ),  α = 0"
        ),
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
    Entry(
        name="vsgd",
        target="pytorch_optimizer:VSGD",
        summary="SGD as variational inference of the true gradient",
        family="adaptive",
        paper="https://openreview.net/forum?id=xu4ATNjcdy",
        rule=(
            "n = m,  m ← (ŝ m + s g)/(s + ŝ),  σ² = s ŝ/(s + ŝ)\n"
            "s, ŝ: running means of (m − n)² + σ², (m − g)² + σ² with weights t^−0.81, t^−0.9\n"
            "θ ← θ − ηλθ − η m / (√(m² + σ²) + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="yogi",
        target="pytorch_optimizer:Yogi",
        summary="Adam with additive updates of the second moment",
        family="adaptive",
        use="As Adam, with noisy or sparse gradients.",
        paper="https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← v − (1−β2) sign(v − g²) g²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
)
