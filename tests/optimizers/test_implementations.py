"""Optimizers of other libraries: resume, missing libraries, and default implementations."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
from helpers import CONFIGS, through_a_file
from torch import nn
from torch.optim import Optimizer

import gdlightning as gdl
from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.entries import ENTRIES
from gdlightning.optimizers.entry import EXTRAS, Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.implementations import WHY, sources
from gdlightning.optimizers.registry import entries, find, installed

HERE = [e for e in entries() if e.extra and installed(e) and not e.refused and not e.device]


def start(given: Any, kind: torch.dtype = torch.float32) -> tuple[nn.Module, Optimizer]:
    """Return a net large enough for quantised states, and its optimizer."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 8), nn.LayerNorm(8), nn.Linear(8, 3)
    ).to(kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "max_lr was not set")  # adamc warns without a schedule
        optimizer = build(Choice.of(given), module, Grouping(), Context())[0]
    switch(optimizer, "train")
    return module, optimizer


def switch(optimizer: Optimizer, mode: str) -> None:
    if callable(method := getattr(optimizer, mode, None)):
        method()


def train(module: nn.Module, optimizer: Optimizer, first: int, last: int) -> None:
    """Step on the batches from ``first`` to ``last``; each batch sets the random state."""
    weight = next(module.parameters())
    for number in range(first, last):
        torch.manual_seed(number)
        inputs = torch.randn(12, 64, dtype=weight.dtype)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs), torch.arange(12) % 3).backward()
        optimizer.step()


def apart(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("entry", HERE, ids=[e.name for e in HERE])
def test_resume_from_a_file_is_bitwise_identical(entry: Entry) -> None:
    module, optimizer = start(entry.name)
    train(module, optimizer, 0, 5)
    other, resumed = start(entry.name)
    other.load_state_dict(module.state_dict())
    resumed.load_state_dict(through_a_file(optimizer.state_dict()))
    train(module, optimizer, 5, 15)
    train(other, resumed, 5, 15)
    assert apart(module, other) == 0
    assert apart(module, start(entry.name)[0]) > 0


@pytest.mark.parametrize(
    ("one", "other", "close"),
    [
        ("schedule-free-sgd", "schedulefree:sgd", 1e-12),
        ("schedule-free-radam", "schedulefree:radam", 1e-12),
        ("prodigy", "prodigyopt:prodigy", 1e-9),
        ("adamw", "heavyball:adamw", 1e-6),
        ("momentum", "heavyball:sgd", 1e-6),
    ],
)
def test_takes_the_same_steps_as_the_default(one: str, other: str, close: float) -> None:
    pytest.importorskip(find(other).package)
    options: dict[str, dict[str, Any]] = {
        "heavyball:adamw": {"betas": [0.9, 0.999], "storage_dtype": "float64"},
        "heavyball:sgd": {"storage_dtype": "float64"},
        "schedulefree:radam": {"silent_sgd_phase": True},
    }
    same = {"lr": 1.0 if "prodigy" in one else 0.01, "weight_decay": 0.0}
    eps = {} if "sgd" in other else {"eps": 1e-20}  # heavyball uses the maximum, not the sum
    ends = []
    for name in (one, other):
        module, optimizer = start(
            {"name": name, **same, **eps, **options.get(name, {})}, torch.float64
        )
        train(module, optimizer, 0, 20)
        switch(optimizer, "eval")
        ends.append(module)
    assert apart(*ends) < close


def test_schedules_apply_and_pickles_are_ignored() -> None:
    pytest.importorskip("heavyball")
    module, optimizer = start("heavyball:soap")
    train(module, optimizer, 0, 3)
    optimizer.param_groups[0]["lr"] = 0.0
    before = next(module.parameters()).detach().clone()
    train(module, optimizer, 3, 4)  # heavyball's warning would be an error
    assert torch.equal(before, next(module.parameters()))
    state = optimizer.state_dict()
    assert "precond_schedule" not in state["heavyball"]
    state["heavyball"]["precond_schedule"] = pickle.dumps(Opened())
    optimizer.load_state_dict(state)


class Opened:
    """Object whose unpickling ends the process."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def blocked(name: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a library that cannot be imported."""
    code = f"import sys; sys.modules[{name!r}] = None\n{command}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("optimizer", "library"), [("heavyball:muon", "heavyball"), ("adamw-8bit", "bitsandbytes")]
)
def test_missing_library_is_an_error_with_its_extra(optimizer: str, library: str) -> None:
    config = str(CONFIGS / "tabular.yaml")
    arguments = ["fit", "--config", config, "--optimizer", optimizer]
    command = f"from gdlightning.__main__ import main; sys.exit(main({arguments!r}))"
    done = blocked(library, command)
    name = find(optimizer).name
    assert done.returncode == 2, done.stderr
    assert (
        f"The optimizer {name} needs {library}, which is not installed. "
        f"Install it with: pip install 'gdlightning[{library}]'"
    ) in done.stderr


def test_listing_imports_no_library() -> None:
    command = (
        "from gdlightning.__main__ import main; main(['optimizers', '--format', 'json'])\n"
        f"print([m for m in {(*EXTRAS, 'torch')!r} if sys.modules.get(m)])"
    )
    done = blocked("prodigyopt", command)
    assert done.stdout.strip().endswith("[]"), done.stderr
    for entry in ENTRIES:  # excludes optimizers that other tests have registered
        assert f'"name": "{entry.name}"' in done.stdout
    one = done.stdout.split('"name": "prodigyopt:prodigy"')[1].split("}")[0]
    assert '"installed": false' in done.stdout.split('"name": "prodigyopt:prodigy"')[1], one


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_missing_gpu_is_an_error() -> None:
    with pytest.raises(gdl.UserError, match="paged-adamw needs a GPU, but none is available"):
        Choice.of("bitsandbytes:paged-adamw")


def test_defaults_give_a_reason() -> None:
    assert set(sources()) == set(WHY)
    for name, source in sources().items():
        assert find(name).name == source.default
        assert not find(source.default).refused
        assert source.others
