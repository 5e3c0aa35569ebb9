"""Language modelling equals a float64 reference; text generation follows its options."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F

from gdlightning.data.language import IGNORE, TextFiles
from gdlightning.errors import UserError
from gdlightning.nets.gpt import GPT
from gdlightning.tasks.language import LanguageModelling, PerUnit

TEXT = "Größe zählt nicht, 世界 schon. " * 30


def make(tmp_path: Path, level: Any) -> tuple[TextFiles, LanguageModelling]:
    """Return a corpus with multi-byte characters, and an untrained net."""
    (tmp_path / "book.txt").write_text(TEXT, encoding="utf-8")
    data = TextFiles(
        str(tmp_path / "book.txt"),
        context=16,
        level=level,
        val_fraction=0.2,
        test_fraction=0.0,
        batch_size=5,
    )
    data.setup()
    sizes = data.sizes()
    torch.manual_seed(0)
    net = GPT(sizes["vocab_size"], width=16, depth=1, heads=2)
    return data, LanguageModelling(net, sizes["alphabet"], sizes["context"])


@pytest.mark.parametrize("level", ["bytes", "characters"])
def test_perplexity_and_bits_per_byte(level: Any, tmp_path: Path) -> None:
    data, task = make(tmp_path, level)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    (found,) = trainer.validate(task, datamodule=data, verbose=False)

    rows, net = data.rows["val"], task.net.double()
    inputs, targets = rows.take(torch.arange(len(rows)))
    logits = net(inputs).detach().flatten(0, 1)
    nats = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORE, reduction="none")
    scored = targets.flatten()[targets.flatten() != IGNORE]
    text = task.tokenizer.decode(scored.tolist())
    total = float(nats.sum())
    units = len(scored) if level == "bytes" else len(text.encode("utf-8"))
    assert len(scored) == len(rows.corpus) - 1  # type: ignore[attr-defined]
    perplexity = math.exp(total / len(scored))
    assert found["val_perplexity"] == pytest.approx(perplexity, rel=1e-5)
    assert found["val_bits_per_byte"] == pytest.approx(total / units / math.log(2), rel=1e-5)
    if level == "characters":
        assert units > len(scored)


def test_loss_ignores_unscored_targets() -> None:
    task = LanguageModelling(GPT(256, width=16, depth=1, heads=2).double())
    tokens = torch.arange(12).reshape(2, 6)
    targets = tokens + 1
    targets[0, :3] = IGNORE
    loss = task.loss((tokens, targets))
    wanted = F.cross_entropy(task(tokens).flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    torch.testing.assert_close(loss, wanted)
    loss = task.loss((tokens, torch.full_like(targets, IGNORE)))
    assert float(loss.detach()) == 0


def test_sums_are_accurate_over_many_batches() -> None:
    metric = PerUnit(bits=False)
    for _ in range(3000):
        metric.update(torch.tensor(20_000.1), torch.tensor([8192, 8192]))
    single = float(torch.tensor(20_000.1)) / 8192
    assert float(metric.compute()) == pytest.approx(math.exp(single), rel=1e-6)


class Counting(torch.nn.Module):
    """Net that predicts the last byte plus 1 almost surely, and the last byte plus 2 next."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.seen = tokens.shape[1]
        return 9 * F.one_hot((tokens + 1) % 256, 256) + 8.0 * F.one_hot((tokens + 2) % 256, 256)


def test_generation() -> None:
    net = Counting()
    task = LanguageModelling(net, context=4)
    assert task.generate("abc", 5, temperature=0) == "defgh"
    assert net.seen == 4
    assert task.generate("abc", 5, top_k=1) == "defgh"
    draws = {task.generate("a", 8, seed=k, top_k=2) for k in range(5)}
    assert len(draws) > 1
    assert task.generate("a", 8, seed=3) == task.generate("a", 8, seed=3)
    for text in draws:
        steps = [ord(b) - ord(a) for a, b in itertools.pairwise("a" + text)]
        assert set(steps) <= {1, 2}
    state = torch.get_rng_state()
    task.generate("a", 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_character_is_never_generated() -> None:
    net = torch.nn.Embedding(3, 3)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([9.0, 1.0, 0.0]).expand(3, 3))
    task = LanguageModelling(net, alphabet="ab")
    assert set(task.generate("zz", 50, temperature=1.0)) <= {"a", "b"}
    assert task.generate("a", 4, temperature=0) == "aaaa"


@pytest.mark.parametrize(
    "options", [{"length": 0}, {"temperature": -1.0}, {"temperature": math.nan}, {"top_k": 0}]
)
def test_invalid_options_are_an_error(options: dict[str, Any]) -> None:
    task = LanguageModelling(Counting())
    (key,) = options
    with pytest.raises(UserError, match=rf"--{key} must be at least"):
        task.generate("a", **options)


def test_samples_continue_the_batch(tmp_path: Path) -> None:
    data, task = make(tmp_path, "characters")
    batch = data.rows["val"].take(torch.arange(2))
    (text,) = task.samples(batch).values()
    start = task.tokenizer.decode(batch[0][0][:8].tolist())
    assert text.startswith(f"**{start}**")
    assert len(text) == 8 + 4 + 200
