"""Hessian-vector products equal central differences of the gradient of the unmodified nets."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import extremes
from gdlightning.discovery import modules
from gdlightning.errors import UserError
from gdlightning.nets.bag import BagOfWords
from gdlightning.nets.convolution import TemporalConvolution
from gdlightning.nets.encoder import TransformerEncoder
from gdlightning.nets.gpt import GPT
from gdlightning.nets.mlp import MLP, Linear, ResidualMLP
from gdlightning.nets.recurrent import Recurrent
from gdlightning.nets.resnet import ResNet
from gdlightning.nets.vit import ViT

STEP = 1e-5
Batch = tuple[tuple[Tensor, ...], Tensor]


def classes(count: int) -> Tensor:
    return torch.arange(count) % 3


def rows(n: int) -> Batch:
    return (torch.randn(n, 4), torch.randint(0, 3, (n, 1))), classes(n)


def series(n: int) -> Batch:
    return (torch.randn(n, 4, 2), torch.tensor([4, 2, 4, 3, 4])[:n]), classes(n)


def words(n: int) -> Batch:
    inputs = torch.randint(0, 9, (3 * n,)), torch.arange(0, 3 * n, 3), torch.rand(3 * n)
    return inputs, classes(n)


def images(n: int) -> Batch:
    return (torch.randn(n, 1, 6, 5),), classes(n)


def tokens(n: int) -> Batch:
    drawn = torch.randint(0, 7, (n, 6))
    return (drawn[:, :-1],), drawn[:, 1:].flatten()


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Batch]]] = {
    "linear": (lambda: Linear(4, [3], 3), rows),
    "mlp": (lambda: MLP(4, [3], 3, hidden=[6, 5], dropout=0.2), rows),
    "residual mlp": (lambda: ResidualMLP(4, [3], 3, width=3, depth=2, expansion=1), rows),
    "bag": (lambda: BagOfWords(9, 3), words),
    "lstm": (lambda: Recurrent(2, 3, "lstm", width=2), series),
    "gru": (lambda: Recurrent(2, 3, "gru", width=2, depth=2, bidirectional=False), series),
    "tcn": (lambda: TemporalConvolution(2, 3, width=2, depth=2), series),
    "encoder": (lambda: TransformerEncoder(2, 3, width=4, depth=1, heads=2), series),
    "vit": (lambda: ViT(1, 3, patch=2, width=4, depth=1, heads=2), images),
    "resnet": (lambda: ResNet(1, 3, width=2, blocks=[1]), images),
    "gpt": (lambda: GPT(7, width=4, depth=1, heads=2, ngrams=2, ngram_buckets=5), tokens),
}


def made(name: str) -> tuple[nn.Module, list[Batch]]:
    """Return a net with nonzero gradients and curvature, and two batches."""
    torch.manual_seed(0)
    build, batch = NETS[name]
    net = build().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return net, [batch(5), batch(3)]


def loss_of(net: nn.Module) -> Callable[[Batch], Tensor]:
    kind = next(net.parameters()).dtype

    def loss(batch: Batch) -> Tensor:
        inputs, targets = batch
        out = net(*(x.to(kind) if x.is_floating_point() else x for x in inputs))
        return F.cross_entropy(out.flatten(0, -2), targets)

    return loss


def differences(net: nn.Module, batches: list[Batch], weights: list[float]) -> Tensor:
    """Return the Hessian [N, N] in float64 by central differences, with the default kernels."""
    net = net.double()
    loss, parameters = loss_of(net), list(net.parameters())
    start = nn.utils.parameters_to_vector(parameters).detach()

    def slope(point: Tensor) -> Tensor:
        nn.utils.vector_to_parameters(point, parameters)
        whole = torch.zeros_like(point)
        for batch, weight in zip(batches, weights, strict=True):
            found = torch.autograd.grad(
                loss(batch), parameters, allow_unused=True, materialize_grads=True
            )
            whole += weight * torch.cat([g.to_dense().flatten() for g in found])
        return whole

    steps = STEP * torch.eye(len(start), dtype=torch.float64)
    with torch.random.fork_rng():
        found = torch.stack([slope(start + s) - slope(start - s) for s in steps]) / (2 * STEP)
    nn.utils.vector_to_parameters(start, parameters)
    return (found + found.T) / 2


@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_net_agrees_with_differences(name: str) -> None:
    """Products are accurate to 1e-4 in float32 and 1e-6 in float64; bounds of eigenvalues hold."""
    net, batches = made(name)
    single = Hessian(loss_of(net), dict(net.named_parameters()), batches, [5, 3])
    vectors = torch.randn(3, single.size)
    rough = torch.stack([single @ v for v in vectors]).double()
    dense = differences(net, batches, [5 / 8, 3 / 8])  # converts the net to float64
    wanted = vectors.double() @ dense
    assert torch.linalg.norm(rough - wanted) < 1e-4 * torch.linalg.norm(wanted)
    double = Hessian(loss_of(net), dict(net.named_parameters()), batches, [5, 3])
    fine = torch.stack([double @ v for v in vectors.double()])
    assert torch.linalg.norm(fine - wanted) < 1e-6 * torch.linalg.norm(wanted)
    values = torch.linalg.eigvalsh(dense)
    size = float(values.abs().max())
    ends = extremes(double, 3, 2, steps=60, tolerance=1e-4)
    for pair in ends.top + ends.bottom:  # multiple eigenvalues are found once
        assert float((values - pair.value).abs().min()) <= pair.bound + 1e-6 * size
        assert pair.converged
    assert ends.top[0].value == pytest.approx(float(values[-1]), abs=1e-4 * size)
    assert ends.bottom[0].value == pytest.approx(float(values[0]), abs=1e-4 * size)


def test_every_net_is_tested() -> None:
    known = {
        name
        for file in modules("gdlightning.nets")
        for name in getattr(importlib.import_module(f"gdlightning.nets.{file}"), "__all__", ())
        if issubclass(getattr(importlib.import_module(f"gdlightning.nets.{file}"), name), nn.Module)
    }
    assert {type(build()).__name__ for build, _ in NETS.values()} == known


def test_batches_are_weighted_by_their_examples() -> None:
    net, batches = made("mlp")
    parameters = dict(net.named_parameters())
    whole = tuple(torch.cat(p) for p in zip(*(b[0] for b in batches), strict=True))
    one = Hessian(loss_of(net), parameters, [(whole, torch.cat([b[1] for b in batches]))])
    two = Hessian(loss_of(net), parameters, batches, [5, 3])
    vector = torch.randn(one.size)
    torch.testing.assert_close(two @ vector, one @ vector, rtol=1e-4, atol=1e-6)
    product, along = two.product(vector)
    torch.testing.assert_close(two.weights @ along, (product @ vector).double())
    (loss, slope), (expected, gradient) = two.slope(), one.slope()
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(slope, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", [0, 3000, 2**30])
def test_all_products_use_the_same_matrix_with_dropout(memory: int) -> None:
    net, batches = made("residual mlp")
    net.train()
    hessian = Hessian(loss_of(net), dict(net.named_parameters()), batches, memory=memory)
    state = torch.random.get_rng_state()
    u, v = torch.randn(2, hessian.size, generator=torch.Generator().manual_seed(1))
    first = hessian @ u
    assert torch.equal(hessian @ u, first)
    assert float(v @ first) == pytest.approx(float(u @ (hessian @ v)), rel=1e-3)
    kept = Hessian(loss_of(net), dict(net.named_parameters()), batches)
    torch.testing.assert_close(kept @ u, first)
    assert torch.equal(torch.random.get_rng_state(), state)
    other = Hessian(loss_of(net), dict(net.named_parameters()), batches, seed=7)
    assert not torch.allclose(other @ u, first)


def test_frozen_and_unused_parameters() -> None:
    layers = nn.ModuleDict({k: nn.Linear(2, 1) for k in ("used", "unused", "frozen")})
    layers["frozen"].requires_grad_(False)
    x = torch.randn(6, 2)

    def loss(batch: Tensor) -> Tensor:
        out: Tensor = layers["used"](batch) + layers["frozen"](batch)
        return out.square().mean()

    hessian = Hessian(loss, dict(layers.named_parameters()), [x])
    assert list(hessian.parameters) == ["used.weight", "used.bias", "unused.weight", "unused.bias"]
    inputs = torch.cat([x, torch.ones(6, 1)], dim=1)
    matrix = torch.stack([hessian @ e for e in torch.eye(6)])
    torch.testing.assert_close(matrix[:3, :3], 2 * inputs.T @ inputs / 6)
    assert not matrix[3:].any()
    assert not matrix[:, 3:].any()
    linear = Hessian(lambda b: layers["used"](b).mean(), dict(layers.named_parameters()), [x])
    assert not (linear @ torch.ones(6)).any()


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "sum"}, {"padding_idx": 2}, {"include_last_offset": True}, {"sparse": True}],
    ids=str,
)
def test_bags_of_embeddings(options: dict[str, Any]) -> None:
    """The twice differentiable implementation has the same values."""
    torch.manual_seed(0)
    bag = nn.EmbeddingBag(5, 3, **{"mode": "mean", "dtype": torch.float64, **options})
    words, offsets = torch.tensor([0, 2, 2, 4, 1, 2]), torch.tensor([0, 0, 3, 6])
    square = torch.tensor([[0, 2, 1], [4, 4, 2]])

    def loss(batch: object) -> Tensor:
        first: Tensor = bag(words, offsets).exp().sum()
        return first if options.get("include_last_offset") else first + bag(square).exp().sum()

    hessian = Hessian(loss, dict(bag.named_parameters()), [None])
    assert hessian.slope()[0] == pytest.approx(float(loss(None).detach()))
    found = torch.stack([hessian @ e for e in torch.eye(15, dtype=torch.float64)])
    steps = torch.eye(15, dtype=torch.float64).view(15, 5, 3) * STEP
    kept = bag.weight.detach().clone()

    def slope(step: Tensor) -> Tensor:
        bag.weight.data = kept + step
        (gradient,) = torch.autograd.grad(loss(None), [bag.weight])
        return gradient.to_dense().flatten()

    wanted = torch.stack([slope(s) - slope(-s) for s in steps]) / (2 * STEP)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_transformer_of_torch() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 5, batch_first=True, dtype=torch.float64).eval()
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    parameters = dict(layer.named_parameters())
    hessian = Hessian(lambda b: layer(b).exp().mean(), parameters, [x])
    vector = torch.randn(hessian.size, dtype=torch.float64)

    def slope(sign: int) -> Tensor:
        moved = nn.utils.parameters_to_vector(parameters.values()) + sign * STEP * vector
        named = dict(zip(parameters, _shaped(moved.detach(), parameters), strict=True))
        loss = torch.func.functional_call(layer, named, (x,)).exp().mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(named.values()))])

    wanted = (slope(1) - slope(-1)) / (2 * STEP)
    torch.testing.assert_close(hessian @ vector, wanted, rtol=1e-6, atol=1e-8)


def _shaped(vector: Tensor, parameters: dict[str, nn.Parameter]) -> list[Tensor]:
    pieces = vector.split([p.numel() for p in parameters.values()])
    pairs = zip(pieces, parameters.values(), strict=True)
    return [v.view_as(p).requires_grad_() for v, p in pairs]


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = 2 * x * gradient
        return result


def test_loss_without_second_derivative_is_an_error() -> None:
    weight = nn.Parameter(torch.ones(3, 2))
    parameters, index = {"table": weight}, torch.tensor([0, 1])
    once: Callable[[Tensor], Tensor] = Once.apply
    with pytest.raises(UserError, match="second derivative"):
        Hessian(lambda b: once(weight).exp().sum(), parameters, [None])
    with pytest.raises(UserError, match="table is sparse"):
        Hessian(lambda b: torch.embedding(weight, index, -1, False, True).sum(), parameters, [0])
    with pytest.raises(UserError, match="does not depend"):
        Hessian(lambda b: torch.ones(()), parameters, [None])
    with pytest.raises(UserError, match="needs batches"):
        Hessian(lambda b: weight.sum(), parameters, [])
    with pytest.raises(UserError, match="needs trainable parameters"):
        Hessian(lambda b: weight.sum(), {"w": torch.ones(2)}, [None])
