"""Matrix and second-order optimizers of pytorch-optimizer."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry, Likeness

ENTRIES = (
    Entry(
        name="adago",
        target="pytorch_optimizer:AdaGO",
        summary="orthogonalised momentum with an AdaGrad step size",
        family="matrix",
        paper="https://arxiv.org/abs/2509.02981",
        rule=(
            "b ← μ b + (1−μ) g,  s ← s + min(‖g‖, γ)²,  o = orth(b),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − max(ε, η √max(1, rows/columns) min(‖g‖, γ) / s) o\n"
            "other parameters: AdamW"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
    ),
    Entry(
        name="adamuon",
        target="pytorch_optimizer:AdaMuon",
        summary="Muon with a second moment on the orthogonalised step",
        family="matrix",
        use="As muon.",
        paper="https://arxiv.org/abs/2507.11005v1",
        rule=(
            "m ← β1 m + (1−β1) g,  o = orth(m),  v ← β2 v + (1−β2) o²,  u = o / (√v̂ + ε)\n"
            "θ ← θ − ηλθ − 0.2 η √max(rows, columns) √min(rows, columns) u / ‖u‖\n"
            "other parameters: AdamW;  orth(U Σ Vᵀ) ≈ U Vᵀ"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
    ),
    Entry(
        name="alice",
        target="pytorch_optimizer:Alice",
        summary="low-rank structured Fisher preconditioner",
        family="matrix",
        paper="https://arxiv.org/abs/2502.07752",
        rule=(
            "s = Uᵀ g,  m, v ← running means of s, s²;  U: leading eigenvectors of mean g gᵀ\n"
            "c = √(rows−rank) (g − U s) / √p,  p ← running mean of column sums of g² − s²\n"
            "θ ← θ − ηλθ − η α (U m / (√v + ε) + α_c c),  ‖c‖ growing by 1% a step at most"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="conda",
        target="pytorch_optimizer:Conda",
        summary="Adam on column-normalised, projected momentum",
        family="matrix",
        paper="https://arxiv.org/abs/2509.24218",
        rule=(
            "m ← β1 m + (1−β1) g,  P: singular vectors of m, renewed each 2000 steps\n"
            "v ← β2 v + (1−β2) (Pᵀ g)²\n"
            "θ ← (1−ηλ) (θ − η P [Pᵀ m̂ / (√v̂ + ε)]),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="dash",
        target="pytorch_optimizer:DASH",
        summary="Shampoo with batched blocks and faster inverse roots",
        family="matrix",
        paper="https://arxiv.org/abs/2602.02016",
        rule=(
            "L ← β2 L + (1−β2) g gᵀ,  R ← β2 R + (1−β2) gᵀ g,  m, v of g as Adam's;  in blocks\n"
            "u = L^−¼ m R^−¼,  a = m̂ / (√v̂ + ε)\n"
            "θ ← θ − ηλθ − η u ‖a‖ / ‖u‖"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="distributed-muon",
        target="pytorch_optimizer:DistributedMuon",
        summary="Muon that distributes its work over several processes",
        family="matrix",
        paper="https://kellerjordan.github.io/posts/muon/",
        rule=(
            "b ← μ b + (1−μ) g,  o = orth(μ b + (1−μ) g),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − η √max(1, rows/columns) o\n"
            "other parameters: AdamW"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
        refused="it distributes its work over its own process group; use muon with a Lightning "
        "strategy",
    ),
    Entry(
        name="lora-rite",
        target="pytorch_optimizer:LoRARite",
        summary="transformation-invariant steps for pairs of LoRA factors",
        family="matrix",
        use="LoRA fine-tuning.",
        paper="https://arxiv.org/abs/2410.20625",
        rule=(
            "B = Q R the other factor,  s = g R⁻¹,  V ← β2 P V Pᵀ + (1−β2) sᵀ s / rows\n"
            "M ← β1 M Pᵀ + (1−β1) s V^−½,  P: from the Q before to this Q\n"
            "θ ← θ − η (M R⁻ᵀ + λθ)"
        ),
        licence="Apache-2.0",
        refused="it only accepts pairs of LoRA factors",
    ),
    Entry(
        name="pytorch_optimizer:muon",
        target="pytorch_optimizer:Muon",
        summary="orthogonalised momentum for matrices, built-in AdamW for the rest",
        family="matrix",
        use="As muon, with one class for all parameters; supports convolutions.",
        paper="https://kellerjordan.github.io/posts/muon/",
        rule=(
            "b ← μ b + (1−μ) g,  o = orth(μ b + (1−μ) g),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − η √max(1, rows/columns) o\n"
            "other parameters: AdamW"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
    ),
    Entry(
        name="muon-clip",
        target="pytorch_optimizer:MuonClip",
        summary="Muon with heavy-ball momentum and clipping of attention logits",
        family="matrix",
        use="As muon; clipping needs attention logits, which gdlightning does not pass.",
        paper="https://arxiv.org/abs/2507.20534",
        rule=(
            "b ← μ b + g,  o = orth(b),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − 0.2 η √max(rows, columns) o\n"
            "other parameters: AdamW;  queries and keys are shrunk where logits > 100 are passed"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
    ),
    Entry(
        name="normuon",
        target="pytorch_optimizer:NorMuon",
        summary="Muon with neuron-wise normalised steps",
        family="matrix",
        use="As muon.",
        paper="https://arxiv.org/abs/2510.05491",
        rule=(
            "b ← μ b + (1−μ) g,  o = orth(μ b + (1−μ) g),  v ← β2 v + (1−β2) row means of o²\n"
            "θ ← θ − ηλθ − η √max(1, rows/columns) u ‖o‖ / ‖u‖,  u = o / (√v + ε)\n"
            "other parameters: AdamW;  orth(U Σ Vᵀ) ≈ U Vᵀ"
        ),
        licence="Apache-2.0",
        needs=("marked groups",),
        group_mark="use_muon",
    ),
    Entry(
        name="scalable-shampoo",
        target="pytorch_optimizer:ScalableShampoo",
        summary="Shampoo in blocks, grafted onto another step size",
        family="matrix",
        use="As shampoo; it computes its first inverse roots at step 1000 "
        "(preconditioning_compute_steps).",
        paper="https://arxiv.org/abs/2002.09018",
        rule=(
            "L ← β2 L + (1−β2) g gᵀ,  R ← β2 R + (1−β2) gᵀ g,  roots taken each 1000 steps\n"
            "u = L^−¼ g R^−¼,  u ← u ‖g‖ / ‖u‖ + λθ,  b ← β1 b + u\n"
            "θ ← θ − η (u + β1 b),  with g + λθ for u before t = 25"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="scion",
        target="pytorch_optimizer:SCION",
        summary="steps to the corner of a norm ball chosen per layer",
        family="matrix",
        paper="https://arxiv.org/abs/2502.07529",
        rule=(
            "d ← (1−α) d + α g,  α = momentum = 0.1,  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "matrices: θ ← θ − ηλθ − η √(rows/columns) orth(d)\n"
            "vectors: θ ← θ − ηλθ − η d / rms(d)"
        ),
        licence="Apache-2.0",
        hidden=("norm_kwargs",),
    ),
    Entry(
        name="scion-light",
        target="pytorch_optimizer:SCIONLight",
        summary="Scion that stores its momentum in the gradient; no momentum if gradients are "
        "cleared",
        family="matrix",
        use="Use scion instead: gradients are cleared between steps, and the momentum with them.",
        paper="https://arxiv.org/abs/2502.07529",
        rule=(
            "matrices: θ ← θ − ηλθ − η √(rows/columns) orth(g),  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "vectors: θ ← θ − ηλθ − η g / rms(g)\n"
            "g ← (1−α) g is left for the next gradient to be added to,  α = momentum = 0.1"
        ),
        licence="Apache-2.0",
        hidden=("norm_kwargs",),
    ),
    Entry(
        name="shampoo",
        target="pytorch_optimizer:Shampoo",
        summary="preconditions each dimension of a tensor with its own matrix",
        family="matrix",
        use="As SOAP, which is easier to tune.",
        paper="https://arxiv.org/abs/1802.09568",
        rule=(
            "g ← g + λθ,  L ← L + g gᵀ,  R ← R + gᵀ g\n"
            "θ ← θ − η L^−¼ g R^−¼;  each of k dimensions with the power −1/(2k)"
        ),
        licence="Apache-2.0",
        defaults={"lr": 0.1},
        largest=8192,
    ),
    Entry(
        name="soap",
        target="pytorch_optimizer:SOAP",
        summary="Adam in the eigenbasis of Shampoo's preconditioner",
        family="matrix",
        use="Transformers and convolutional networks where steps are expensive; matrices up to "
        "4096.",
        paper="https://arxiv.org/abs/2409.11321",
        rule=(
            "L ← β2 L + (1−β2) g gᵀ,  R ← β2 R + (1−β2) gᵀ g,  P, Q: their eigenvectors\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) (Pᵀ g Q)²\n"
            "θ ← (1−ηλ) (θ − η P [Pᵀ m̂ Q / (√v̂ + ε)] Qᵀ),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        deviation=(
            "As in the authors' code, eps is added to the root instead of under it, before bias "
            "correction; eigenvectors are sorted before their QR update, which is computed in "
            "float32."
        ),
        licence="Apache-2.0",
        likeness=Likeness(1.0, "its paper tunes both alike"),
    ),
    Entry(
        name="spectral-sphere",
        target="pytorch_optimizer:SpectralSphere",
        summary="Muon-like steps along the sphere of constant spectral norm",
        dimensions=2,
        family="matrix",
        paper="https://arxiv.org/abs/2601.08393",
        rule=(
            "b ← μ b + (1−μ) g,  M = μ b + (1−μ) g,  T = u vᵀ of θ's top singular pair\n"
            "o = orth(M/‖M‖ + c T) with c such that ⟨T, o⟩ = 0,  orth(U Σ Vᵀ) ≈ U Vᵀ\n"
            "θ ← θ − ηλθ − η o"
        ),
        licence="Apache-2.0",
        needs=("matrices",),
    ),
    Entry(
        name="splus",
        target="pytorch_optimizer:SPlus",
        summary="sign of the gradient in Shampoo's eigenbasis; evaluates averaged weights",
        family="matrix",
        use="As SOAP.",
        paper="https://arxiv.org/abs/2506.07254",
        rule=(
            "m ← β1 m + (1−β1) g,  L ← β2 L + (1−β2) g gᵀ,  R likewise,  P, Q: eigenvectors\n"
            "θ ← θ − α P sign(Pᵀ m Q) Qᵀ,  α = 2η/(rows+columns);  vectors: θ − η sign(m)/1000\n"
            "θ ← (1−αλ) θ,  evaluated at a running mean of θ"
        ),
        licence="Apache-2.0",
        needs=("modes",),
        cannot={
            "no-gradient": (
                "its average for evaluation only exists for weights that have had a gradient, but"
                " is used for all"
            ),
        },
    ),
    Entry(
        name="adahessian",
        target="pytorch_optimizer:AdaHessian",
        summary="Adam with the Hessian diagonal, estimated by random Hessian-vector products",
        family="second-order",
        use="Small networks where curvature matters; steps cost twice as much.",
        paper="https://arxiv.org/abs/2006.00719",
        rule=(
            "D = z ⊙ ∇(g·z),  z = ±1 at random\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) D²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
        needs=("second-order",),
        cannot={
            "ddp": (
                "Hessian-vector products need the graph of the gradient, which torch's "
                "DistributedDataParallel does not keep"
            ),
        },
    ),
    Entry(
        name="apollo-dqn",
        target="pytorch_optimizer:ApolloDQN",
        summary="diagonal quasi-Newton steps",
        family="second-order",
        paper="https://arxiv.org/abs/2009.13586",
        rule=(
            "g ← g + λθ,  δ = g − m,  α = (1−β)/(1−βᵗ),  m ← m + α δ,  d ← d/n,  n = ‖d‖₄ + ε\n"
            "B ← B − (α ⟨δ, d⟩/n + ⟨B d, d⟩) d²,  d ← m / max(|B|, 0.01)\n"
            "θ ← θ − η d,  η rising from init_lr in 500 steps"
        ),
        licence="Apache-2.0",
        defaults={"warmup_steps": 0},  # replaced by schedule.warmup
    ),
    Entry(
        name="kron",
        target="pytorch_optimizer:Kron",
        summary="PSGD with a Kronecker-factored preconditioner",
        family="second-order",
        use="As SOAP.",
        paper="https://arxiv.org/abs/1512.04202",
        rule=(
            "m ← μ m + (1−μ) g,  m̂ = m/(1−μᵗ),  P, Q: triangular, fitted to m̂ now and then\n"
            "u = PᵀP m̂ QᵀQ,  u ← u min(1, 1.1/rms(u))\n"
            "θ ← θ − η (u + λθ),  λ for matrices only"
        ),
        licence="Apache-2.0",
        aliases=("psgd",),
        hidden=("pre_conditioner_update_probability", "mu_dtype", "precondition_dtype"),
    ),
    Entry(
        name="sophia-h",
        target="pytorch_optimizer:SophiaH",
        summary="momentum divided by a periodically estimated Hessian diagonal, clipped",
        family="second-order",
        use="Transformers; a Hessian estimate every few steps.",
        paper="https://arxiv.org/abs/2305.14342",
        rule=(
            "m ← β1 m + (1−β1) g;  each 10 steps h ← β2 h + (1−β2) z ⊙ ∇(g·z),  z ~ N(0, 1)\n"
            "θ ← θ − ηλθ − η clip(m / max(h, ε), −p, p)"
        ),
        deviation=(
            "As in the first version of the paper, the ratio of momentum to curvature is clipped "
            "at p; the published version divides it by p and clips at 1. Divide a published "
            "learning rate by p, and multiply its weight decay by p."
        ),
        licence="Apache-2.0",
        aliases=("sophia",),
        needs=("second-order",),
        likeness=Likeness(
            80.0, "its authors: 0.8 of AdamW's; here a step is at most 0.01 of its lr"
        ),
        cannot={
            "ddp": (
                "Hessian-vector products need the graph of the gradient, which torch's "
                "DistributedDataParallel does not keep"
            ),
        },
    ),
)
