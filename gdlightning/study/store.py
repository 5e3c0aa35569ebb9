"""Persistent trials and outcomes, shared by all workers of a study.

They are stored in one Optuna study, in its journal file or a database. A worker claims a trial by
adding it; of several claims, the first wins. Claims of dead workers expire.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from gdlightning.errors import UserError
from gdlightning.storage.typed_rows import mismatch
from gdlightning.study.study_journal import in_words, opened, remove
from gdlightning.study.trial import Trial, TrialResult

HEARTBEAT, TIMEOUT = 20.0, 300.0
"""Seconds between heartbeats, and after which a worker on another machine counts as dead."""


class Store:
    """Trials of one study.

    Args:
        where: folder of the journal file, or URL of a database.
        name: name of the study.
        about: description of the study; must match that of an existing study.

    Raises:
        UserError: what is kept can't be read, or is another study by that name.
        StorageError: the database is locked, or the disk is full.
    """

    def __init__(self, where: str | Path, name: str, about: Mapping[str, Any]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = opened(where)
        self._folder = None if "://" in str(where) else Path(where)
        self._me = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
        self._outcomes: dict[str, TrialResult] = {}
        with in_words(where):
            try:
                self._study = optuna.create_study(
                    storage=self._storage, study_name=name, load_if_exists=True
                )
                self._id = self._study._study_id
                known = self._study.user_attrs.get("about")
                trials = self._study.get_trials(deepcopy=False)
            except (StorageInternalError, SQLAlchemyError):
                raise
            except Exception as error:  # of values that are not what Optuna has written
                raise UserError(
                    f"{where} cannot be read: {type(error).__name__}: {error}.\n"
                    "Put a copy in its place, or choose another with --storage or --output."
                ) from error
            self._created = known is None and not trials
            plain = json.loads(json.dumps(about))
            if self._created:
                self._study.set_user_attr("about", plain)
            elif not isinstance(known, dict):
                raise UserError(
                    f"{where} does not tell any more which comparison its {len(trials)} trials are "
                    "of.\nPut a copy in its place, or choose another folder with --output."
                )
            elif known != plain:
                changed = sorted(k for k in {*known, *plain} if known.get(k) != plain.get(k))
                raise UserError(
                    f"{where} contains a different comparison ({', '.join(changed)} changed).\n"
                    "Use the same command as before to resume it, or set a different --output."
                )

    @property
    def damaged(self) -> list[int]:
        """Lines of the journal that were left out; what they told is found out again."""
        return list(getattr(getattr(self._storage, "_backend", None), "damaged", ()))

    def kept(self, name: str) -> Any:
        """Return a value stored with the study; None if missing."""
        return self._study.user_attrs.get(name)

    def keep(self, name: str, value: Any) -> None:
        """Store a plain value with the study."""
        self._study.set_user_attr(name, value)

    def forget(self) -> bool:
        """Delete the study if this process created it and it has no plan or trial yet.

        Returns:
            Whether the study was deleted.
        """
        started = self.kept("plan") is not None or self._study.get_trials(deepcopy=False)
        if started or not self._created:
            return False
        optuna.delete_study(study_name=self._study.study_name, storage=self._storage)
        if self._folder and not self._storage.get_all_studies():
            remove(self._folder)
        return True

    def outcomes(self) -> dict[str, TrialResult]:
        """Return the known outcomes by trial key; the first reported outcome counts."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self._take(trial)
        return self._outcomes

    def _take(self, trial: FrozenTrial) -> bool:
        """Keep the outcome of a complete trial; whether it has one that can be read."""
        key = trial.user_attrs.get("key")
        if not isinstance(key, str):
            return False
        if key not in self._outcomes:
            told = _outcome(trial.user_attrs.get("outcome"))
            if told is None:
                return False
            self._outcomes[key] = told
        return True

    def claim(self, trials: Sequence[Trial]) -> dict[str, int] | None:
        """Claim all of some trials, or none.

        Returns:
            Numbers for ``tell`` by trial key; None if another worker has claimed a trial.
        """
        taken = {t.key: self._add(t) for t in trials}
        first = self._first_claims(set(taken))
        if all(first.get(key) == number for key, number in taken.items()):
            return taken
        for number in taken.values():
            self._storage.set_trial_state_values(number, TrialState.FAIL)
        return None

    def tell(self, number: int, outcome: TrialResult, score: float) -> None:
        """Store an outcome."""
        self._storage.set_trial_user_attr(number, "outcome", asdict(outcome))
        value = min(max(score, -1e300), 1e300)  # databases cannot store infinity
        self._storage.set_trial_state_values(number, TrialState.COMPLETE, [value])

    def taken(self) -> set[str]:
        """Return the keys of trials that a living worker has claimed."""
        return set(self._first_claims(None))

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Send heartbeats in the background, for workers on other machines."""
        ended = threading.Event()
        beat = threading.Thread(target=self._beat, args=(ended,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            beat.join(1.0)  # it may be waiting for a database that is locked

    def _beat(self, ended: threading.Event) -> None:
        name = f"alive:{self._me['host']}:{self._me['pid']}:{self._me['born']}"
        while True:
            with contextlib.suppress(Exception):  # the next heartbeat may succeed
                self._study.set_user_attr(name, time.time())
            if ended.wait(HEARTBEAT):
                return

    def _add(self, trial: Trial) -> int:
        template = create_trial(
            state=TrialState.RUNNING,
            params={k: v for k, v in trial.settings.items() if isinstance(v, float)},
            distributions={
                k: optuna.distributions.FloatDistribution(v / 1e9, v * 1e9)
                for k, v in trial.settings.items()
                if isinstance(v, float)
            },
            user_attrs={"key": trial.key, "trial": asdict(trial), "owner": self._me},
        )
        number: int = self._storage.create_new_trial(self._id, template_trial=template)
        return number

    def _first_claims(self, keys: set[str] | None) -> dict[str, int]:
        """Return the number of the first complete or validly claimed trial by key."""
        found: dict[str, int] = {}
        for trial in self._study.get_trials(
            deepcopy=False, states=(TrialState.RUNNING, TrialState.COMPLETE)
        ):
            key = trial.user_attrs.get("key")
            if not isinstance(key, str) or key in found or (keys is not None and key not in keys):
                continue
            complete = trial.state == TrialState.COMPLETE
            if self._take(trial) if complete else self._lives(trial):
                found[key] = trial._trial_id
        return found

    def _lives(self, trial: FrozenTrial) -> bool:
        owner: Any = trial.user_attrs.get("owner")
        if mismatch(owner, _Owner):
            return False
        if owner["host"] == self._me["host"]:
            return bool(_born(owner["pid"]) == owner["born"])
        name = f"alive:{owner['host']}:{owner['pid']}:{owner['born']}"
        return bool(time.time() - self._study.user_attrs.get(name, 0.0) < TIMEOUT)


def work(
    store: Store,
    wanted: Sequence[list[Trial]],
    run: Callable[[list[Trial]], list[TrialResult]],
    score: Callable[[Trial, TrialResult], float],
    told: Callable[[], None] = lambda: None,
) -> list[TrialResult]:
    """Obtain the outcomes of all trials of some jobs, by running them or from other workers.

    A job is always run as a whole, even if some outcomes are known, because a different stack would
    change the last bits.

    Args:
        store: store of the study.
        wanted: jobs, each a list of trials that are run together.
        run: function that runs a job.
        score: function from a trial and its outcome to its score.
        told: callback after each job.

    Returns:
        The outcomes, job by job.
    """
    while True:
        known = store.outcomes()
        left = [j for j in wanted if any(t.key not in known for t in j)]
        if not left:
            return [known[t.key] for j in wanted for t in j]
        busy = store.taken()
        free = [j for j in left if not any(t.key in busy and t.key not in known for t in j)]
        job = free[0] if free else None
        missing = [t for t in job or () if t.key not in known]
        claimed = store.claim(missing) if missing else None
        if job is None or claimed is None:
            time.sleep(0.2)
        else:
            for trial, outcome in zip(job, run(job), strict=True):
                if trial.key in claimed:
                    store.tell(claimed[trial.key], outcome, score(trial, outcome))
        told()


def _born(pid: int) -> str:
    """Return the start time of a process on this machine; empty if it does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]  # zombies are dead
    except (OSError, IndexError):
        pass
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "unknown"


class _Owner(TypedDict):
    host: str
    pid: int
    born: str


class _Needed(TypedDict):
    metrics: dict[str, float]
    curve: list[list[float]]


class _Told(_Needed, total=False):
    seconds: float
    state_bytes: int
    memory: int
    failed: str
    stacked: int


def _outcome(record: Any) -> TrialResult | None:
    """Return what was told of a trial; None if it can't be read."""
    if mismatch(record, _Told):
        return None
    if any(len(point) != 3 or type(point[0]) is not int for point in record["curve"]):
        return None
    curve = [(int(s), float(t), float(v)) for s, t, v in record["curve"]]
    told = {key: record[key] for key in get_type_hints(_Told) if key in record}
    return TrialResult(**told | {"curve": curve})
