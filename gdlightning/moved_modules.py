"""Former locations of modules, which can be imported for one more release."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "gdlightning."


class MovedModules(MetaPathFinder, Loader):
    """Import a module by its former name, with a ``DeprecationWarning`` that has the new one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a former name, None for all others."""
        if fullname.removeprefix(PACKAGE) not in MOVED or not fullname.startswith(PACKAGE):
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Import the module from its present location."""
        present = PACKAGE + MOVED[spec.name.removeprefix(PACKAGE)]
        warnings.warn(
            f"{spec.name} is now {present}; the old name will be removed in the next release.",
            DeprecationWarning,
            stacklevel=2,
        )
        module = importlib.import_module(present)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the specification, which the import system replaced; the code has run."""
        module.__spec__ = module.__spec__ and module.__spec__.loader_state


def install() -> None:
    """Add the former names to Python's import system; calling it again has no effect."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())


MOVED = {
    "callbacks.exact": "callbacks.resume_state",
    "callbacks.failures": "engine.step_errors",
    "callbacks.guard": "engine.divergence_guard",
    "callbacks.head": "callbacks.monitor_header",
    "callbacks.in_backward": "engine.in_backward_checks",
    "callbacks.judged": "engine.deferred_step",
    "callbacks.loaders": "engine.train_loaders",
    "callbacks.modes": "engine.eval_weights",
    "callbacks.optimization": "engine.optimization",
    "callbacks.pictures": "callbacks.tensorboard_media",
    "callbacks.record": "callbacks.run_metadata",
    "callbacks.refusals": "engine.capability_checks",
    "callbacks.replay": "engine.closure_replay",
    "callbacks.second_order": "curvature.double_backward",
    "callbacks.step_loss": "engine.step_loss",
    "callbacks.stops": "callbacks.stop_conditions",
    "callbacks.watch": "callbacks.step_logger",
    "cli.agreement": "runs.consistency_checks",
    "cli.assemble": "runs.build_run",
    "cli.atlas": "cli.printing.optimizer_tables",
    "cli.auto": "runs.auto_optimizer",
    "cli.check_resume": "runs.check_resume",
    "cli.checkpoint": "runs.find_checkpoint",
    "cli.choices": "config.sections",
    "cli.comparing": "runs.run_comparison",
    "cli.compositions": "config.optimizer_parts",
    "cli.config": "config.schema",
    "cli.disk": "runs.disk_errors",
    "cli.expand": "config.expand_paths",
    "cli.extra": "runs.config_callbacks",
    "cli.folder": "runs.run_folder",
    "cli.glance": "config.early_checks",
    "cli.hessians": "runs.run_hessian",
    "cli.limits": "config.value_checks",
    "cli.lock": "runs.run_lock",
    "cli.parse": "config.typed_values",
    "cli.profiles": "config.profiles",
    "cli.prove": "cli.optimizers",
    "cli.restore": "runs.load_run",
    "cli.resume": "runs.resume",
    "cli.resume_changes": "runs.resume_changes",
    "cli.rewrite": "config.edit_yaml",
    "cli.run_start": "runs.run_start",
    "cli.sources": "config.settings",
    "cli.spectrum": "cli.printing.curvature_text",
    "cli.spectrum_picture": "cli.printing.curvature_plot",
    "cli.survey": "runs.run_surface",
    "cli.train": "runs.train",
    "cli.trainer": "runs.trainer",
    "cli.transferred": "config.optimizer_transfer",
    "cli.workloads": "runs.config_workload",
    "contract": "conformance",
    "contract.clauses": "conformance.capabilities",
    "contract.measure": "conformance.step_cost",
    "contract.problem": "conformance.problem",
    "contract.ranks": "conformance.ranks",
    "contract.record": "conformance.conformance_record",
    "contract.trial": "conformance.training_check",
    "curvature.measured": "curvature.empirical_limit",
    "curvature.report": "curvature.curvature_report",
    "curvature.standing": "curvature.stability_margin",
    "curvature.twice": "curvature.double_backward",
    "data.docstrings": "data.docstring_corpus",
    "data.example": "data.example_input",
    "data.module": "data.data_module",
    "data.replayed": "data.resumable",
    "diagnostics.findings": "diagnostics.checks",
    "diagnostics.picture": "diagnostics.verdict_figure",
    "diagnostics.rates": "diagnostics.lr_classifier",
    "diagnostics.record": "diagnostics.run_record",
    "diagnostics.rows": "diagnostics.instrument_rows",
    "diagnostics.steps": "diagnostics.step_columns",
    "drawing.text": "drawing.terminal_plot",
    "lab.outcome": "lab.conclusion",
    "lab.page": "lab.experiment_page",
    "lab.run": "lab.run_experiments",
    "landscape.functions": "races.test_functions",
    "landscape.picture": "landscape.surface_figure",
    "landscape.race": "races.race",
    "landscape.race_film": "races.race_film",
    "landscape.race_page": "races.race_page",
    "landscape.race_picture": "races.race_figure",
    "landscape.relief": "landscape.surface3d",
    "landscape.runner": "races.race_runner",
    "landscape.shades": "landscape.colormap",
    "loop": "engine",
    "loop.epoch": "engine.epoch_loop",
    "loop.plan": "engine.step_plan",
    "monitor.facts": "monitor.data_stats",
    "monitor.movement": "monitor.step_delta",
    "optimizers.atlas": "optimizers.benchmark_table",
    "optimizers.packing": "optimizers.state_serialization",
    "optimizers.sharing": "optimizers.assignment",
    "optimizers.sources": "optimizers.implementations",
    "optimizers.table": "optimizers.group_table",
    "range_test.picture": "range_test.lr_figure",
    "range_test.reading": "range_test.suggestion",
    "range_test.run": "range_test.lr_range_test",
    "range_test.untouched": "range_test.preserve_state",
    "schedules.constant": "schedules.shapes.constant",
    "schedules.cosine": "schedules.shapes.cosine",
    "schedules.cosine_restarts": "schedules.shapes.cosine_restarts",
    "schedules.cyclic": "schedules.shapes.cyclic",
    "schedules.exponential": "schedules.shapes.exponential",
    "schedules.inverse_sqrt": "schedules.shapes.inverse_sqrt",
    "schedules.linear": "schedules.shapes.linear",
    "schedules.one_cycle": "schedules.shapes.one_cycle",
    "schedules.picture": "schedules.schedule_figure",
    "schedules.polynomial": "schedules.shapes.polynomial",
    "schedules.reduce_on_plateau": "schedules.shapes.reduce_on_plateau",
    "schedules.step": "schedules.shapes.step",
    "schedules.wsd": "schedules.shapes.wsd",
    "storage.checkpoint": "storage.checkpoint_file",
    "storage.checkpoint_io": "storage.checkpoint_plugin",
    "storage.typed": "storage.typed_rows",
    "storage.write": "storage.atomic_write",
    "study.board": "study.tensorboard",
    "study.facts": "study.task_profile",
    "study.findings": "study.comparison_result",
    "study.journal": "study.study_journal",
    "study.many": "study.train_many",
    "study.measure": "study.short_runs",
    "study.profiles": "study.performance_profiles",
    "study.report": "study.comparison_report",
    "study.stacked": "study.stacked_optimizer",
    "study.together": "study.stacked_trials",
    "tasks.gathered": "tasks.buffered_metrics",
    "tasks.random": "tasks.rng",
}
"""Former name → present name, without ``gdlightning.``."""
