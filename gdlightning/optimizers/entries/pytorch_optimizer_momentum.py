"""Momentum, sign-based and sharpness-aware optimizers of pytorch-optimizer."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="accsgd",
        target="pytorch_optimizer:AccSGD",
        summary="accelerated SGD that averages a long and a short step",
        family="momentum",
        paper="https://arxiv.org/abs/1803.05591",
        rule=(
            "g ← g + λθ,  b ← (1−β) b + β (θ − (κ/c) η g),  β = ξ c²/κ,  c = 0.7\n"
            "θ ← ζ (θ − η g) + (1−ζ) b,  ζ = c/(c+β)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="aggmo",
        target="pytorch_optimizer:AggMo",
        summary="SGD with the mean of several momentum buffers",
        family="momentum",
        paper="https://arxiv.org/abs/1804.00325",
        rule=("g ← g + λθ,  bᵢ ← βᵢ bᵢ + g\nθ ← θ − η (b₁ + b₂ + b₃)/3,  β = 0, 0.9, 0.99"),
        licence="Apache-2.0",
    ),
    Entry(
        name="fromage",
        target="pytorch_optimizer:Fromage",
        summary="steps relative to the norm of each tensor's weights",
        family="momentum",
        use="lr 0.01 changes each tensor by a hundredth of its norm, regardless of its scale.",
        paper="https://arxiv.org/abs/2002.03432",
        rule="θ ← (θ − η g ‖θ‖/‖g‖) / √(1 + η²)",
        licence="CC-BY-NC-SA-4.0",
        commercial=False,
    ),
    Entry(
        name="gravity",
        target="pytorch_optimizer:Gravity",
        summary="steps by a kinematic analogy",
        family="momentum",
        paper="https://arxiv.org/abs/2101.09192",
        rule=(
            "ζ = g / (1 + (g · max|g|)²)\n"
            "v ← b v + (1−b) ζ,  b = (βt + 1)/(t + 2),  v₀ ~ N(0, (α/η)²)\n"
            "θ ← θ − η v"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="lars",
        target="pytorch_optimizer:LARS",
        summary="SGD with each layer's step scaled to its weights, for large batches",
        family="momentum",
        use="Very large batches of images, with convolutional networks.",
        paper="https://arxiv.org/abs/1708.03888",
        rule=(
            "matrices: g ← τ ‖θ‖ / (‖g‖ + λ‖θ‖) · (g + λθ),  τ = 0.001\nb ← μ b + g\nθ ← θ − η b"
        ),
        deviation=(
            "Vectors, such as biases, are neither scaled nor decayed; in the paper, they are "
            "treated like all other layers. The learning rate multiplies the whole momentum; in "
            "the paper, each gradient keeps the learning rate of its own step."
        ),
        licence="Apache-2.0",
        defaults={"lr": 1.0},
    ),
    Entry(
        name="nero",
        target="pytorch_optimizer:Nero",
        summary="projected steps relative to each neuron's weights",
        family="adaptive",
        paper="https://arxiv.org/abs/2102.07227",
        rule=(
            "v ← β v + (1−β) ‖g‖² for each neuron,  v̂ = v/(1−βᵗ)\n"
            "θ ← θ − η s g / (√v̂ + ε),  s: the mean norm of a neuron's weights at the start\n"
            "θ ← (θ − mean)/‖θ − mean‖ for each neuron of a matrix"
        ),
        licence="CC-BY-NC-SA-4.0",
        commercial=False,
    ),
    Entry(
        name="pid",
        target="pytorch_optimizer:PID",
        summary="momentum SGD with a derivative term",
        family="momentum",
        use="Set momentum, such as 0.9; with the default, it is plain gradient descent.",
        paper="http://www4.comp.polyu.edu.hk/~cslzhang/paper/CVPR18_PID.pdf",
        rule=(
            "g ← g + λθ,  i ← μ i + g,  d ← μ d + (1−μ) (g − g₋)\n"
            "θ ← θ − η (g + 5 i + 10 d);  θ ← θ − η g at the default μ = 0"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="pnm",
        target="pytorch_optimizer:PNM",
        summary="positive-negative momentum",
        family="momentum",
        paper="https://arxiv.org/abs/2103.17182",
        rule=(
            "mₜ = β1² mₜ₋₂ + (1−β1²) g\n"
            "θ ← θ − ηλθ − η ((1+β2) mₜ − β2 mₜ₋₁) / √((1+β2)² + β2²),  β2 = 1"
        ),
        licence="Apache-2.0",
        defaults={"lr": 0.1},
    ),
    Entry(
        name="qhm",
        target="pytorch_optimizer:QHM",
        summary="quasi-hyperbolic momentum: part gradient, part momentum",
        family="momentum",
        use="Set momentum and nu, such as 0.999 and 0.7; with the defaults, it is plain gradient "
        "descent.",
        paper="https://arxiv.org/abs/1810.06801",
        rule=(
            "g ← g + λθ,  b ← μ b + (1−μ) g\nθ ← θ − η (ν b + (1−ν) g);  by default μ = 0, ν = 1"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="sgdp",
        target="pytorch_optimizer:SGDP",
        summary="SGD that removes the component of a step parallel to scale-invariant weights",
        family="momentum",
        use="As adamp, in place of SGD; set momentum, such as 0.9, because the default is 0.",
        paper="https://arxiv.org/abs/2006.08217",
        rule=(
            "b ← μ b + g,  u = b\n"
            "where |cos(g, θ)| < δ/√n:  u ← u − (θ·u / ‖θ‖²) θ,  λ ← λ/10\n"
            "θ ← θ − ηλθ/(1−μ) − η u"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="sgdsai",
        target="pytorch_optimizer:SGDSaI",
        summary="momentum SGD with step sizes set once from the first gradients",
        family="momentum",
        paper="https://arxiv.org/abs/2412.11768",
        rule=(
            "s = ‖g‖ / deviation(g) of each matrix, ‖g‖ of a vector, at the first step\n"
            "b ← μ b + (1−μ) g\n"
            "θ ← θ − ηλθ − η s b"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="sgdw",
        target="pytorch_optimizer:SGDW",
        summary="SGD with decoupled weight decay",
        family="momentum",
        use="As SGD, with weight decay that does not enter the momentum.",
        paper="https://arxiv.org/abs/1711.05101",
        rule=("b ← μ b + g\nθ ← θ − ηλθ − η b"),
        licence="Apache-2.0",
        defaults={"lr": 0.1, "momentum": 0.9},
    ),
    Entry(
        name="srmm",
        target="pytorch_optimizer:SRMM",
        summary="stochastic regularised majorisation-minimisation",
        family="momentum",
        paper="https://arxiv.org/abs/2201.01652",
        rule=("w = (t mod 100 + 1)^−½,  ḡ ← (1−w) ḡ + w g\nθ̄ ← (1−w) θ̄ + w θ − η ḡ\nθ ← θ̄"),
        licence="Apache-2.0",
    ),
    Entry(
        name="tam",
        target="pytorch_optimizer:TAM",
        summary="momentum damped by its angle to the gradient",
        family="momentum",
        paper="https://arxiv.org/abs/2412.18790",
        rule=("s ← γ s + (1−γ) b/‖b‖ ⊙ g/‖g‖\nb ← μ b + ((1 + s)/2 + ε) ⊙ g\nθ ← θ − ηλθ − η b"),
        licence="Apache-2.0",
    ),
    Entry(
        name="ano",
        target="pytorch_optimizer:Ano",
        summary="step size from the gradient, direction from the sign of the momentum",
        family="sign",
        paper="https://arxiv.org/abs/2508.18258",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) sign(g² − v) g²\n"
            "θ ← θ − ηλθ − η |g| sign(m) / (√v̂ + ε),  v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="emo-lynx",
        target="pytorch_optimizer:EmoLynx",
        summary="EmoNavi with Lion's sign steps",
        family="sign",
        rule=(
            "θ ← θ − ηλθ − η e sign(β1 m + (1−β1) g)\n"
            "m ← β2 m + (1−β2) g,  e as in emo-navi, from the course of the loss"
        ),
        licence="Apache-2.0",
        needs=("loss",),
    ),
    Entry(
        name="focus",
        target="pytorch_optimizer:FOCUS",
        summary="sign steps pulled towards the running mean of the weights",
        family="sign",
        paper="https://arxiv.org/abs/2501.12243",
        rule=(
            "m ← β1 m + (1−β1) g,  c ← β2 c + (1−β2) θ,  ĉ = c/(1−β2ᵗ)\n"
            "θ ← θ − ηλĉ\n"
            "θ ← θ − η (sign(m) + γ sign(θ − ĉ))"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="lion",
        target="pytorch_optimizer:Lion",
        summary="sign of an interpolated momentum, decoupled weight decay",
        family="sign",
        use="A third to a tenth of AdamW's learning rate with three to ten times its weight decay; "
        "large batches; half of Adam's memory.",
        paper="https://arxiv.org/abs/2302.06675",
        rule=("θ ← θ − ηλθ − η sign(β1 m + (1−β1) g)\nm ← β2 m + (1−β2) g"),
        licence="Apache-2.0",
        likeness=Likeness(0.2, "its paper: a third to a tenth of AdamW's"),
    ),
    Entry(
        name="signsgd",
        target="pytorch_optimizer:SignSGD",
        summary="the sign of the momentum",
        family="sign",
        use="When communication or memory is expensive.",
        paper="https://arxiv.org/abs/1802.04434",
        rule=("m ← μ m + (1−μ) g\nθ ← θ − ηλθ − η sign(m)"),
        licence="Apache-2.0",
    ),
    Entry(
        name="tiger",
        target="pytorch_optimizer:Tiger",
        summary="Lion with one buffer, for tight memory budgets",
        family="sign",
        use="As Lion, with even less memory.",
        paper="https://github.com/bojone/tiger",
        rule=("m ← β m + (1−β) g\nθ ← θ − ηλθ − η sign(m)"),
        licence="Apache-2.0",
    ),
    Entry(
        name="bsam",
        target="pytorch_optimizer:BSAM",
        summary="SAM as a Bayesian relaxation",
        family="sharpness-aware",
        paper="https://arxiv.org/abs/2210.01620",
        rule=(
            "θ ← θ + noise of deviation 1/(N s),  g₁ = ∇L(θ),  θ ← θ + ρ g₁/s,  g = ∇L(θ)\n"
            "m ← β1 m + (1−β1) λ g,  s ← β2 s + (1−β2) (√s |g| + λ + 0.1)²\n"
            "θ ← θ − η m / s"
        ),
        licence="Apache-2.0",
        needs=(
            "closure",
            "examples",
        ),
        data_options={"num_data": "examples"},
        refused="the class of pytorch-optimizer 4.1.0 fails at its first step for lack of a "
        "gradient",
    ),
)
