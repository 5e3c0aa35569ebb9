"""Recommendation of an optimizer and its settings by rules, each with reason and source.

The rules are a starting point. Measure on the task to know what works best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gdlightning.study.task_profile import TaskProfile

MAX_LM_LR, LM_LR, LM_SIZE = 3e-3, 6e-4, 124e6
"""Maximum learning rate of language models, and that of a model with 124 million parameters."""
SHORT_RUN_STEPS, LARGE_BATCH = 1000, 1024
"""Steps below which a run is short, and examples above which a batch is large."""
BYTES_PER_PARAMETER = 16
"""Memory of weights, gradients and AdamW's state per parameter."""

ADAMW = "Loshchilov and Hutter 2019, arxiv.org/abs/1711.05101"
ADAGRAD = "Duchi, Hazan and Singer 2011, jmlr.org/papers/v12/duchi11a.html"
BERT = "Devlin et al. 2019, arxiv.org/abs/1810.04805"
GPT3 = "Brown et al. 2020, table 2.1, arxiv.org/abs/2005.14165"
RESNET = "He et al. 2016, arxiv.org/abs/1512.03385; Goyal et al. 2017, arxiv.org/abs/1706.02677"
TABULAR = "Gorishniy et al. 2021, arxiv.org/abs/2106.11959"
CLIPPING = "Pascanu, Mikolov and Bengio 2013, arxiv.org/abs/1211.5063"
WARMUP = "Goyal et al. 2017, arxiv.org/abs/1706.02677; Ma and Yarats 2021, arxiv.org/abs/1910.04209"
COSINE = "Loshchilov and Hutter 2017, arxiv.org/abs/1608.03983"
SQUARE_ROOT = "Malladi et al. 2022, arxiv.org/abs/2205.10287"
FANTASTIC = "Wen et al. 2025, arxiv.org/abs/2509.02046"
EIGHT_BIT = "Dettmers et al. 2022, arxiv.org/abs/2110.02861"
LAYERWISE = "Howard and Ruder 2018, arxiv.org/abs/1801.06146"


@dataclass(frozen=True)
class Reason:
    """Reason for a choice."""

    what: str
    why: str
    source: str


@dataclass
class Recommendation:
    """Recommended sections of a config, with reasons.

    Attributes:
        sections: ``optimizer``, ``schedule``, ``clip`` and ``groups``.
        reasons: reasons in the order of the choices.
        others: alternative optimizers worth measuring.
    """

    sections: dict[str, dict[str, Any]]
    reasons: list[Reason] = field(default_factory=list)
    others: list[Mapping[str, Any]] = field(default_factory=list)

    def because(self, what: str, why: str, source: str) -> None:
        """Add a reason."""
        self.reasons.append(Reason(what, why, source))


def recommend(facts: TaskProfile) -> Recommendation:
    """Recommend an optimizer and its settings."""
    found = _optimizer(facts)
    optimizer = found.sections["optimizer"]
    if optimizer["name"] != "adagrad":
        _schedule(facts, found)
    if facts.net in ("transformer", "recurrent"):
        found.sections["clip"] = {"name": "norm", "max_norm": 1.0}
        found.because(
            "clip: norm 1.0",
            f"gradients of {facts.net} networks occasionally spike",
            CLIPPING,
        )
    _adjust(facts, found)
    return found


def _optimizer(facts: TaskProfile) -> Recommendation:
    if facts.sparse or facts.net == "bag":
        found = Recommendation({"optimizer": {"name": "adagrad", "lr": 0.5}})
        found.because(
            "optimizer: adagrad, lr 0.5, no decay",
            "rare features need larger steps than frequent ones, and its learning rate decays "
            "automatically",
            ADAGRAD,
        )
        found.others = [{"name": "adam", "lr": 1e-2}, {"name": "sgd", "lr": 1.0}]
        return found
    if facts.finetuning:
        lr = 5e-5 if facts.net == "transformer" else 3e-4
        found = _adamw(lr, 0.01, "small steps preserve the pretrained weights", BERT)
        found.sections["groups"] = {"layer_decay": 0.8}
        found.because("groups.layer_decay: 0.8", "lower layers should change less", LAYERWISE)
        found.others = [{"name": "sgd", "lr": 1e-2}]
        return found
    if facts.net == "transformer":
        lr = MAX_LM_LR if not facts.parameters else LM_LR * (LM_SIZE / facts.parameters) ** 0.34
        lr = float(f"{min(lr, MAX_LM_LR):.2g}")
        why = f"standard for transformers, with lr scaled to {facts.parameters:,} parameters"
        found = _adamw(lr, 0.1, why, GPT3)
        found.sections["optimizer"]["betas"] = [0.9, 0.95]
        found.others = [
            {"name": "muon", "lr": lr, "adjust_lr_fn": "match_rms_adamw"},
            {"name": "lion", "lr": lr / 5},
        ]
        found.because(
            "alternative to measure: muon",
            "matrix optimizers are slightly faster on language models, less so on large ones",
            FANTASTIC,
        )
        return found
    if facts.net == "convolution" and not 0 < facts.epochs < 20:
        found = Recommendation(
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}}
        )
        found.because(
            "optimizer: sgd, lr 0.1, momentum 0.9, weight decay 5e-4",
            "convolutional networks trained from scratch for many epochs",
            RESNET,
        )
        found.others = [{"name": "adamw", "lr": 3e-3, "weight_decay": 0.05}]
        return found
    lr, why, source = 1e-3, "robust default", ADAMW
    if facts.net == "dense":
        why, source = "standard for tabular data", TABULAR
    found = _adamw(lr, 0.01, why, source)
    found.others = [{"name": "sgd", "lr": 0.1}]
    return found


def _adamw(lr: float, decay: float, why: str, source: str) -> Recommendation:
    found = Recommendation({"optimizer": {"name": "adamw", "lr": lr, "weight_decay": decay}})
    found.because(f"optimizer: adamw, lr {lr:g}, weight decay {decay:g}", why, source)
    return found


def _schedule(facts: TaskProfile, found: Recommendation) -> None:
    name = "linear" if facts.finetuning else "cosine"
    warmup = 0.1 if facts.finetuning or facts.steps < SHORT_RUN_STEPS else 0.05
    found.sections["schedule"] = {"name": name, "warmup": warmup}
    found.because(f"schedule: {name}", "decays the learning rate to 0 by the end", COSINE)
    found.because(f"schedule.warmup: {warmup:g}", "the first steps are the least reliable", WARMUP)


def _adjust(facts: TaskProfile, found: Recommendation) -> None:
    """Adjust the settings for batch size, length and memory."""
    optimizer = found.sections["optimizer"]
    adaptive = optimizer["name"] == "adamw"
    if (
        adaptive
        and not facts.finetuning
        and facts.net != "transformer"
        and facts.steps < SHORT_RUN_STEPS
    ):
        optimizer["lr"] = 3 * optimizer["lr"]
        found.because(
            f"optimizer.lr: {optimizer['lr']:g}, three times as large",
            f"a short run of {facts.steps:,} steps needs larger steps",
            "rule of thumb; use --measure to check on your data",
        )
    if facts.batch > LARGE_BATCH and not facts.finetuning:
        factor = (facts.batch / LARGE_BATCH) ** (0.5 if adaptive else 1.0)
        optimizer["lr"] = float(f"{optimizer['lr'] * factor:.2g}")
        found.because(
            f"optimizer.lr: {optimizer['lr']:g}",
            f"gradients of batches of {facts.batch:,} examples have less noise",
            SQUARE_ROOT if adaptive else RESNET,
        )
    if adaptive and facts.memory and facts.parameters * BYTES_PER_PARAMETER > 0.6 * facts.memory:
        optimizer["name"] = "torchao:adamw-8bit"
        found.because(
            "optimizer: torchao:adamw-8bit",
            f"weights, gradients and state of {facts.parameters:,} parameters fill the GPU memory",
            EIGHT_BIT,
        )
