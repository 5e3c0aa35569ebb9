"""Training loops that ``speed.py`` compares: plain PyTorch, gdlightning and other frameworks."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from workloads import Batches, Workload, cross_entropy, order

WARM = 20
"""Number of steps before timing starts."""


class Clock:
    """Record when each optimizer step ends, for any training loop."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def watch(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Record the steps of an optimizer."""
        optimizer.register_step_post_hook(lambda *_: self.ends.append(time.perf_counter()))
        return optimizer

    @property
    def step(self) -> float:
        """Return the mean time per step in seconds."""
        return (self.ends[-1] - self.ends[WARM - 1]) / (len(self.ends) - WARM)


Contestant = Callable[[Workload, Clock], nn.Module]


def _optimizer(w: Workload, net: nn.Module, clock: Clock, **more: Any) -> torch.optim.Optimizer:
    cls = getattr(torch.optim, w.optimizer)
    decay = {"weight_decay": 0.0} if w.optimizer == "AdamW" else {}
    return clock.watch(cls(net.parameters(), lr=w.lr, **decay, **more))


def tutorial(w: Workload, clock: Clock) -> nn.Module:
    """Train with the loop of the tutorials: a DataLoader over a TensorDataset."""
    net, data = w.prepared()
    optimizer = _optimizer(w, net, clock)
    loader = DataLoader(TensorDataset(*data), batch_sampler=Batches(len(data[1]), w.batch))
    for _ in range(w.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = cross_entropy(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), w.max_norm)
            optimizer.step()
            if len(clock.ends) == w.steps:
                return net
    return net


def floor(w: Workload, clock: Clock) -> nn.Module:
    """Train with a minimal loop: sliced batches and a fused optimizer."""
    net, (x, y) = w.prepared(sparse=w.sparse)
    fused = {} if w.sparse else {"fused": True}
    optimizer = _optimizer(w, net, clock, **fused)
    count = len(y)
    batches = [(x[i], y[i]) for e in range(w.epochs) for i in order(count, w.batch, e)]
    parameters = list(net.parameters())
    for inputs, targets in batches[: w.steps]:
        optimizer.zero_grad()
        loss = cross_entropy(net(inputs), targets)
        loss.backward()
        if w.sparse:
            _clip_sparse(parameters, w.max_norm)
        else:
            nn.utils.clip_grad_norm_(parameters, w.max_norm)
        optimizer.step()
    return net


def _clip_sparse(parameters: list[nn.Parameter], max_norm: float) -> None:
    for p in parameters:
        assert p.grad is not None
        p.grad = p.grad.coalesce()
        norm = p.grad._values().norm()
        p.grad._values().mul_(torch.clamp(max_norm / (norm + 1e-6), max=1.0))


def ours(w: Workload, clock: Clock, *flags: str) -> nn.Module:
    """Train with ``gdl fit`` and its default settings."""
    from gdlightning.callbacks.stop_conditions import Stops
    from gdlightning.runs import trainer as trainers
    from gdlightning.runs.build_run import assemble
    from gdlightning.runs.load_config import load
    from gdlightning.runs.quiet import quiet
    from gdlightning.runs.resume import open_run

    quiet()
    with tempfile.TemporaryDirectory() as folder:
        config, _ = load(
            [
                "--model",
                "ours.Classifier",
                "--data",
                "ours.Examples",
                "--run_root",
                folder,
                "--model.workload",
                w.name,
                "--data.workload",
                w.name,
                "--data.val_fraction",
                "0",
                "--data.test_fraction",
                "0",
                "--data.batch_size",
                str(w.batch),
                "--clip",
                "norm",
                "--optimizer",
                w.optimizer.lower(),
                f"--optimizer.lr={w.lr}",
                "--optimizer.weight_decay=0.0",
                "--trainer.max_steps",
                str(w.steps),
                "--trainer.max_epochs",
                str(w.epochs),
                "--trainer.accelerator",
                "cpu",
                "--schedule",
                "constant",
                *flags,
            ]
        )
        training = assemble(config)
        with open_run(config, True) as run:
            trainer = trainers.build(training, Stops())
            trainers.attach_run(trainer, training, run.folder)
            _watch_from_start(trainer, clock)
            trainer.fit(training.module, datamodule=training.data)
    module: Any = training.module
    return module.net


def _watch_from_start(trainer: Any, clock: Clock) -> None:
    import lightning.pytorch as L

    class Watch(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            clock.watch(trainer.optimizers[0])

    trainer.callbacks.append(Watch())


def fastest(w: Workload, clock: Clock) -> nn.Module:
    """Train with ``gdl fit --profile fast``."""
    return ours(w, clock, "--profile", "fast")


def unwatched(w: Workload, clock: Clock) -> nn.Module:
    """Train with ``gdl fit`` without the monitor, which costs most in the first steps."""
    return ours(w, clock, "--monitor.every", "0")


def lightning(w: Workload, clock: Clock) -> nn.Module:
    """Train with Lightning as in its documentation."""
    import lightning.pytorch as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _optimizer(w, net, clock)

    net, data = w.prepared()
    loader = DataLoader(TensorDataset(*data), batch_sampler=Batches(len(data[1]), w.batch))
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_steps=w.steps,
            max_epochs=w.epochs,
            gradient_clip_val=w.max_norm,
            accelerator="cpu",
            default_root_dir=folder,
            use_distributed_sampler=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(), loader)
    return net


def transformers(w: Workload, clock: Clock) -> nn.Module:
    """Train with the Trainer of Hugging Face's transformers."""
    from transformers import Trainer, TrainingArguments

    net, data = w.prepared()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.net(x)
            return {"loss": cross_entropy(logits, labels), "logits": logits}

    class Ordered(Trainer):
        def get_train_dataloader(self) -> Any:
            return DataLoader(
                TensorDataset(*data),
                batch_sampler=Batches(len(data[1]), w.batch),
                collate_fn=lambda rows: {
                    "x": torch.stack([r[0] for r in rows]),
                    "labels": torch.stack([r[1] for r in rows]),
                },
            )

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=w.steps,
            per_device_train_batch_size=w.batch,
            max_grad_norm=w.max_norm,
            logging_steps=50,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            lr_scheduler_type="constant",
        )
        model = Wrapped()
        trainer = Ordered(
            model,
            arguments,
            train_dataset=TensorDataset(*data),
            optimizers=(_optimizer(w, net, clock), None),
        )
        trainer.train()
    return net


def ignite(w: Workload, clock: Clock) -> nn.Module:
    """Train with PyTorch-Ignite's engine and progress bar."""
    from ignite.engine import Engine, Events
    from ignite.handlers import ProgressBar

    net, data = w.prepared()
    optimizer = _optimizer(w, net, clock)

    def update(_: Engine, batch: Any) -> float:
        net.train()
        optimizer.zero_grad()
        loss = cross_entropy(net(batch[0]), batch[1])
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), w.max_norm)
        optimizer.step()
        return loss.item()

    engine = Engine(update)
    ProgressBar().attach(engine, output_transform=lambda loss: {"loss": loss})
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=w.steps), lambda e: e.terminate())
    loader = DataLoader(TensorDataset(*data), batch_sampler=Batches(len(data[1]), w.batch))
    engine.run(loader, max_epochs=w.epochs)
    return net


def skorch(w: Workload, clock: Clock) -> nn.Module:
    """Train with skorch's NeuralNet, clipping and its line per epoch."""
    from skorch import NeuralNet
    from skorch.callbacks import GradientNormClipping

    net, data = w.prepared()

    class Stop(Exception):
        pass

    class Counted(NeuralNet):
        def get_iterator(self, dataset: Any, training: bool = False) -> Any:
            return DataLoader(dataset, batch_sampler=batches)

        def initialize_optimizer(self, *args: Any, **kwargs: Any) -> Any:
            made = super().initialize_optimizer(*args, **kwargs)
            clock.watch(self.optimizer_)
            return made

        def train_step(self, batch: Any, **params: Any) -> Any:
            found = super().train_step(batch, **params)
            if len(clock.ends) == w.steps:
                raise KeyboardInterrupt
            return found

        def get_loss(self, y_pred: Tensor, y_true: Tensor, *_: Any, **__: Any) -> Tensor:
            return cross_entropy(y_pred, y_true)

    batches = Batches(len(data[1]), w.batch)
    decay = {"optimizer__weight_decay": 0.0} if w.optimizer == "AdamW" else {}
    trained = Counted(
        net,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        max_epochs=w.epochs,
        lr=w.lr,
        optimizer=getattr(torch.optim, w.optimizer),
        batch_size=w.batch,
        callbacks=[GradientNormClipping(w.max_norm)],
        **decay,
    )
    trained.fit(*data)
    return trained.module_


def accelerate(w: Workload, clock: Clock) -> nn.Module:
    """Train with the loop of the tutorials and Hugging Face's accelerate."""
    from accelerate import Accelerator

    net, data = w.prepared()
    accelerator = Accelerator(cpu=True)
    loader = DataLoader(TensorDataset(*data), batch_sampler=Batches(len(data[1]), w.batch))
    net, optimizer, loader = accelerator.prepare(net, _optimizer(w, net, clock), loader)
    for _ in range(w.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = cross_entropy(net(x), y)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(net.parameters(), w.max_norm)
            optimizer.step()
            if len(clock.ends) == w.steps:
                return net
    return net


CONTESTANTS: dict[str, Contestant] = {
    "tutorial loop": tutorial,
    "floor": floor,
    "gdlightning": ours,
    "gdlightning, no monitor": unwatched,
    "gdlightning, profile fast": fastest,
    "Lightning": lightning,
    "HF Trainer": transformers,
    "Ignite": ignite,
    "skorch": skorch,
    "accelerate": accelerate,
}


def run(contestant: str, w: Workload) -> tuple[float, float]:
    """Mean seconds of a step, and the loss of the first 1,024 examples after all of them.

    Raises:
        SystemExit: other steps were made than were asked for.
    """
    clock = Clock()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with (
        tempfile.NamedTemporaryFile("w") as screen,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(Path(screen.name).open("w")),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        net = CONTESTANTS[contestant](w, clock)
    x, y = w.prepared()[1]
    with torch.no_grad():
        loss = float(cross_entropy(net.train()(x[:1024]), y[:1024]))
    if len(clock.ends) != w.steps:
        raise SystemExit(f"{contestant} made {len(clock.ends)} steps on {w.name}.")
    return clock.step, loss
