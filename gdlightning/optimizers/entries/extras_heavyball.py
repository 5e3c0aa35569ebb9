"""Optimizers of heavyball, which composes them from small transforms over one base class."""

from __future__ import annotations

from typing import Any

from gdlightning.optimizers.entry import Entry

KELLER = "https://kellerjordan.github.io/posts/muon/"
LAPROP = "https://arxiv.org/abs/2002.04839"
SOAP = "https://arxiv.org/abs/2409.11321"
KL = "https://arxiv.org/abs/2509.03378"
PSGD = "https://arxiv.org/abs/1512.04202"
HOME = "https://github.com/HomebrewML/HeavyBall"

CLASS_DEFAULTS = {  # heavyball marks these as "not given" with an object that no config can hold
    "compile_step": False,
    "promote": False,
    "palm": False,
    "delayed": False,
    "cached": False,
    "exp_avg_input": True,
}
# Callables (replaced by clip), weights of a different dtype, shapes that are found automatically,
# Hessian-vector products, which need a special closure, and a schedule that fails in 3.2 ('int'
# object has no attribute 'clamp').
HIDDEN = (
    "gradient_clipping",
    "update_clipping",
    "fns",
    "ecc",
    "param_ecc",
    "orig_shapes",
    "finite_differences",
    "fallback_to_finite_differences",
    "hvp_interval",
    "hessian_approx",
    "use_precond_schedule",
    "precond_scheduler",
)
PALM = ("palm",)  # option of the base class that raises in classes that do not support it

HALF = {"bf16": "its factors stay in float32, and cannot be multiplied with bfloat16 gradients"}

ADAM = "m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²; θ ← θ − η(m̂/√v̂ + λθ)"
ROTATED = "L ← βL + (1−β)GGᵀ, R ← βR + (1−β)GᵀG; Q_L, Q_R their eigenvectors, by QR"
INNER = "G′ = Q_LᵀGQ_R; θ ← θ − η(Q_L {} Q_Rᵀ + λθ)"
ORTHOGONAL = "O = UVᵀ of M's SVD by 5 Newton-Schulz steps"
KRON = "Q₁, Q₂ fitted so that P = (Q₁ᵀQ₁) ⊗ (Q₂ᵀQ₂) whitens g"


def _row(
    name: str, cls: str, summary: str, family: str, paper: str, rule: str, **more: Any
) -> Entry:
    defaults = CLASS_DEFAULTS | more.pop("defaults", {})
    hidden = HIDDEN + more.pop("hidden", ())
    return Entry(
        name=f"heavyball:{name}",
        target=f"heavyball:{cls}",
        summary=summary,
        family=family,
        paper=paper,
        rule=rule,
        licence=more.pop("licence", "BSD-2-Clause"),
        defaults=defaults,
        hidden=hidden,
        **more,
    )


def _soap(name: str, cls: str, summary: str, paper: str, inner: str, **more: Any) -> Entry:
    rule = f"{ROTATED}\n{INNER.format(inner)}"
    return _row(name, cls, summary, "matrix", paper, rule, **more)


FIRST_ORDER = (
    _row(
        "sgd",
        "SGD",
        "gradient descent with heavy-ball momentum",
        "momentum",
        "https://doi.org/10.1016/0041-5553(64)90137-5",
        "m ← βm + g; θ ← θ − η(m + λθ)",
        hidden=PALM,
    ),
    _row(
        "adamw",
        "AdamW",
        "Adam with decoupled weight decay, β₂ 0.99",
        "adaptive",
        "https://arxiv.org/abs/1711.05101",
        ADAM,
    ),
    _row(
        "nadam",
        "NAdam",
        "Adam with Nesterov momentum",
        "adaptive",
        "https://cs229.stanford.edu/proj2015/054_report.pdf",
        "m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g²\nθ ← θ − η(μₜ₊₁m/(1−Πμᵢ₊₁) + (1−μₜ)g/(1−Πμᵢ))/√v̂",
    ),
    _row(
        "ademamix",
        "AdEMAMix",
        "Adam with a second, slow momentum",
        "adaptive",
        "https://arxiv.org/abs/2409.03137",
        "m₁, v as in Adam; m₂ ← β₃m₂ + (1−β₃)g; θ ← θ − η((m̂₁ + αm₂)/√v̂ + λθ)",
        hidden=PALM,
    ),
    _row(
        "unscaled-adamw",
        "UnscaledAdamW",
        "momentum of normalised gradients, scaled back",
        "adaptive",
        HOME,
        "v ← β₂v + (1−β₂)g²; m ← β₁m + (1−β₁)g/√v̂; θ ← θ − η(m̂√v̂ + λθ)",
        aliases=("unscaled-adamw",),
    ),
    _row(
        "suds-adamw",
        "SUDSAdamW",
        "Adam in coordinates aligned with the gradient's dominant direction",
        "adaptive",
        HOME,
        "f ← Oja's estimate of E[ggᵀ]'s first eigenvector; H turns f onto an axis\n"
        "θ ← θ − η(HᵀAdam(Hg) + λθ)",
        aliases=("suds-adamw",),
    ),
    _row(
        "adamc",
        "AdamC",
        "AdamW with weight decay scaled by the schedule twice",
        "adaptive",
        "https://arxiv.org/abs/2506.02285",
        "m, v as in Adam; θ ← θ − η(m̂/√v̂ + (η/η_max)λθ)",
        use="As adamw, with a decaying schedule; max_lr is the peak learning rate, lr by default.",
    ),
    _row(
        "rmsprop",
        "RMSprop",
        "RMSprop with Adam's bias correction, without momentum",
        "adaptive",
        "https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        "v ← β₂v + (1−β₂)g²; θ ← θ − η(g/√v̂ + λθ)",
        hidden=("r", "weight_lr_power"),
    ),
    _row(
        "adopt",
        "ADOPT",
        "Adam that divides by the previous second moment",
        "adaptive",
        "https://arxiv.org/abs/2411.02853",
        "m ← β₁m + (1−β₁)g/√v; θ ← θ − η(m̂ + λθ); v ← β₂v + (1−β₂)g²",
        deviation="g/√v is not clipped to t^¼, unlike in the paper's later version; weights whose"
        " first gradient is almost 0 take a very large step",
    ),
    _row(
        "laprop",
        "LaProp",
        "momentum of normalised gradients",
        "adaptive",
        LAPROP,
        "v ← β₂v + (1−β₂)g²; m ← β₁m + (1−β₁)g/√v̂; θ ← θ − η(m̂ + λθ)",
    ),
    _row(
        "sign-laprop",
        "SignLaProp",
        "sign of LaProp's step",
        "sign",
        LAPROP,
        "v ← β₂v + (1−β₂)g²; m ← β₁m + (1−β₁)g/√v̂; θ ← θ − η(sign m + λθ)",
        defaults={"lr": 3e-4},
        aliases=("sign-laprop",),
    ),
    _row(
        "ortho-laprop",
        "OrthoLaProp",
        "LaProp on the component of the gradient orthogonal to the weights",
        "adaptive",
        "https://arxiv.org/abs/2501.04697",
        "g⊥ = g − θ⟨θ,g⟩/|θ|², at |g|'s length; θ ← θ − η(LaProp(g⊥) + λθ)",
        aliases=("ortho-laprop",),
    ),
    _row(
        "laprop-ortho",
        "LaPropOrtho",
        "the component of LaProp's step orthogonal to the weights",
        "adaptive",
        "https://arxiv.org/abs/2501.04697",
        "u = LaProp(g); u⊥ = u − θ⟨θ,u⟩/|θ|², at |u|'s length; θ ← θ − η(u⊥ + λθ)",
        aliases=("laprop-ortho",),
    ),
    _row(
        "hyperball-adamw",
        "HyperBallAdamW",
        "RMSprop's steps on spheres of constant norm for matrices",
        "adaptive",
        "https://psychedelic-sunstone-851.notion.site/Fantastic-Pretraining-Optimizers-and-Where-"
        "to-Find-Them-2-1-Hyperball-Optimization-2e924306e6f280e7a5ffee00eb40a0dd",
        "u = g/√v̂ + λθ; matrices θ ← R·n(θ − ηR·n(u)), n(x) = x/|x|, R = |θ₀|\nvectors θ ← θ − ηu",
        aliases=("hyperball-adamw",),
    ),
    _row(
        "schedule-free-adamw",
        "SFAdamW",
        "AdamW with weight averaging instead of a schedule",
        "schedule-free",
        "https://arxiv.org/abs/2405.15682",
        "v ← β₂v + (1−β₂)g(y)²; z ← z − η(g/√v̂ + λy)\n"
        "θ ← (1−c)θ + cz, c = wₜ/Σw, w = η^p; y = (1−β₁)z + β₁θ",
        needs=("modes",),
    ),
    _row(
        "msam-laprop",
        "MSAMLaProp",
        "RMSprop with momentum, with gradients taken one step against the momentum",
        "sharpness-aware",
        "https://arxiv.org/abs/2401.12033",
        "m ← β₁m + (1−β₁)g/√v̂; θ ← θ − η(m + λθ); gradients at θ − ρm/|m|",
        hidden=("r", "weight_lr_power"),
        needs=("modes",),
        aliases=("msam-laprop",),
    ),
    _row(
        "sam",
        "SAMWrapper",
        "ASAM around another heavyball optimizer",
        "sharpness-aware",
        "https://arxiv.org/abs/2102.11600",
        "ε = ρθ²g; θ ← θ − η·base(g(θ + ε))",
        needs=("closure",),
        refused="a schedule cannot change its learning rate; use sam with adaptive: true",
    ),
)

MATRICES = (
    _row(
        "muon",
        "Muon",
        "orthogonalised momentum, Newton-Schulz with five coefficients",
        "matrix",
        KELLER,
        f"M ← βM + (1−β)G; M′ = M + G; {ORTHOGONAL.replace('M', 'M′')}\n"
        "θ ← θ − η(max(1, rows/columns)^½·O + λθ)",
        defaults={"lr": 0.02},
        needs=("matrices",),
    ),
    _row(
        "muon-adamw",
        "MuonAdamW",
        "Muon for matrices, Adam for vectors, one learning rate",
        "matrix",
        KELLER,
        f"matrices: M ← βM + (1−β)G; {ORTHOGONAL}\n"
        "θ ← θ − η(max(1, rows/columns)^½·O + λθ); vectors: AdamW",
        aliases=("muon-adamw",),
    ),
    _row(
        "muon-laprop",
        "MuonLaProp",
        "orthogonalised LaProp",
        "matrix",
        LAPROP,
        f"M ← LaProp(G); {ORTHOGONAL}\nθ ← θ − η(max(1, rows/columns)^½·O + λθ)",
        defaults={"lr": 0.02},
        needs=("matrices",),
        aliases=("muon-laprop",),
    ),
    _row(
        "scion",
        "Scion",
        "steps to the corner of a norm ball chosen per layer",
        "matrix",
        "https://arxiv.org/abs/2502.07529",
        "M ← βM + (1−β)G; θ ← θ − η(lmo(M) + λθ)",
        hidden=PALM,
        refused="its first step replaces all weights, including loaded ones, and sets the gains "
        "of norms to 0; use scion",
    ),
    _soap("soap", "SOAP", "Adam in the eigenbasis of Shampoo's preconditioner", SOAP, "Adam(G′)"),
    _soap(
        "soap-nadam",
        "SOAPNAdam",
        "NAdam in Shampoo's eigenbasis",
        SOAP,
        "NAdam(G′)",
        aliases=("soap-nadam",),
    ),
    _soap(
        "soap-ademamix",
        "SOAPAdEMAMix",
        "AdEMAMix in Shampoo's eigenbasis",
        SOAP,
        "AdEMAMix(G′)",
        aliases=("soap-ademamix",),
    ),
    _soap("solp", "SOLP", "LaProp in Shampoo's eigenbasis", SOAP, "LaProp(G′)", aliases=("solp",)),
    _soap(
        "kl-soap",
        "KLSOAP",
        "SOAP with factors that minimise a KL divergence",
        KL,
        "Adam(G′)",
        aliases=("kl-soap",),
    ),
    _row(
        "kl-shampoo",
        "KLShampoo",
        "Shampoo with factors that minimise a KL divergence",
        "matrix",
        KL,
        "L ← βL + (1−β)G R⁻¹Gᵀ, R ← βR + (1−β)GᵀL⁻¹G; M ← β₁M + (1−β₁)G\n"
        "θ ← θ − η(L^−½ M R^−½ + λθ)",
        aliases=("kl-shampoo",),
    ),
    _soap(
        "heavy-soap",
        "HeavySOAP",
        "SOAP that sorts its basis and transforms its moments accordingly",
        HOME,
        "Adam(G′)",
        aliases=("heavy-soap",),
    ),
    _soap(
        "heavy-soap-nadam",
        "HeavySOAPNAdam",
        "soap-nadam with heavy-soap's basis",
        HOME,
        "NAdam(G′)",
        aliases=("heavy-soap-nadam",),
    ),
    _soap(
        "heavy-soap-ademamix",
        "HeavySOAPAdEMAMix",
        "soap-ademamix with heavy-soap's basis",
        HOME,
        "AdEMAMix(G′)",
        aliases=("heavy-soap-ademamix",),
    ),
    _soap(
        "heavy-solp",
        "HeavySOLP",
        "solp with heavy-soap's basis",
        HOME,
        "LaProp(G′)",
        aliases=("heavy-solp",),
    ),
    _soap(
        "heavy-kl-soap",
        "HeavyKLSOAP",
        "kl-soap with heavy-soap's basis and pseudo-inverses",
        HOME,
        "Adam(G′)",
        aliases=("heavy-kl-soap",),
    ),
    _row(
        "heavy-kl-shampoo",
        "HeavyKLShampoo",
        "kl-shampoo with pseudo-inverses",
        "matrix",
        HOME,
        "L ← βL + (1−β)G R⁺Gᵀ, R ← βR + (1−β)GᵀL⁺G; M ← β₁M + (1−β₁)G\nθ ← θ − η(L^−½ M R^−½ + λθ)",
        aliases=("heavy-kl-shampoo",),
    ),
)

SECOND_ORDER = (
    _row(
        "psgd-kron",
        "PSGDKron",
        "PSGD with a Kronecker-factored preconditioner",
        "second-order",
        PSGD,
        f"m ← β₁m + (1−β₁)g; {KRON}\nθ ← θ − η(clip(P·m) + λθ)",
        hidden=PALM,
        licence="BSD-2-Clause, parts CC-BY-4.0",
    ),
    _row(
        "psgd-pro",
        "PSGDPRO",
        "PSGD that keeps its factors symmetric by Procrustes steps",
        "second-order",
        "https://arxiv.org/abs/2402.11858",
        f"m ← β₁m + (1−β₁)g; {KRON}, Q symmetric\nθ ← θ − η(P·m + λθ)",
        hidden=PALM,
        cannot=HALF,
        licence="BSD-2-Clause, parts CC-BY-4.0",
        aliases=("psgd-pro",),
    ),
    _row(
        "qsgd",
        "QSGD",
        "PSGD that applies the root of its preconditioner",
        "second-order",
        HOME,
        f"m ← β₁m + (1−β₁)g; {KRON}, Q symmetric\nθ ← θ − η((Q₁ ⊗ Q₂)m + λθ)",
        hidden=PALM,
        cannot=HALF,
        licence="BSD-2-Clause, parts CC-BY-4.0",
    ),
    _row(
        "psgd-lra",
        "PSGDLRA",
        "PSGD with a low-rank preconditioner for all weights",
        "second-order",
        PSGD,
        "m ← βm + (1−β)g; Q = (I + UVᵀ)·diag(d) fitted so that QᵀQ whitens "
        "g\nθ ← θ − η(clip(QᵀQm) + λθ)",
        defaults={"rank": 16},
        hidden=PALM,
        licence="BSD-2-Clause, parts CC-BY-4.0",
        aliases=("psgd-lra",),
    ),
    _row(
        "lather",
        "LATHER",
        "Adam in the eigenbasis of PSGD's preconditioner",
        "second-order",
        PSGD,
        f"{KRON}; B₁, B₂ the eigenvectors of Q₁, Q₂\nθ ← θ − η(clip(B₁ Adam(B₁ᵀGB₂) B₂ᵀ) + λθ)",
        hidden=PALM,
        licence="BSD-2-Clause, parts CC-BY-4.0",
        aliases=("lather",),
    ),
)

ENTRIES = (*FIRST_ORDER, *MATRICES, *SECOND_ORDER)
