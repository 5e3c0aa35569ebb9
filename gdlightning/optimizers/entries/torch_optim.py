"""Optimizers of torch.optim, with the defaults common in the literature."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ADAM = "https://arxiv.org/abs/1412.6980"

ENTRIES = (
    Entry(
        name="sgd",
        target="torch.optim:SGD",
        summary="gradient descent with Nesterov momentum",
        family="momentum",
        use="Vision from scratch: lr 0.1 with a decaying schedule. Momentum 0 gives plain "
        "gradient descent.",
        paper="https://proceedings.mlr.press/v28/sutskever13.html",
        rule=("g ← g + λθ,  b ← μ b + g\nθ ← θ − η (g + μ b)"),
        deviation=(
            "The learning rate multiplies the whole momentum; in the paper, each gradient keeps "
            "the learning rate of its own step. The two differ once a schedule changes the "
            "learning rate."
        ),
        defaults={"lr": 0.1, "momentum": 0.9, "nesterov": True},
        aliases=("sgd-nesterov", "nesterov", "nag"),
        sparse=True,
    ),
    Entry(
        name="momentum",
        target="torch.optim:SGD",
        summary="gradient descent with heavy-ball momentum",
        family="momentum",
        use="As sgd; its largest stable learning rate is higher than Nesterov's.",
        paper="https://doi.org/10.1016/0041-5553(64)90137-5",
        rule=("g ← g + λθ,  b ← μ b + g\nθ ← θ − η b"),
        deviation=(
            "The learning rate multiplies the whole momentum; in the paper, each gradient keeps "
            "the learning rate of its own step. The two differ once a schedule changes the "
            "learning rate."
        ),
        defaults={"lr": 0.1, "momentum": 0.9},
        aliases=("sgd-momentum", "heavy-ball"),
        sparse=True,
    ),
    Entry(
        name="gd",
        target="torch.optim:SGD",
        summary="plain gradient descent, without momentum",
        family="momentum",
        use="Batch gradient descent with data.batch_size: full; a baseline otherwise.",
        rule="θ ← θ − η (g + λθ)",
        defaults={"lr": 0.1},
        aliases=("plain-sgd", "vanilla-sgd", "gradient-descent"),
        sparse=True,
    ),
    Entry(
        name="adam",
        target="torch.optim:Adam",
        summary="steps scaled by running moments of the gradient; L2 regularisation",
        family="adaptive",
        use="Tabular data, and most problems without weight decay; with weight decay, use adamw.",
        paper=ADAM,
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        likeness=Likeness(1.0, "the same step but for weight decay", decoupled=False),
    ),
    Entry(
        name="amsgrad",
        target="torch.optim:Adam",
        summary="Adam that divides by the largest second moment so far",
        family="adaptive",
        use="When Adam does not converge.",
        paper="https://openreview.net/forum?id=ryQu7f-RZ",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "s ← max(s, v)\n"
            "θ ← θ − η m̂ / (√ŝ + ε),  m̂ = m/(1−β1ᵗ), ŝ = s/(1−β2ᵗ)"
        ),
        deviation=(
            "Corrects the bias of both averages and adds eps to the root, as Adam does; the paper "
            "does neither."
        ),
        defaults={"amsgrad": True},
        likeness=Likeness(1.0, "Adam with a larger denominator", decoupled=False),
    ),
    Entry(
        name="adamw",
        target="torch.optim:AdamW",
        summary="Adam with decoupled weight decay",
        family="adaptive",
        use="Most tasks: lr 1e-3 to 1e-4; fine-tuning 1e-5 to 1e-4; transformers with a warm-up.",
        paper="https://arxiv.org/abs/1711.05101",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        deviation=(
            "A step decays weights by lr times weight_decay; in the paper, by the schedule's "
            "multiplier times weight_decay, independent of the learning rate."
        ),
        likeness=Likeness(1.0, "itself"),
    ),
    Entry(
        name="nadam",
        target="torch.optim:NAdam",
        summary="Adam with Nesterov momentum",
        family="adaptive",
        use="As Adam.",
        paper="https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  v̂ = v/(1−β2ᵗ)\n"
            "μₜ = β1 (1 − ½ · 0.96^(0.004 t)),  Πₜ = μ₁ μ₂ ⋯ μₜ\n"
            "θ ← θ − η [(1−μₜ) g / (1−Πₜ) + μₜ₊₁ m / (1−Πₜ₊₁)] / (√v̂ + ε)"
        ),
        deviation=(
            "The momentum is averaged with a constant beta1; in the paper, with the schedule that"
            " corrects its bias."
        ),
        likeness=Likeness(1.0, "Adam with Nesterov momentum", decoupled=False),
    ),
    Entry(
        name="radam",
        target="torch.optim:RAdam",
        summary="Adam with rectified variance in the first steps",
        family="adaptive",
        use="As Adam, without a warm-up.",
        paper="https://arxiv.org/abs/1908.03265",
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  m̂ = m/(1−β1ᵗ)\n"
            "κ = 2/(1−β2) − 1,  ρ = κ − 2tβ2ᵗ/(1−β2ᵗ),  r² = (ρ−4)(ρ−2)κ / ((κ−4)(κ−2)ρ)\n"
            "θ ← θ − η r √(1−β2ᵗ) m̂ / (√v + ε) if ρ > 5,  else θ ← θ − η m̂"
        ),
        deviation=(
            "Rectification starts once the average is longer than 5 steps, in the paper 4; eps is"
            " added to the root, in the paper nothing."
        ),
        likeness=Likeness(1.0, "Adam after its first steps", decoupled=False),
    ),
    Entry(
        name="adamax",
        target="torch.optim:Adamax",
        summary="Adam with the infinity norm",
        family="adaptive",
        use="As Adam, for rare large gradients, such as those of embeddings.",
        paper=ADAM,
        rule=(
            "g ← g + λθ,  m ← β1 m + (1−β1) g,  u ← max(β2 u, |g| + ε)\n"
            "θ ← θ − η m̂ / u,  m̂ = m/(1−β1ᵗ)"
        ),
        deviation=(
            "Adds eps to the gradient magnitude before taking the maximum; the paper adds nothing."
        ),
    ),
    Entry(
        name="adagrad",
        target="torch.optim:Adagrad",
        summary="steps divided by the square root of the sum of squared gradients",
        family="adaptive",
        use="Sparse features: bag-of-words, click logs; lr 0.01 to 0.1.",
        paper="https://jmlr.org/papers/v12/duchi11a.html",
        rule=("g ← g + λθ,  s ← s + g²\nθ ← θ − η g / (√s + ε)"),
        sparse=True,
    ),
    Entry(
        name="adadelta",
        target="torch.optim:Adadelta",
        summary="step sizes in units of the weights, from running averages of squares",
        family="adaptive",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/1212.5701",
        rule=(
            "g ← g + λθ,  v ← ρ v + (1−ρ) g²\n"
            "Δ = g √(u + ε) / √(v + ε),  u ← ρ u + (1−ρ) Δ²\n"
            "θ ← θ − η Δ"
        ),
    ),
    Entry(
        name="rmsprop",
        target="torch.optim:RMSprop",
        summary="steps divided by the root mean square of recent gradients",
        family="adaptive",
        use="Recurrent networks and reinforcement learning.",
        paper="https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        rule=("g ← g + λθ,  v ← α v + (1−α) g²\nθ ← θ − η g / (√v + ε)"),
        deviation=(
            "Adds eps to the root and averages squares with 0.99; the lecture adds nothing and "
            "averages with 0.9."
        ),
        defaults={"lr": 1e-3},
    ),
    Entry(
        name="rprop",
        target="torch.optim:Rprop",
        summary="per-weight step sizes that grow or shrink with the agreement of gradient signs",
        family="sign",
        use="Batch gradient descent (data.batch_size: full); not for noisy gradients.",
        paper="https://doi.org/10.1109/ICNN.1993.298623",
        rule=(
            "s ← 1.2 s where g agrees in sign with g₋, the gradient before;  s starts at η\n"
            "s ← 0.5 s, g ← 0 where it disagrees;  s is kept within 1e-6 and 50\n"
            "θ ← θ − s sign(g)"
        ),
        cannot={
            "schedule": (
                "the learning rate only sets the size of the first step; later step sizes follow "
                "from the gradient signs"
            ),
        },
    ),
    Entry(
        name="asgd",
        target="torch.optim:ASGD",
        summary="SGD that also keeps the average of its weights, from step t0",
        family="momentum",
        use="Convex problems.",
        paper="https://doi.org/10.1137/0330046",
        rule=(
            "g ← g + λθ,  ηₜ = η / (1 + κηt)^0.75,  κ = 1e-4\n"
            "θ ← θ − ηₜ (g + κθ)\n"
            "θ̄ ← θ̄ + (θ − θ̄) / max(1, t − t₀),  kept in addition to θ"
        ),
    ),
    Entry(
        name="adafactor",
        target="torch.optim:Adafactor",
        summary="second moment factored into row and column means, no momentum",
        family="low-memory",
        use="Large models whose Adam state does not fit in memory.",
        paper="https://arxiv.org/abs/1804.04235",
        rule=(
            "r, c ← means of g² over rows, columns, averaged by t^−0.8,  V = r cᵀ / mean(r)\n"
            "u = g / √V,  α = max(ε₂, rms(θ)) · min(η, 1/√t)\n"
            "θ ← θ − ηλθ − α u / max(1, rms(u))"
        ),
        deviation=(
            "The first eps is a lower bound of the second moment; the paper adds it to each "
            "squared gradient."
        ),
    ),
    Entry(
        name="muon",
        target="gdlightning.optimizers.muon:Muon",
        summary="orthogonalised momentum for matrices; a companion trains the other parameters",
        family="matrix",
        use="Hidden matrices and convolutions, lr 0.02; AdamW trains the other parameters "
        "automatically.",
        paper="https://kellerjordan.github.io/posts/muon/",
        rule=(
            "b ← μ b + (1−μ) g,  o = orth(μ b + (1−μ) g),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − η √max(1, rows/columns) o"
        ),
        deviation=(
            "The step of a matrix with more rows than columns is multiplied by √(rows/columns), "
            "as in the author's code; the description has no such factor. Momentum is an average "
            "instead of a sum, which is equivalent except for rounding to bfloat16."
        ),
        defaults={"lr": 0.02},
        needs=("matrices",),
        likeness=Likeness(
            1.0,
            "steps scaled to the size of AdamW's, arXiv:2502.16982",
            options={"adjust_lr_fn": "match_rms_adamw"},
        ),
    ),
    Entry(
        name="sparse-adam",
        target="torch.optim:SparseAdam",
        summary="Adam that only updates rows with a gradient",
        family="adaptive",
        use="Large embeddings with sparse=True; a companion trains the dense parameters.",
        paper=ADAM,
        rule=(
            "on the rows that have a gradient, alone:\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        needs=("sparse",),
    ),
    Entry(
        name="lbfgs",
        target="gdlightning.optimizers.lbfgs:LBFGS",
        summary="limited-memory quasi-Newton steps",
        family="second-order",
        use="Small smooth problems with data.batch_size: full.",
        paper="https://doi.org/10.1007/BF01589116",
        rule=(
            "d = −H g,  H ≈ (∇²L)⁻¹ from the last 100 pairs of changes in θ and g\n"
            "θ ← θ + α d,  α from a strong-Wolfe search that starts at η;  up to 20 times a step"
        ),
        needs=("closure", "one group"),
        defaults={"line_search_fn": "strong_wolfe"},
        cannot={
            "groups": "its line search follows one direction for all weights",
        },
    ),
    Entry(
        name="sam",
        target="gdlightning.optimizers.sam:SAM",
        summary="gradient at the worst point near the weights, passed to a base optimizer",
        family="sharpness-aware",
        use="Vision, when generalisation is worth two gradients per step.",
        paper="https://arxiv.org/abs/2010.01412",
        rule=("g₊ = ∇L(θ + ρ g / ‖g‖)\nθ ← the base optimizer's step from θ with g₊ for g"),
        licence="Apache-2.0",
        needs=("closure", "base"),
    ),
    Entry(
        name="asam",
        target="gdlightning.optimizers.sam:SAM",
        summary="SAM with a radius relative to the size of each weight",
        family="sharpness-aware",
        use="As sam; rho is about ten times larger.",
        paper="https://arxiv.org/abs/2102.11600",
        rule=(
            "g₊ = ∇L(θ + ρ θ² ⊙ g / ‖θ ⊙ g‖)\nθ ← the base optimizer's step from θ with g₊ for g"
        ),
        licence="Apache-2.0",
        defaults={"adaptive": True, "rho": 0.5},
        needs=("closure", "base"),
    ),
)
