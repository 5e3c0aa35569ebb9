"""Predictions, tests and the diagnosis of a run, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from gdlightning.api.loaded_run import load
from gdlightning.api.run_tables import verdicts_list
from gdlightning.diagnostics.diagnose import as_text
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.runs.diagnose_run import Diagnosis as RunDiagnosis
from gdlightning.runs.diagnose_run import diagnose_run, nothing_found


def predict(run: Any, source: Any = None, checkpoint: str | None = None, **options: Any) -> Any:
    """Return the predictions of a run for new examples.

    Args:
        run: a run folder, a checkpoint, or the result of ``gdl.fit``.
        source: a data frame, an array, a path, or a DataLoader; see ``LoadedRun.predict``.
        checkpoint: ``best``, ``last`` or a file; see ``gdl.load``.
        **options: ``model``, ``data`` and ``loss`` of ``gdl.load``, ``probabilities`` of
            ``LoadedRun.predict``.
    """
    probabilities = options.pop("probabilities", False)
    loaded = load(run, checkpoint, **options)
    return loaded.predict(source, probabilities=probabilities)


def test(run: Any, checkpoint: str | None = None, **options: Any) -> dict[str, float]:  # noqa: PT028
    """Return the metrics of a run on its test split, by name.

    Args:
        run: a run folder, a checkpoint, or the result of ``gdl.fit``.
        checkpoint: ``best``, ``last`` or a file; see ``gdl.load``.
        **options: ``model``, ``data`` and ``loss`` of ``gdl.load``.
    """
    return load(run, checkpoint, **options).test()


class Diagnosis(Sequence[Verdict]):
    """The verdicts of a run, root causes first.

    Args:
        found: the diagnosis of the run folder.
    """

    def __init__(self, found: RunDiagnosis) -> None:
        self.folder, self.verdicts = found.folder, found.verdicts
        self._found = found

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, index: int | slice) -> Verdict | Sequence[Verdict]:
        """Return a verdict by its place."""
        return self.verdicts[index]

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __repr__(self) -> str:
        return as_text(self.verdicts) or nothing_found(self._found.record)

    def _repr_html_(self) -> str:
        return verdicts_list(self.verdicts)


def diagnose(run: Any) -> Diagnosis:
    """Return what is wrong with a run and what to change; it may still be running.

    Args:
        run: a run folder, or the result of ``gdl.fit``.

    Raises:
        UserError: if there is no such run, or nothing was measured.
    """
    return Diagnosis(diagnose_run(str(getattr(run, "folder", run))))
