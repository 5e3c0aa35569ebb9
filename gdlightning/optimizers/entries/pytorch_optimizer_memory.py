"""Memory-efficient and variance-reduced optimizers of pytorch-optimizer."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry

ENTRIES = (
    Entry(
        name="pytorch_optimizer:adafactor",
        target="pytorch_optimizer:AdaFactor",
        summary="Adafactor with momentum, and automatic step sizes unless relative_step is false",
        family="low-memory",
        use="As adafactor; lr is only used with relative_step: false.",
        paper="https://arxiv.org/abs/1804.04235",
        rule=(
            "r, c ← means of g² over rows, columns, averaged by t^−0.8,  V = r cᵀ / mean(r)\n"
            "u = g / √V,  α = max(ε₂, rms(θ)) · min(0.01, 1/√t);  η counts without relative_step\n"
            "m ← β1 m + (1−β1) α u / max(1, rms(u)),  θ ← θ − αλθ − m"
        ),
        licence="Apache-2.0",
        hidden=("momentum_dtype",),
        defaults={"lr": 0.01, "relative_step": False},
    ),
    Entry(
        name="adalite",
        target="pytorch_optimizer:Adalite",
        summary="Adam-like steps from row and column statistics",
        family="low-memory",
        paper="https://github.com/VatsaDev/adalite",
        rule=(
            "g ← g ‖θ‖/‖g‖,  m ← β1 m + (1−β1) g,  v ← β2 r cᵀ/(Σr)² + (1−β2) (g − m)²\n"
            "r, c ← row, column sums of v,  m ← p m + (1−p) g,  p = softmax(r/n) softmax(c/n)ᵀ\n"
            "θ ← θ − ηλθ − η (β1 m + (1−β1) g) / √(v̂ + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="adalomo",
        target="pytorch_optimizer:AdaLOMO",
        summary="adaptive update inside the backward pass",
        family="low-memory",
        paper="https://arxiv.org/abs/2310.10195",
        rule=(
            "r, c ← means of g² over rows, columns, averaged by t^−0.8,  V = r cᵀ / mean(r)\n"
            "u = g / √V,  α = η max(ε₂, rms(θ))\n"
            "θ ← θ − αλθ − α u / max(1, rms(u)),  within the backward pass"
        ),
        licence="Apache-2.0",
        needs=("model",),
        refused="it updates the weights inside the backward pass",
    ),
    Entry(
        name="adam-mini",
        target="pytorch_optimizer:AdamMini",
        summary="Adam with one second moment per block of parameters",
        family="low-memory",
        use="Transformers whose Adam state does not fit in memory; lr as for adamw.",
        paper="https://arxiv.org/abs/2406.16793",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) mean(g²) of the tensor\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "embeddings: v of each weight;  queries and keys: v of each head"
        ),
        licence="Apache-2.0",
        needs=("model",),
        defaults={"lr": 1e-3},
        cannot={
            "groups": "it builds its own parameter groups from the module, all with the same "
            "learning rate",
        },
    ),
    Entry(
        name="adamwsn",
        target="pytorch_optimizer:AdamWSN",
        summary="AdamW with one second moment per subset of a matrix",
        family="low-memory",
        use="Transformers whose Adam state does not fit in memory.",
        paper="https://arxiv.org/abs/2411.07120",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← (1−ηλ) (θ − η m̂ / (√v̂ + ε)),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)\n"
            "matrices: ‖g‖² of each subset for g²"
        ),
        licence="Apache-2.0",
        matrix_options={"sn": True},
    ),
    Entry(
        name="apollo",
        target="pytorch_optimizer:APOLLO",
        summary="AdamW whose scaling is estimated in a random low-rank space",
        family="low-memory",
        use="Large models whose Adam state does not fit in memory; set rank below the size of the"
        " matrices.",
        paper="https://arxiv.org/abs/2412.05270",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²;  of matrices projected g\n"
            "α = η √(1−β2ᵗ)/(1−β1ᵗ),  u = m / (√v + ε);  there u ← g ‖u‖/‖g‖, projected back\n"
            "θ ← (1−αλ) (θ − α u)"
        ),
        licence="Apache-2.0",
        matrix_options={
            "rank": 128,
            "update_proj_gap": 200,
            "scale": 1.0,
            "projection_type": "std",
            "scale_type": "channel",
        },
    ),
    Entry(
        name="came",
        target="pytorch_optimizer:CAME",
        summary="Adafactor guided by the confidence in its own step",
        family="low-memory",
        use="Large models whose Adam state does not fit in memory.",
        paper="https://aclanthology.org/2023.acl-long.243/",
        rule=(
            "u = g / √V,  V: rank 1 from means of g² over rows, columns,  u ← u / max(1, rms(u))\n"
            "m ← β1 m + (1−β1) u,  S: rank 1 from means of (u − m)²;  vectors: S = 1\n"
            "θ ← θ − ηλθ − η m / √S"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="demo",
        target="pytorch_optimizer:DeMo",
        summary="SGD that exchanges only the fast components of its momentum",
        family="low-memory",
        paper="https://arxiv.org/abs/2411.19870",
        rule=(
            "d ← 0.999 d + η g,  q: the 32 largest DCT components of each chunk of d,  d ← d − q\n"
            "θ ← θ − ηλθ − η sign(Σ q over the processes)"
        ),
        licence="Apache-2.0",
        hidden=("process_group",),
        refused="it needs the package einops and its own process group",
    ),
    Entry(
        name="emo-fact",
        target="pytorch_optimizer:EmoFact",
        summary="sign steps scaled by the trend of the loss",
        family="low-memory",
        rule=(
            "matrices: u = g,  vectors: u ← β1 u + (1−β1) g\n"
            "θ ← θ − ηλθ − η e sign(u),  e as in emo-navi, from the course of the loss"
        ),
        licence="Apache-2.0",
        needs=("loss",),
    ),
    Entry(
        name="fira",
        target="pytorch_optimizer:Fira",
        summary="low-rank Adam that keeps the full-rank remainder",
        family="low-memory",
        use="Large models whose Adam state does not fit in memory; set rank below the size of the"
        " matrices.",
        paper="https://arxiv.org/abs/2410.01623",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²;  of matrices p = Pᵀ g\n"
            "u = m̂ / (√v̂ + ε);  there u ← P u + ‖u‖/‖p‖ (g − P p), norms by column\n"
            "θ ← (1−ηλ) (θ − η u),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
        matrix_options={
            "rank": 128,
            "update_proj_gap": 200,
            "scale": 0.25,
            "projection_type": "std",
        },
    ),
    Entry(
        name="flash-adamw",
        target="pytorch_optimizer:FlashAdamW",
        summary="AdamW with compressed states",
        family="low-memory",
        use="As adamw, with states of about a quarter of the size.",
        paper="https://arxiv.org/abs/2602.23349",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²,  kept in 8 bits\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="galore",
        target="pytorch_optimizer:GaLore",
        summary="Adam in a low-rank projection of the gradient",
        family="low-memory",
        use="Large models whose Adam state does not fit in memory; set rank below the size of the"
        " matrices.",
        paper="https://arxiv.org/abs/2403.03507",
        rule=(
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²;  of matrices Pᵀ g\n"
            "u = m̂ / (√v̂ + ε);  there u ← P u,  P: leading singular vectors of g\n"
            "θ ← (1−ηλ) (θ − η u),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
        matrix_options={
            "rank": 128,
            "update_proj_gap": 200,
            "scale": 0.25,
            "projection_type": "std",
        },
    ),
    Entry(
        name="lomo",
        target="pytorch_optimizer:LOMO",
        summary="SGD update inside the backward pass",
        family="low-memory",
        paper="https://arxiv.org/abs/2306.09782",
        rule="θ ← θ − η g,  within the backward pass",
        licence="Apache-2.0",
        needs=("model",),
        refused="it updates the weights inside the backward pass",
    ),
    Entry(
        name="racs",
        target="pytorch_optimizer:RACS",
        summary="row and column scaled SGD",
        family="low-memory",
        use="Large models: its state is one row and one column per matrix.",
        paper="https://arxiv.org/abs/2502.07752",
        rule=(
            "s, q ← running means of g² over each row, over each column\n"
            "u = g / (√(s+ε) √(q+ε)),  ‖u‖ growing by 1% a step at most\n"
            "θ ← θ − ηλθ − η α u"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="rose",
        target="pytorch_optimizer:ROSE",
        summary="stateless steps on range-normalised gradients",
        family="low-memory",
        use="When memory is scarcest: it keeps no state.",
        rule=(
            "g ← g + λθ,  g ← g − its mean over each row,  r = |max g| − min g of each row\n"
            "d = r̄ + (r − r̄) r̄/(r̄ + σ),  r̄, σ: mean and deviation of r;  vectors: one r, d = r\n"
            "θ ← θ − η g / d"
        ),
        licence="Apache-2.0",
        hidden=("compute_dtype",),
    ),
    Entry(
        name="sara",
        target="pytorch_optimizer:SaRA",
        summary="AdamW on the small weights only, for fine-tuning",
        family="low-memory",
        use="Fine-tuning.",
        paper="https://arxiv.org/abs/2409.06633",
        rule=(
            "on the weights that start with |θ| < threshold, alone:\n"
            "m ← β1 m + (1−β1) g,  v ← β2 v + (1−β2) g²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        licence="Apache-2.0",
        defaults={"lr": 1e-3},
        cannot={"learns": "it only trains the weights that are almost 0 at the start"},
    ),
    Entry(
        name="sm3",
        target="pytorch_optimizer:SM3",
        summary="AdaGrad with maxima over rows and columns",
        family="low-memory",
        use="Embeddings and language models with little memory.",
        paper="https://arxiv.org/abs/1901.11150",
        rule=(
            "v = min(row, column) + g²,  row, column ← maxima of v over the row, the column\n"
            "θ ← θ − η g / √(v + ε)"
        ),
        licence="Apache-2.0",
    ),
    Entry(
        name="mars",
        target="pytorch_optimizer:MARS",
        summary="variance-reduced gradients under AdamW, Lion or Shampoo steps",
        family="variance-reduced",
        use="Language models, in place of AdamW.",
        paper="https://arxiv.org/abs/2411.10438",
        rule=(
            "c = g + γ β1/(1−β1) (g − g₋),  c ← c / max(1, ‖c‖);  vectors: c = g, own lr, β, λ\n"
            "m ← β1 m + (1−β1) c,  v ← β2 v + (1−β2) c²\n"
            "θ ← θ − ηλθ − η m̂ / (√v̂ + ε),  m̂ = m/(1−β1ᵗ), v̂ = v/(1−β2ᵗ)"
        ),
        deviation=(
            "The previous step's gradient replaces this batch's gradient at the previous weights "
            "(MARS-approx in the paper), and is 0 in the first step; eps is added before bias "
            "correction. Vectors are trained with AdamW, with lr_1d, betas_1d and "
            "weight_decay_1d, which is 0.1 regardless of weight_decay."
        ),
        licence="Apache-2.0",
    ),
)
