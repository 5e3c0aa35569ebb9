"""Learning-rate-free and schedule-free optimizers of pytorch-optimizer."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="adamg",
        target="pytorch_optimizer:AdamG",
        summary="Adam with a step size found by the golden-step rule",
        family="lr-free",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/2405.04376",
        rule=(
            "g ← g + λθ,  v ← β2 v + (1−β2) g²,  r ← β3 r + (1−β3) 0.2 v^0.24\n"
            "m ← β1 m + (1−β1) r g\n"
            "θ ← θ − min(η, 1/√t) m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
        cannot={
            "schedule": (
                "its steps are bounded by an estimate that is smaller than common learning rates"
            ),
            "groups": (
                "its steps are bounded by an estimate that is smaller than common learning rates"
            ),
        },
    ),
    Entry(
        name="alig",
        target="pytorch_optimizer:AliG",
        summary="Polyak-like step size from the loss, for models that can interpolate the data",
        family="lr-free",
        use="Models that can fit their data to a loss of almost 0.",
        paper="https://arxiv.org/abs/1906.05661",
        rule="θ ← θ − γ g,  γ = L(θ) / (‖g‖² + 1e-6), at most max_lr where it is given",
        licence="Apache-2.0",
        needs=(
            "closure",
            "loss",
        ),
        hidden=("projection_fn",),
        cannot={
            "schedule": "it has no learning rate",
            "groups": "it has no learning rate",
        },
    ),
    Entry(
        name="pytorch_optimizer:asgd",
        target="pytorch_optimizer:ASGD",
        summary="SGD with a step size from the local smoothness (Adaptive Gradient Descent "
        "without Descent)",
        family="lr-free",
        paper="https://arxiv.org/abs/1910.09529",
        rule=(
            "η ← min(η √(1 + 0.02 q), (‖θ‖ − ‖θ₋‖)/(‖g‖ − ‖g₋‖)) + ε,  q: the last η/η₋\n"
            "where one of the differences is not positive:  η ← η √(1 + 0.02 q)\n"
            "θ ← θ − ηλθ − η g"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="dadapt-adagrad",
        target="pytorch_optimizer:DAdaptAdaGrad",
        summary="AdaGrad that estimates its learning rate by D-adaptation",
        family="lr-free",
        use="As dadapt-adam.",
        paper="https://arxiv.org/abs/2301.07733",
        rule=(
            "g ← g + λθ,  a ← a + g²,  s ← s + dη g,  q ← q + (dη)² Σ g²/√a\n"
            "d ← max(d, (Σ s²/√a − q) / ‖s‖₁)\n"
            "θ ← θ₀ − s / (√a + ε)"
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="dadapt-adam",
        target="pytorch_optimizer:DAdaptAdam",
        summary="Adam that estimates its learning rate by D-adaptation",
        family="lr-free",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/2301.07733",
        rule=(
            "g ← g + λθ,  c = √β2,  r ← c r + (1−c) dη Σ g s / √v,  s ← c s + (1−c) dη g\n"
            "m ← β1 m + (1−β1) dη g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − m / (√v + ε),  d ← max(d, r / ((1−c) ‖s‖₁))"
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="dadapt-adan",
        target="pytorch_optimizer:DAdaptAdan",
        summary="Adan that estimates its learning rate by D-adaptation",
        family="lr-free",
        use="As dadapt-adam.",
        paper="https://arxiv.org/abs/2301.07733",
        rule=(
            "m ← β1 m + (1−β1) dη g,  u ← β2 u + (1−β2) dη Δ,  Δ = g − g₋,  s ← mean of dη g\n"
            "n ← β3 n + (1−β3) (g + β2 Δ)⁴,  q ← mean of (dη)² Σ g²/√n,  both means by β3\n"
            "θ ← (θ − (m + β2 u)/(√n + ε))/(1 + dηλ),  d ← max(d, (Σ s²/√n/(1−β3) − q)/‖s‖₁)"
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="dadapt-lion",
        target="pytorch_optimizer:DAdaptLion",
        summary="Lion that estimates its learning rate by D-adaptation",
        family="lr-free",
        use="As dadapt-adam.",
        paper="https://arxiv.org/abs/2301.07733",
        rule=(
            "g ← g + λθ,  u = sign(β1 m + (1−β1) g),  m ← β2 m + (1−β2) dη g\n"
            "r ← c r + (1−c) dη ⟨u, s⟩,  s ← c s + (1−c) dη u,  c = √β2\n"
            "θ ← θ − dη u,  d ← max(d, r / ((1−c) ‖s‖₁))"
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="dadapt-sgd",
        target="pytorch_optimizer:DAdaptSGD",
        summary="SGD that estimates its learning rate by D-adaptation",
        family="lr-free",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/2301.07733",
        rule=(
            "g ← g + λθ,  γ = dη/‖g₀‖,  r ← r + γ ⟨g, s⟩,  s ← s + γ g\n"
            "d ← max(d, 2 r / ‖s‖)\n"
            "θ ← μ θ + (1−μ) (θ₀ − s)"
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="prodigy",
        target="pytorch_optimizer:Prodigy",
        summary="Adam that estimates its learning rate during training",
        family="lr-free",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/2306.06101",
        rule=(
            "m ← β1 m + (1−β1) d g,  v ← β2 v + (1−β2) d² g²,  γ = d²η/d₀,  c = √β2\n"
            "r ← c r + γ ⟨g, θ₀ − θ⟩,  s ← c s + γ g\n"
            "θ ← θ − dηλθ − dη m / (√v + dε),  d ← max(d, r / ‖s‖₁)"
        ),
        deviation=(
            "Eps is multiplied by the new estimate of the distance; in the paper, by the previous"
            " one."
        ),
        licence="Apache-2.0",
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own",
        },
    ),
    Entry(
        name="schedule-free-adamw",
        target="pytorch_optimizer:ScheduleFreeAdamW",
        summary="AdamW with weight averaging instead of a schedule",
        family="schedule-free",
        use="When the length of the run is not known in advance; use a warm-up and no decay.",
        paper="https://arxiv.org/abs/2405.15682",
        rule=(
            "v ← β2 v + (1−β2) g²,  g ← g / (√v̂ + ε) + λθ,  v̂ = v/(1−β2ᵗ)\n"
            "θ ← (1−c) θ + c z − η (1 − β1 (1−c)) g,  c = η² / Σ η², with the largest η so far\n"
            "z ← z − η g,  evaluated at θ + (1 − 1/β1) (z − θ)"
        ),
        deviation=(
            "Steps are weighted in the average by the largest learning rate so far; in the paper,"
            " by their own. The second moment's bias is corrected before eps is added; in the "
            "paper, the learning rate is corrected instead, also for weight decay and the "
            "average."
        ),
        licence="Apache-2.0",
        aliases=("adamw-schedule-free", "schedule-free"),
        needs=("modes",),
        likeness=Likeness(2.5, "its authors: one to ten times AdamW's"),
    ),
    Entry(
        name="schedule-free-radam",
        target="pytorch_optimizer:ScheduleFreeRAdam",
        summary="RAdam with weight averaging instead of a schedule",
        family="schedule-free",
        use="As schedule-free-adamw, without a warm-up.",
        paper="https://arxiv.org/abs/2405.15682",
        rule=(
            "v ← β2 v + (1−β2) g²,  g ← g / (√v̂ + ε) + λθ,  η ← η r as in radam, 0 if ρ < 4\n"
            "θ ← (1−c) θ + c z − η (1 − β1 (1−c)) g,  c = η² / Σ η², with the largest η so far\n"
            "z ← z − η g,  evaluated at θ + (1 − 1/β1) (z − θ)"
        ),
        licence="Apache-2.0",
        needs=("modes",),
    ),
    Entry(
        name="schedule-free-sgd",
        target="pytorch_optimizer:ScheduleFreeSGD",
        summary="SGD with weight averaging instead of a schedule",
        family="schedule-free",
        use="As schedule-free-adamw, for tasks where SGD works best.",
        paper="https://arxiv.org/abs/2405.15682",
        rule=(
            "g ← g + λθ\n"
            "θ ← (1−c) θ + c z − η (1 − μ (1−c)) g,  c = η² / Σ η², with the largest η so far\n"
            "z ← z − η g,  evaluated at θ + (1 − 1/μ) (z − θ)"
        ),
        deviation=(
            "Steps are weighted in the average by the largest learning rate so far; in the paper,"
            " by their own. The two differ once a schedule lowers the learning rate."
        ),
        licence="Apache-2.0",
        aliases=("sgd-schedule-free",),
        needs=("modes",),
    ),
)
