"""Adaptive optimizers of pytorch-optimizer, A to L."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="a2grad",
        target="pytorch_optimizer:A2Grad",
        summary="adaptive and accelerated SGD with optimal rates for convex problems",
        family="adaptive",
        paper="https://arxiv.org/abs/1810.00553",
        rule=(
            "ḡ ← ḡ + (g − ḡ)/t,  s ← s + ‖g − ḡ‖²,  c = 1 / (2L/(t+1) + β √s)\n"
            "x ← x − c g,  αₜ = 2/(t+2), α₁ = 1,  L = lips\n"
            "θ ← αₜ₊₁ x + (1 − αₜ₊₁) (θ − αₜ c g)"
        ),
        licence="Apache-2.0",
        hidden=("lr",),
        cannot={
            "schedule": "it has no learning rate",
            "groups": "it has no learning rate",
        },
    ),
    Entry(
        name="adabelief",
        target="pytorch_optimizer:AdaBelief",
        summary="Adam that divides by the variance of the gradient around its running mean",
        family="adaptive",
        use="As Adam; vision and generative models.",
        paper="https://arxiv.org/abs/2010.07468",
        rule=(
            "m ← β1 m + (1−β1) g,  s ← β2 s + (1−β2) (g − m)² + ε\n"
            "θ ← θ − ηλθ − η m̂ / (√ŝ + ε),  m̂ = m/(1−β1ᵗ), ŝ = s/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
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
        name="pytorch_optimizer:adadelta",
        target="pytorch_optimizer:AdaDelta",
        summary="Adadelta whose weight decay is L2, or decoupled by weight_decouple",
        family="adaptive",
        use="As adadelta, for decoupled weight decay.",
        paper="https://arxiv.org/abs/1212.5701v1",
        rule=(
            "g ← g + λθ,  v ← ρ v + (1−ρ) g²\n"
            "Δ = g √(u + ε) / √(v + ε),  u ← ρ u + (1−ρ) Δ²\n"
            "θ ← θ − η Δ"
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
        name="pytorch_optimizer:adamax",
        target="pytorch_optimizer:AdaMax",
        summary="Adamax whose weight decay is L2, or decoupled by weight_decouple",
        family="adaptive",
        use="As adamax, for decoupled weight decay.",
        paper="https://arxiv.org/abs/1412.6980",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  u ← max(β2 u, |g| + ε)\n"
            "θ ← θ − η m̂ / u,  m̂ = m/(1−β1ᵗ)"
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
        name="adashift",
        target="pytorch_optimizer:AdaShift",
        summary="Adam whose second moment uses earlier gradients, independent of the current one",
        family="adaptive",
        paper="https://arxiv.org/abs/1810.00143v4",
        rule=(
            "m = Σ β1ⁱ gₜ₋ᵢ / Σ β1ⁱ over i < n,  n = keep_num\n"
            "v ← β2 v + (1−β2) max over the tensor of gₜ₋ₙ²\n"
            "θ ← θ − η m / (√v̂ + ε),  v̂ = v/(1−β2ᵗ⁻ⁿ),  from t = n + 1"
        ),
        licence="Apache-2.0",
        hidden=("reduce_func",),
    ),
    Entry(
        name="adasmooth",
        target="pytorch_optimizer:AdaSmooth",
        summary="RMSprop with a window set by the ratio of net movement to path length",
        family="adaptive",
        paper="https://arxiv.org/abs/2204.00825v1",
        rule=(
            "g ← g + λθ,  c = (β2−β1) |Σ Δθ| / (Σ |Δθ| + ε) + 1 − β2,  Δθ: all moves so far\n"
            "v ← (1−c²) v + c² g²\n"
            "θ ← θ − η g / √(v + ε)"
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
        name="adopt",
        target="pytorch_optimizer:ADOPT",
        summary="Adam that divides by the previous second moment; converges for any beta2",
        family="adaptive",
        use="As AdamW, when training with beta2 close to 1 is unstable.",
        paper="https://arxiv.org/abs/2411.02853",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) clip(g / max(√v, ε), ±t^¼)\n"
            "θ ← θ − η m\n"
            "v ← β2 v + (1−β2) g²;  the first step sets v = g² and moves nothing"
        ),
        deviation=(
            "Off by one: the clipping bound counts steps from 2, so each step has the bound of "
            "the next step in the paper."
        ),
        licence="Apache-2.0",
        hidden=("clip_lambda",),
        likeness=Likeness(1.0, "its paper uses Adam's"),
    ),
    Entry(
        name="aida",
        target="pytorch_optimizer:Aida",
        summary="AdaBelief with a narrower range of step sizes",
        family="adaptive",
        paper="https://arxiv.org/abs/2203.13273",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g\n"
            "m′, g′: m and g projected on each other twice,  s ← β2 s + (1−β2) (m′ − g′)² + ε\n"
            "θ ← θ − η m̂ / (√ŝ + ε),  m̂ = m/(1−β1ᵗ), ŝ = s/(1−β2ᵗ)"
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
        name="avagrad",
        target="pytorch_optimizer:AvaGrad",
        summary="Adam whose step sizes are normalised over all parameters",
        family="adaptive",
        paper="https://arxiv.org/abs/1912.01823",
        rule=(
            "m ← β1 m + (1−β1) g,  d = √v̂ + ε with v of the step before,  m̂ = m/(1−β1ᵗ)\n"
            "θ ← θ − ηλθ − η γ m̂ / d,  γ = 1/√(mean of all 1/d²) of the step before;  from t = 2\n"
            "v ← β2 v + (1−β2) g²"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="bcos",
        target="pytorch_optimizer:BCOS",
        summary="step sizes that are optimal for each block of coordinates",
        family="adaptive",
        paper="https://arxiv.org/abs/2507.08963",
        rule=(
            "m ← β m + (1−β) g\n"
            "v = (3β² − 2β³) m² + (1−β)² g² + 2β (1−β)² m g\n"
            "θ ← θ − ηλθ − η m / (√v + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="diffgrad",
        target="pytorch_optimizer:DiffGrad",
        summary="Adam scaled by how much the gradient has changed",
        family="adaptive",
        paper="https://arxiv.org/abs/1909.11015v3",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η ξ m̂ / (√v̂ + ε),  ξ = sigmoid(|g₋ − g|)\n"
            "m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
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
)
