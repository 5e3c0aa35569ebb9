"""Adaptive optimizers of pytorch-optimizer that change the momentum of Adam."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="adai",
        target="pytorch_optimizer:Adai",
        summary="adapts the momentum of each parameter instead of its step size",
        family="adaptive",
        paper="https://arxiv.org/abs/2006.15815",
        rule=(
            "g ← g + λθ,  v ← β2 v + (1−β2) g²,  v̂ = v/(1−β2ᵗ)\n"
            "β = clip(1 − β0 v̂ / mean of all v̂, 0, 1−ε),  m ← β m + (1−β) g\n"
            "θ ← θ − η m / (1 − product of all β so far)"
        ),
        licence="Apache-2.0",
        cannot={
            "bf16": "the product of its momentum coefficients rounds to 1, and it divides by one "
            "minus that product"
        },
    ),
    Entry(
        name="adan",
        target="pytorch_optimizer:Adan",
        summary="Nesterov momentum estimated from gradient differences",
        family="adaptive",
        use="As AdamW; allows larger learning rates.",
        paper="https://arxiv.org/abs/2208.06677",
        rule=(
            "Δ = g − g₋,  m ← β1 m + (1−β1) g,  d ← β2 d + (1−β2) Δ\n"
            "n ← β3 n + (1−β3) (g + β2 Δ)²,  hats: divided by 1 − βᵗ\n"
            "θ ← (θ − η (m̂ + β2 d̂) / (√n̂ + ε)) / (1 + ηλ)"
        ),
        deviation=(
            "Averages start at 0 with bias correction, as in the authors' code; in the paper, "
            "they start at the first gradient."
        ),
        licence="Apache-2.0",
        likeness=Likeness(5.0, "its authors: five to ten times Adam's"),
    ),
    Entry(
        name="adapnm",
        target="pytorch_optimizer:AdaPNM",
        summary="Adam with positive-negative momentum",
        family="adaptive",
        paper="https://arxiv.org/abs/2103.17182",
        rule=(
            "mₜ = β1² mₜ₋₂ + (1−β1²) g,  v ← β2 v + (1−β2) g²,  s ← max(s, v),  ŝ = s/(1−β2ᵗ)\n"
            "u = ((1+β3) mₜ − β3 mₜ₋₁) / √((1+β3)² + β3²)\n"
            "θ ← θ − ηλθ − η u / (1−β1ᵗ) / (√ŝ + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adatam",
        target="pytorch_optimizer:AdaTAM",
        summary="Adam with torque-aware momentum",
        family="adaptive",
        paper="https://arxiv.org/abs/2412.18790",
        rule=(
            "s ← γ s + (1−γ) m/‖m‖ ⊙ g/‖g‖,  m ← β1 m + ((1 + s)/2 + ε) ⊙ g\n"
            "v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m / (√v + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="ademamix",
        target="pytorch_optimizer:AdEMAMix",
        summary="Adam with a second, much slower momentum",
        family="adaptive",
        use="Long training runs of language models.",
        paper="https://arxiv.org/abs/2409.03137",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "n ← β3 n + (1−β3) g\n"
            "θ ← θ − η (m̂ + α n) / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        deviation=(
            "Weight decay is added to the gradient; the paper decouples it, as weight_decouple: "
            "true does."
        ),
        licence="Apache-2.0",
        likeness=Likeness(1.0, "its paper uses AdamW's"),
    ),
    Entry(
        name="dual-adam",
        target="pytorch_optimizer:DualAdam",
        summary="Adam mixed with its inverse counterpart",
        family="adaptive",
        paper="https://arxiv.org/abs/2603.07122",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "d = √v̂ + ε,  p = max(0, 1 − 0.01 t),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "θ ← θ − η m̂ ((1−p)/d + p d)"
        ),
        licence="Apache-2.0",
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
)
