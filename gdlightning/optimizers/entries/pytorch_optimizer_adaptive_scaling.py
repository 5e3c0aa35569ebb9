"""Adaptive optimizers of pytorch-optimizer that change the scaling by past gradients."""

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
        name="kate",
        target="pytorch_optimizer:Kate",
        summary="scale-invariant AdaGrad without the square root",
        family="adaptive",
        paper="https://arxiv.org/abs/2403.02648",
        rule=("b² ← b² + g² + ε,  m² ← m² + δ g² + g²/b²\nθ ← θ − ηλθ − η m g / b²"),
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
