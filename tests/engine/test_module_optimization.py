"""Modules with their own optimizers, schedulers and step hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import yaml
from helpers import QUIET, Run
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

import gdlightning as gdl
from gdlightning import UserError

X = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[1.0], [2.0], [3.0], [-1.0]])


class Points(L.LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(X, Y), 16)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(X, Y), 48)


class Plain(L.LightningModule):
    """Has no optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)
        with torch.no_grad():
            self.net.weight.fill_(0.1)
            self.net.bias.zero_()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", (self.net(batch[0]) - batch[1]).square().mean())


class OneCycle(Plain):
    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.05, momentum=0.9)
        scheduler = OneCycleLR(optimizer, 0.1, total_steps=24)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


class EpochSteps(Plain):
    def configure_optimizers(self) -> Any:
        optimizer = Adam(self.parameters(), lr=0.05)
        return [optimizer], [StepLR(optimizer, 2, 0.1)]


class Plateau(Plain):
    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.4)
        scheduler = ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"},
        }


class Adversaries(L.LightningModule):
    """Module with two optimizers and manual optimization."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(1)
        self.generator, self.critic = nn.Linear(4, 4), nn.Linear(4, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[attr-defined]
        for optimizer, sign in ((first, 1.0), (second, -1.0)):
            loss = sign * self.critic(self.generator(batch[0])).tanh().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("loss", loss)

    def configure_optimizers(self) -> Any:
        return Adam(self.generator.parameters(), 1e-2), SGD(self.critic.parameters(), 1e-2)


pytestmark = pytest.mark.filterwarnings("ignore:.*no `validation_step`.*")

SHORT = (*QUIET, "--data", f"{__name__}.Points", "--trainer.max_epochs", "4")


def weights(folder: str = "runs/run/version_0") -> dict[str, Tensor]:
    path = Path(folder) / "checkpoints" / "last.ckpt"
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


def by_lightning(module: L.LightningModule) -> dict[str, Tensor]:
    """Return the weights after training with plain Lightning."""
    trainer().fit(module, Points())
    return module.state_dict()


@pytest.mark.parametrize("model", [OneCycle, EpochSteps, Plateau, Adversaries])
def test_own_optimizers_and_schedulers_are_used(model: type[Plain], gdl: Run) -> None:
    done = gdl("fit", *SHORT, "--model", f"{__name__}.{model.__name__}")
    assert done.code == 0, done.err
    expected = by_lightning(model())
    assert {k: v.tolist() for k, v in weights().items()} == {
        k: v.tolist() for k, v in expected.items()
    }
    config = yaml.safe_load(Path("runs/run/version_0/config.yaml").read_text())
    assert config["optimizer"] == {"name": "module"}


@pytest.mark.parametrize("model", [OneCycle, Plateau, Adversaries])
def test_a_run_with_own_optimizers_resumes_exactly(model: type[Plain], gdl: Run) -> None:
    own = ("fit", *SHORT, "--model", f"{__name__}.{model.__name__}")
    assert gdl(*own, "--name", "twin").code == 0
    assert gdl(*own, "--stop_after", "9").code == 75
    assert gdl(*own, "--resume", "auto").code == 0
    expected = weights("runs/twin/version_0")
    assert all(torch.equal(v, expected[k]) for k, v in weights().items())


def test_replacing_own_optimizers_is_reported(gdl: Run) -> None:
    done = gdl("fit", *SHORT, "--model", f"{__name__}.OneCycle", "--optimizer", "adamw")
    assert done.code == 0
    assert "OneCycle.configure_optimizers is replaced by the optimizer adamw." in done.err
    plain = gdl("fit", *SHORT, "--model", f"{__name__}.Plain")  # AdamW by default
    assert plain.code == 0
    assert "configure_optimizers" not in plain.err


@pytest.mark.parametrize(
    ("model", "flags", "words"),
    [
        ("OneCycle", ("--optimizer.lr", "0.1"), "the optimizers are the model's own"),
        ("OneCycle", ("--schedule", "cosine"), "schedule is not supported"),
        ("OneCycle", ("--groups.layer_decay", "0.5"), "groups is not supported"),
        ("OneCycle", ("--guard.policy", "rollback"), "guard.policy rollback is not supported"),
        ("Adversaries", ("--optimizer", "sgd"), "uses manual optimization"),
        ("Adversaries", ("--clip", "norm"), "call self.clip_gradients"),
    ],
)
def test_settings_that_do_not_apply_to_own_optimizers(
    model: str, flags: tuple[str, ...], words: str, gdl: Run
) -> None:
    done = gdl("fit", *SHORT, "--model", f"{__name__}.{model}", *flags)
    assert done.code == 2
    assert words in done.err
    assert not Path("runs").exists()


def test_clipping_applies_to_own_optimizers(gdl: Run) -> None:
    own = ("fit", *SHORT, "--model", f"{__name__}.OneCycle", "--trainer.max_steps", "1")
    assert gdl(*own, "--clip", "0.001").code == 0  # a number is a norm
    config = yaml.safe_load(Path("runs/run/version_0/config.yaml").read_text())
    assert config["clip"]["name"] == "norm"
    assert config["clip"]["max_norm"] == 0.001
    moved = {k: v - Plain().state_dict()[k] for k, v in weights().items()}
    step = torch.cat([v.flatten() for v in moved.values()]).norm()
    assert step == pytest.approx(0.001 * 0.1 / 25, rel=1e-3)  # OneCycle starts at 1/25 of its peak


class Hooks(OneCycle):
    """Overrides the methods that are part of a step."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        self.calls.append("backward")
        (2 * loss).backward()

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None
    ) -> None:
        self.calls.append("optimizer_step")
        optimizer.step(closure=closure)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self.calls.append("clipping")
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")


def trainer(**options: Any) -> L.Trainer:
    return L.Trainer(
        max_epochs=4,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_own_hooks_of_a_step_are_called(gdl: Run) -> None:
    done = gdl("fit", *SHORT, "--model", f"{__name__}.Hooks")
    assert done.code == 0, done.err
    expected = by_lightning(Hooks())
    assert all(torch.equal(v, expected[k]) for k, v in weights().items())


def test_own_hooks_are_called_with_a_registered_optimizer() -> None:
    module = Hooks()
    trainer().fit(gdl.optimize(module, "sgd", lr=0.1), Points())
    assert module.calls == ["optimizer_step", "backward", "clipping"] * 24


@pytest.mark.parametrize(
    ("optimizer", "options", "words"),
    [
        ("sam", {}, "sam evaluates the loss in its step"),
        ("adamw", {"clip": 1.0}, "Clipping is configured twice"),
        ({"name": "sgd", "in_backward": True}, {}, "steps in the backward pass"),
    ],
)
def test_hooks_that_cannot_be_combined(optimizer: Any, options: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        gdl.optimize(Hooks(), optimizer, **options)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_of_the_trainer_is_applied(algorithm: str) -> None:
    module = Plain()
    clipped = trainer(gradient_clip_val=0.01, gradient_clip_algorithm=algorithm)
    clipped.fit(gdl.optimize(module, "sgd", lr=0.1, momentum=0.0), Points())
    twin = Plain()
    bounds = {"max_norm": 0.01} if algorithm == "norm" else {"max_value": 0.01}
    own = {"name": algorithm, **bounds}
    trainer().fit(gdl.optimize(twin, "sgd", lr=0.1, momentum=0.0, clip=own), Points())
    free = Plain()
    trainer().fit(gdl.optimize(free, "sgd", lr=0.1, momentum=0.0), Points())
    assert torch.equal(module.net.weight, twin.net.weight)
    assert not torch.equal(module.net.weight, free.net.weight)
    with pytest.raises(UserError, match="Clipping is configured twice"):
        trainer(gradient_clip_val=0.01).fit(gdl.optimize(Plain(), "sgd", clip=1.0), Points())


class Skips(Plain):
    """Skips every third batch."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        return None if batch_idx % 3 == 1 else super().training_step(batch, batch_idx)


@pytest.mark.parametrize("optimizer", ["adamw", "sam", "lbfgs", "schedule-free-adamw"])
@pytest.mark.filterwarnings("ignore:.*returned `None`.*")
def test_batches_that_a_module_skips(optimizer: str, gdl: Run) -> None:
    own = ("fit", *SHORT, "--model", f"{__name__}.Skips", "--optimizer", optimizer)
    done = gdl(*own, "--monitor.every", "1")
    assert done.code == 0, done.err
    assert "is disabled from step" not in done.err
    done = gdl(*own, "--monitor.every", "1", "--trainer.accumulate_grad_batches", "2")
    assert done.code == 0, done.err
    assert "is disabled from step" not in done.err


def test_skipped_batches_make_the_steps_of_lightning(gdl: Run) -> None:
    done = gdl("fit", *SHORT, "--model", f"{__name__}.SkipsOneCycle")
    assert done.code == 0, done.err
    expected = by_lightning(SkipsOneCycle())
    assert all(torch.equal(v, expected[k]) for k, v in weights().items())


class SkipsOneCycle(Skips, OneCycle):
    """Skips batches, and has an optimizer."""
