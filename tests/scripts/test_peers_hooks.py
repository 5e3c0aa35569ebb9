"""`gdl fit` calls the hooks of a module as Lightning's Trainer does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parent.parent.parent / "scripts" / "peers"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["EveryHook", "MostHooks"])
def test_every_hook_is_called_in_the_order_of_lightning(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(PEERS))
    monkeypatch.delitem(sys.modules, "hooks", raising=False)
    import hooks

    count, lines = hooks.differences(getattr(hooks, model))
    assert count > 100
    assert lines == []
