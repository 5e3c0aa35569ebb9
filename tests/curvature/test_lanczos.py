"""Eigenvalues, traces and densities of known matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gdlightning.curvature.density import density
from gdlightning.curvature.lanczos import extremes, lanczos
from gdlightning.curvature.operator import Scaled, signs
from gdlightning.curvature.trace import trace
from gdlightning.errors import UserError


class Dense:
    """Dense matrix as an operator that counts its products."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.products = matrix, 0
        self.size, self.dtype, self.device = len(matrix), matrix.dtype, matrix.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector


def turned(values: Tensor, seed: int = 0) -> Tensor:
    """Return a symmetric matrix with the given eigenvalues in a random basis."""
    generator = torch.Generator().manual_seed(seed)
    size = len(values)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    matrix: Tensor = basis @ values.double().diag() @ basis.T
    return matrix


def like_a_net(size: int = 300) -> Tensor:
    """Return a network-like spectrum: a few large eigenvalues, most near 0, some negative."""
    generator = torch.Generator().manual_seed(1)
    bulk = 0.05 * torch.randn(size - 4, generator=generator, dtype=torch.float64)
    return torch.cat([torch.tensor([9.0, 5.0, 2.0, 1.0]), bulk])


spectra = st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=1, max_size=30)


@given(values=spectra, seed=st.integers(0, 1000))
def test_as_many_steps_as_coordinates_find_all_multiple_ones_too(
    values: list[float], seed: int
) -> None:
    wanted = torch.tensor(values, dtype=torch.float64).sort().values
    operator = Dense(turned(wanted, seed))
    size = len(values)
    krylov = lanczos(operator, torch.ones(size, dtype=torch.float64), size)
    found, _, bounds = krylov.eigen()
    scale = float(wanted.abs().max()) + 1e-300
    assert (found - wanted).abs().max() <= 1e-8 * scale
    assert bounds.max() <= 1e-8 * scale
    identity = krylov.basis @ krylov.basis.T
    torch.testing.assert_close(identity, torch.eye(size, dtype=torch.float64))


@given(values=spectra, seed=st.integers(0, 1000), steps=st.integers(1, 12), wide=st.booleans())
def test_there_is_an_eigenvalue_within_each_bound(
    values: list[float], seed: int, steps: int, wide: bool
) -> None:
    matrix = turned(torch.tensor(values, dtype=torch.float64), seed)
    matrix = matrix if wide else matrix.float()
    wanted = torch.linalg.eigvalsh(matrix.double())
    ends = extremes(Dense(matrix), 3, 2, steps=steps, tolerance=0, seed=seed)
    for pair in ends.top + ends.bottom:
        apart = float((wanted - pair.value).abs().min())
        assert apart <= pair.bound * (1 + 1e-6) + 1e-14 * float(wanted.abs().max())
        assert float(pair.vector.norm()) == pytest.approx(1, abs=1e-4)
    assert ends.top[0].value <= float(wanted[-1]) + ends.top[0].bound
    assert ends.bottom[0].value >= float(wanted[0]) - ends.bottom[0].bound


def test_the_ends_of_a_spectrum_like_a_nets() -> None:
    values = like_a_net()
    matrix = turned(values)
    operator = Dense(matrix)
    ends = extremes(operator, 4, 1, steps=120, tolerance=1e-6)
    assert operator.products == len(ends.krylov.diagonal) < 120  # stops after convergence
    assert [p.value for p in ends.top] == pytest.approx([9, 5, 2, 1], rel=1e-8)
    assert ends.bottom[0].value == pytest.approx(float(values.min()), abs=1e-6)
    for pair in ends.top + ends.bottom:
        left = matrix @ pair.vector - pair.value * pair.vector
        assert float(left.norm()) <= pair.bound * 1.01
        assert pair.converged
    few = extremes(operator, 4, 1, steps=6)
    assert not few.bottom[0].converged
    assert few.top[0].converged
    again = extremes(operator, 4, 1, steps=6)
    assert [p.value for p in again.top] == [p.value for p in few.top]


def test_matrices_without_much_in_them() -> None:
    for matrix in (torch.zeros(5, 5), torch.eye(5), torch.zeros(1, 1)):
        ends = extremes(Dense(matrix), 2, 1)
        assert ends.top[0].value == pytest.approx(float(matrix.max()))
        assert all(p.converged for p in ends.top + ends.bottom)
    with pytest.raises(UserError, match="not finite"):
        extremes(Dense(torch.full((3, 3), torch.nan)))


def test_scaled() -> None:
    matrix, scale = turned(like_a_net(20)), torch.rand(20, dtype=torch.float64)
    found = extremes(Scaled(Dense(matrix), scale), 1, steps=20, tolerance=1e-9).top[0].value
    wanted = torch.linalg.eigvalsh(scale[:, None] * matrix * scale)
    assert found == pytest.approx(float(wanted[-1]), rel=1e-8)


def test_the_trace_and_its_error() -> None:
    """The estimate is unbiased, and its error smaller if large eigenvalues are known."""
    values = like_a_net()
    operator = Dense(turned(values))
    wanted, known = float(values.sum()), extremes(operator, 4, steps=20).krylov
    for space, error in ((None, 4.0), (known, 0.3)):
        found = [trace(operator, 30, seed=k + 1, known=space) for k in range(100)]
        errors = torch.tensor([(e.value - wanted) / e.error for e in found])
        assert errors.square().mean().sqrt() == pytest.approx(1.05, abs=0.25)
        assert sum(e.error for e in found) / 100 < error
    whole = lanczos(operator, torch.ones(300, dtype=torch.float64), 300)
    exact = trace(operator, 10, seed=1, known=whole)
    assert exact.value == pytest.approx(wanted)
    assert exact.error == 0


def test_the_density_has_the_moments_that_its_vectors_see() -> None:
    """Gauss quadrature with m nodes is exact up to the power 2m - 1."""
    matrix = turned(like_a_net())
    operator = Dense(matrix)
    found, vectors = density(operator, probes=3, steps=5, seed=2), signs(operator, 3, 2)
    assert len(found.nodes) == 15
    for power in range(10):
        seen = (vectors * (vectors @ torch.linalg.matrix_power(matrix, power))).sum() / 900
        assert found.moment(power) == pytest.approx(float(seen), rel=1e-8)


def test_the_density_counts_eigenvalues() -> None:
    found = density(Dense(turned(like_a_net())), probes=60, steps=30)
    grid = torch.linspace(-2, 12, 4000).double()
    counts = found.counts(grid, 0.05)
    assert float(torch.trapezoid(counts, grid)) == pytest.approx(300, rel=1e-3)
    for low, high, wanted in ((8, 10, 1), (4, 6, 1), (-0.5, 0.5, 296)):
        there = (grid > low) & (grid < high)
        mass = float(torch.trapezoid(counts[there], grid[there]))
        assert mass == pytest.approx(wanted, rel=0.35)
