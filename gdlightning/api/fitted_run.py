"""Training from Python, by the code of ``gdl fit``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from gdlightning.api.given_arguments import Arguments
from gdlightning.api.loaded_run import LoadedRun, load_chosen
from gdlightning.api.module_modes import restore_modes
from gdlightning.api.run_tables import metrics_table, verdicts_list
from gdlightning.config.settings import located
from gdlightning.diagnostics.diagnose import VERDICTS, as_text
from gdlightning.diagnostics.verdict import Verdict, read_verdicts
from gdlightning.errors import UserError
from gdlightning.runs.choose_checkpoint import choose_checkpoint
from gdlightning.runs.fit import StoppedRun
from gdlightning.runs.fit import fit as fit_config
from gdlightning.runs.run_folder import FINISHED
from gdlightning.signals import Stopped, stop_signals


class FittedRun:
    """The result of ``gdl.fit``.

    Attributes:
        folder: run folder.
        metrics: final metrics by name; empty if the run was stopped.
        verdicts: findings of the diagnosis, root causes first.
        finished: whether the run came to its end.
    """

    def __init__(
        self, folder: Path, objects: Mapping[str, Any], trained: L.LightningModule | None = None
    ) -> None:
        self.folder = folder
        self.finished = (folder / FINISHED).is_file()
        self.metrics: dict[str, float] = (
            json.loads((folder / FINISHED).read_text()) if self.finished else {}
        )
        self.verdicts: list[Verdict] = read_verdicts(folder / VERDICTS)
        self._objects, self._trained = objects, trained
        self._loaded: LoadedRun | None = None

    @property
    def loaded(self) -> LoadedRun:
        """The run with its best weights; the last ones if no metric was monitored."""
        if self._loaded is None:
            if self._trained is not None and not list(self.folder.glob("checkpoints/*.ckpt")):
                self._loaded = LoadedRun(self.folder, None, self._trained.eval(), None, {})
            else:
                self._loaded = load_chosen(choose_checkpoint(str(self.folder)), self._objects)
        return self._loaded

    @property
    def module(self) -> L.LightningModule:
        """The trained module with its best weights, in evaluation mode."""
        return self.loaded.module

    def predict(self, source: Any = None, *, probabilities: bool = False) -> Any:
        """Return predictions for new examples; see ``LoadedRun.predict``."""
        return self.loaded.predict(source, probabilities=probabilities)

    def test(self) -> dict[str, float]:
        """Return the metrics on the test split, by name."""
        return self.loaded.test()

    def __repr__(self) -> str:
        state = "finished" if self.finished else "stopped"
        lines = [f"FittedRun({str(self.folder)!r}, {state})"]
        width = max(map(len, self.metrics), default=0)
        lines += [f"  {name.ljust(width)}  {v:.4g}" for name, v in self.metrics.items()]
        return "\n".join([*lines, *([as_text(self.verdicts)] if self.verdicts else [])])

    def _repr_html_(self) -> str:
        state = "" if self.finished else " (stopped)"
        return metrics_table(f"{self.folder}{state}", self.metrics) + verdicts_list(self.verdicts)


def fit(
    config: Any = None,
    *,
    model: Any = None,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    loss: str | Callable[..., Any] | None = None,
    optimizer: Any = None,
    schedule: Any = None,
    clip: Any = None,
    **settings: Any,
) -> FittedRun:
    """Train a model, with the same checks, run folder, resume and diagnosis as ``gdl fit``.

    >>> gdl.fit("configs/tabular.yaml", lr=1e-2)  # doctest: +SKIP
    >>> gdl.fit(data=frame, target="price", max_epochs=20)  # doctest: +SKIP
    >>> gdl.fit(model=net, task="classification", data=(X, y), max_epochs=20)  # doctest: +SKIP

    A module that is passed is trained in place.

    Args:
        config: a YAML file, several, or a mapping as in one.
        model: the name of a task, a LightningModule, or a plain ``torch.nn.Module`` with ``task``
            or ``loss``; for tables, a task that fits the target by default.
        data: the name of a data module, the path of a table, a pandas DataFrame with ``target``,
            arrays ``(X, y)``, a DataLoader, loaders ``(train, val, test)``, or a
            LightningDataModule.
        target: the column to predict.
        task: ``classification`` or ``regression``, for a plain network.
        loss: a loss for a plain network: a name such as ``mse``, or a function of outputs and
            targets.
        optimizer: a name (``gdl optimizers``), or a mapping with ``name`` and options.
        schedule: a name (``gdl schedules``), or a mapping with ``name`` and options.
        clip: a maximal gradient norm, a name, or a mapping with ``name`` and options.
        **settings: any other option: ``lr``, ``max_epochs``, ``batch_size``, ``seed``, ``resume``,
            ``name``, …; options of a section as ``optimizer__lr`` or ``**{"optimizer.lr": 1e-2}``.

    Returns:
        The finished run, or a stopped one that ``resume`` continues.

    Raises:
        UserError: whatever is wrong, before anything is trained.
    """
    given = Arguments(config, model, data, target, task, loss, optimizer, schedule, clip, settings)
    with stop_signals.handled(until_exit=False, ends_process=False):
        checked = given.resolve()
        restore_modes(checked.objects.values())
        modules = [v for k, v in checked.objects.items() if k == "model"]
        try:
            with _restored_methods(modules):
                folder, training = fit_config(checked)
        except UserError as error:
            raise located(error, checked.given) from error
        except StoppedRun as stop:
            if stop.reason == "SIGINT":
                raise KeyboardInterrupt from None
            if stop.reason not in ("max_time", "stop_after") or not stop.folder.is_dir():
                raise
            return FittedRun(stop.folder, checked.objects)
        except Stopped as stop:
            if stop.reason == "SIGINT":
                raise KeyboardInterrupt from None
            raise
    return FittedRun(folder, checked.objects, training.module)


@contextlib.contextmanager
def _restored_methods(modules: list[Any]) -> Iterator[None]:
    """Restore the methods of modules that training replaces, so that they can be trained again."""
    before = [dict(vars(module)) for module in modules]
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            for name in [k for k in vars(module) if callable(getattr(type(module), k, None))]:
                del vars(module)[name]
                if name in own:
                    vars(module)[name] = own[name]
