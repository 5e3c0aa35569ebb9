"""Each clipping method equals a reference, on dense and sparse gradients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gdlightning.clipping import Clip, find, names
from gdlightning.errors import UserError

SHAPES = [(4, 3), (5,), (2, 3, 3, 3), ()]


def parameters(seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[Any]:
    """Return parameters with gradients."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for shape in SHAPES:
        p = nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        p.grad = torch.randn(shape, generator=generator, dtype=dtype) * scale
        made.append(p)
    return made


def groups(made: list[Any]) -> list[dict[str, Any]]:
    """Return two parameter groups, with one parameter that has no gradient."""
    return [{"params": made[:2]}, {"params": [*made[2:], nn.Parameter(torch.zeros(2))]}]


def grads(made: list[Any]) -> list[Tensor]:
    """Return copies of the gradients."""
    return [p.grad.clone() for p in made]


def global_norm(gradients: list[Tensor]) -> float:
    """Return the global norm in float64."""
    return float(torch.cat([g.double().flatten() for g in gradients]).norm())


@pytest.mark.parametrize("name", names())
def test_norm_and_clipped_are_available_after_the_call(name: str) -> None:
    for scale, clips in ((100.0, name not in ("none", "quantile")), (1e-6, False)):
        made = parameters(1, scale)
        before = grads(made)
        clip = find(name)()
        assert clip.norm is None
        clip(groups(made))
        assert clip.norm is not None
        assert float(clip.norm) == pytest.approx(global_norm(before), rel=1e-6)
        changed = any(not torch.equal(a, b) for a, b in zip(before, grads(made), strict=True))
        assert changed is clips
        assert float(clip.clipped) == clips


@given(
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.01, 1.0, 50.0]),
    max_norm=st.floats(0.1, 10),
    norm_type=st.sampled_from([1.0, 2.0, 3.0, float("inf")]),
)
def test_norm_is_bitwise_equal_to_torch(
    seed: int, scale: float, max_norm: float, norm_type: float
) -> None:
    ours, theirs = parameters(seed, scale), parameters(seed, scale)
    find("norm")(max_norm=max_norm, norm_type=norm_type)(groups(ours))  # type: ignore[call-arg]
    nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.grad, b.grad)


@given(seed=st.integers(0, 99), limit=st.floats(0.1, 3))
def test_value_is_equal_to_torch(seed: int, limit: float) -> None:
    ours, theirs = parameters(seed), parameters(seed)
    find("value")(max_value=limit)(groups(ours))  # type: ignore[call-arg]
    nn.utils.clip_grad_value_(theirs, limit)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.grad, b.grad)


def test_group_norm_clips_groups_separately() -> None:
    made = parameters(3)
    for p in made[:2]:
        p.grad *= 100  # only the first group exceeds max_norm
    before = grads(made)
    find("group_norm")(max_norm=20.0)(groups(made))  # type: ignore[call-arg]
    first = global_norm(before[:2])
    assert first > 20 > global_norm(before[2:])
    for p, g in zip(made[:2], before[:2], strict=True):
        torch.testing.assert_close(p.grad, (g.double() * 20 / first).float())
    for p, g in zip(made[2:], before[2:], strict=True):
        assert torch.equal(p.grad, g)


@given(seed=st.integers(0, 99), factor=st.floats(0.01, 2), eps=st.sampled_from([1e-3, 0.5]))
def test_agc_equals_the_formula_of_the_paper(seed: int, factor: float, eps: float) -> None:
    made = parameters(seed, dtype=torch.float64)
    made[0].data[1] = 0  # the norm of this unit is replaced by eps
    wanted = []
    for p in made:
        units = zip(p.detach(), p.grad, strict=True) if p.ndim > 1 else [(p.detach(), p.grad)]
        clipped = []
        for w, g in units:  # Brock et al. 2021, equation 3
            limit = max(float(w.norm()), eps) * factor
            size = float(g.norm())
            clipped.append(g * (limit / size) if size > limit else g.clone())
        wanted.append(torch.stack(clipped) if p.ndim > 1 else clipped[0])
    find("agc")(factor=factor, eps=eps)(groups(made))  # type: ignore[call-arg]
    for p, w in zip(made, wanted, strict=True):
        torch.testing.assert_close(p.grad, w, rtol=1e-12, atol=0)


def one(value: float) -> list[dict[str, Any]]:
    """Return a group with a single gradient of the given norm."""
    p = nn.Parameter(torch.zeros(1))
    p.grad = torch.tensor([value])
    return [{"params": [p]}]


NORMS = st.one_of(st.floats(0.125, 100, width=32), st.just(float("inf")), st.just(float("nan")))


@given(
    norms=st.lists(NORMS, min_size=1, max_size=40),
    quantile=st.sampled_from([0.5, 0.9]),
    window=st.integers(5, 12),
)
def test_quantile_equals_numpy_over_the_window(
    norms: list[float], quantile: float, window: int
) -> None:
    clip = find("quantile")(quantile=quantile, window=window, warmup=3)  # type: ignore[call-arg]
    slots = np.full(window, np.nan)
    for k, norm in enumerate(norms):
        made = one(norm)
        clip(made)
        after = float(made[0]["params"][0].grad)
        known = slots[~np.isnan(slots)]
        if k >= 3 and len(known) and np.isfinite(norm):
            limit = float(np.quantile(known, quantile))
            assert after == pytest.approx(min(norm, norm * limit / (norm + 1e-6)), rel=1e-5)
        elif np.isfinite(norm):
            assert after == pytest.approx(norm)
        if np.isfinite(norm):
            slots[k % window] = norm


def test_quantile_resumes_from_its_state() -> None:
    norms = [float(k % 7 + 1) for k in range(60)]
    whole, first = (
        find("quantile")(window=9, warmup=4, quantile=0.5)  # type: ignore[call-arg]
        for _ in range(2)
    )
    for norm in norms[:30]:
        whole(one(norm))
        first(one(norm))
    second = find("quantile")(window=9, warmup=4, quantile=0.5)  # type: ignore[call-arg]
    second.load_state_dict(first.state_dict())
    for norm in norms[30:]:
        a, b = one(norm), one(norm)
        whole(a)
        second(b)
        assert torch.equal(a[0]["params"][0].grad, b[0]["params"][0].grad)


@pytest.mark.parametrize("window", [4, 30])
def test_quantile_keeps_the_newest_norms_in_a_different_window(window: int) -> None:
    first = find("quantile")(window=10, warmup=2)  # type: ignore[call-arg]
    for k in range(1, 26):
        first(one(float(k)))
    second = find("quantile")(window=window, warmup=2)  # type: ignore[call-arg]
    second.load_state_dict(first.state_dict())
    kept = min(10, window)
    expected = list(range(26 - kept, 26))
    past = second.state_dict()["past"]
    assert sorted(past[~past.isnan()].tolist()) == expected
    second(one(99.0))
    past = second.state_dict()["past"]
    gone = expected[1:] if window < 10 else expected
    assert sorted(past[~past.isnan()].tolist()) == [*gone, 99]


@pytest.mark.parametrize("name", names())
def test_sparse_gradients(name: str) -> None:
    table = nn.Embedding(10, 3, sparse=True)
    (table(torch.tensor([1, 4, 4, 7])).sum() * 50).backward()
    dense = torch.zeros(10, 3)
    dense[1], dense[4], dense[7] = 50, 100, 50  # repeated rows are summed
    clip = find(name)()
    clip([{"params": [table.weight]}])
    grad = table.weight.grad
    assert grad is not None
    assert grad.is_sparse
    assert clip.norm is not None
    assert float(clip.norm) == pytest.approx(float(dense.norm()))
    reference = nn.Parameter(torch.zeros(10, 3))
    reference.grad = dense
    if name != "agc":  # does not clip sparse gradients
        find(name)()([{"params": [reference]}])
    torch.testing.assert_close(grad.to_dense(), reference.grad)


@pytest.mark.parametrize("name", names())
def test_empty_sparse_gradient(name: str) -> None:
    table = nn.Embedding(10, 3, sparse=True)
    table(torch.zeros(0, dtype=torch.int64)).sum().backward()
    clip = find(name)()
    clip([{"params": [table.weight]}])
    assert float(clip.norm if clip.norm is not None else 1) == 0
    assert float(clip.clipped) == 0


def test_no_gradients_at_all() -> None:
    clip = find("norm")()
    clip([{"params": [nn.Parameter(torch.zeros(2))]}])
    assert clip.norm is None


def test_norm_has_no_graph() -> None:
    p = nn.Parameter(torch.ones(3))
    (p.grad,) = torch.autograd.grad((p**3).sum(), p, create_graph=True)
    clip = find("norm")()
    clip([{"params": [p]}])
    assert clip.norm is not None
    assert clip.norm.grad_fn is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("norm", {"max_norm": 0}, r"clip\.max_norm must be positive \(got 0\)"),
        ("norm", {"norm_type": -1}, r"clip\.norm_type must be positive \(got -1\)"),
        ("value", {"max_value": -1}, r"clip\.max_value"),
        ("agc", {"factor": 0}, r"clip\.factor"),
        ("quantile", {"quantile": 1.0}, r"clip\.quantile"),
        ("quantile", {"window": 10, "warmup": 11}, r"clip\.warmup"),
    ],
)
def test_invalid_options_are_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(name)(**options)


def test_find_accepts_any_spelling_and_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("Global-Norm") is find("norm")
    assert find("per group") is find("group_norm")
    with pytest.raises(UserError, match="Did you mean quantile"):
        find("quantil")
    code = (
        "from gdlightning.clipping import Clip\n\n\n"
        "class Sign(Clip):\n"
        "    def clip(self, groups, gradients, norm):\n"
        "        for g in gradients:\n            g.sign_()\n"
        "        return norm.new_ones(())\n"
    )
    (tmp_path / "own_clip.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        own = find("own_clip.Sign")
        assert issubclass(own, Clip)
        made = one(-7.0)
        own()(made)
        assert float(made[0]["params"][0].grad) == -1
        with pytest.raises(UserError, match="not a subclass"):
            find("pathlib.Path")
    finally:
        sys.modules.pop("own_clip", None)
