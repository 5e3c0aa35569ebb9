"""Schedule-free optimizers and Prodigy, in the code of their authors."""

from __future__ import annotations

from gdlightning.optimizers.entry import Entry

ROAD = "https://arxiv.org/abs/2405.15682"
AVERAGED = "θ ← (1−c)θ + cz, c = wₜ/Σw, w = t^r·η_max^p; y = (1−β₁)z + β₁θ"
MOVES = "it changes the weights before evaluating the loss, which breaks accumulation; use "

ENTRIES = (
    Entry(
        name="schedulefree:adamw",
        target="schedulefree:AdamWScheduleFree",
        summary="AdamW with weight averaging instead of a schedule (the authors' code)",
        family="schedule-free",
        use="When the length of the run is not known in advance; use a warm-up and no decay.",
        paper=ROAD,
        rule=f"v ← β₂v + (1−β₂)g(y)²; z ← z − η(g/(√v̂+ε) + λy)\n{AVERAGED}",
        licence="Apache-2.0",
        needs=("modes",),
    ),
    Entry(
        name="schedulefree:radam",
        target="schedulefree:RAdamScheduleFree",
        summary="RAdam with weight averaging instead of schedule and warm-up (the authors' code)",
        family="schedule-free",
        use="As schedulefree:adamw, without a warm-up.",
        paper=ROAD,
        rule=f"v ← β₂v + (1−β₂)g(y)²; z ← z − ηrₜ(g/(√v̂+ε) + λy), rₜ RAdam's\n{AVERAGED}",
        licence="Apache-2.0",
        needs=("modes",),
    ),
    Entry(
        name="schedulefree:sgd",
        target="schedulefree:SGDScheduleFree",
        summary="SGD with weight averaging instead of a schedule (the authors' code)",
        family="schedule-free",
        use="As schedulefree:adamw, for tasks where SGD works best.",
        paper=ROAD,
        rule=f"z ← z − η(g(y) + λy)\n{AVERAGED}",
        licence="Apache-2.0",
        needs=("modes",),
    ),
    *(
        Entry(
            name=f"schedulefree:{name}-closure",
            target=f"schedulefree:{cls}ScheduleFreeClosure",
            summary=f"schedulefree:{name} that keeps the averaged weights between steps",
            family="schedule-free",
            paper=ROAD,
            rule=f"as schedulefree:{name}; y only exists within a step\n{AVERAGED}",
            licence="Apache-2.0",
            needs=("closure",),
            refused=f"{MOVES}schedulefree:{name}",
        )
        for name, cls in (("adamw", "AdamW"), ("radam", "RAdam"), ("sgd", "SGD"))
    ),
    Entry(
        name="prodigyopt:prodigy",
        target="prodigyopt:Prodigy",
        summary="Adam that estimates its learning rate during training (the authors' code)",
        family="lr-free",
        use="When no good learning rate is known; keep lr at 1.",
        paper="https://arxiv.org/abs/2306.06101",
        rule="m ← β₁m + (1−β₁)dg, v ← β₂v + (1−β₂)d²g²; θ ← θ − ηd(m/(√v+dε) + λθ)\n"
        "r ← √β₂r + ηd²⟨g,θ₀−θ⟩, s ← √β₂s + ηd²g; d ← max(d, r/|s|₁)",
        licence="MIT",
        hidden=("fsdp_in_use",),
        cannot={
            "groups": "it estimates one learning rate for all weights, so groups cannot have "
            "their own"
        },
    ),
)
