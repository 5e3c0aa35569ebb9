"""The bag-of-words model: equal to a matrix product, with sparse gradients."""

from __future__ import annotations

import torch
from torch import nn

from gdlightning.nets.bag import BagOfWords


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return three texts, the second of which is empty."""
    words = torch.tensor([3, 7, 3, 90])
    return words, torch.tensor([0, 2, 2]), torch.tensor([0.5, 0.25, 1.0, 2.0])


def test_a_step_touches_only_the_words_of_its_batch() -> None:
    net = BagOfWords(100, 4)
    net(*batch()).square().sum().backward()
    nn.functional.cross_entropy(net(*batch()), torch.tensor([0, 1, 2])).backward()
    grad = net.weights.weight.grad
    assert grad is not None
    assert grad.is_sparse
    assert set(grad.coalesce().indices()[0].tolist()) == {3, 7, 90}
    dense = BagOfWords(100, 4, sparse=False)
    nn.functional.cross_entropy(dense(*batch()), torch.tensor([0, 1, 2])).backward()
    reference = dense.weights.weight.grad
    assert reference is not None
    assert not reference.is_sparse
    torch.testing.assert_close(grad.to_dense(), reference)


def test_equal_to_a_matrix_product() -> None:
    net = BagOfWords(100, 4).double()
    nn.init.normal_(net.weights.weight)
    nn.init.normal_(net.bias)
    words, offsets, weights = batch()
    counts = torch.zeros(3, 100, dtype=torch.float64)
    counts[0, 3], counts[0, 7], counts[2, 3], counts[2, 90] = 0.5, 0.25, 1.0, 2.0
    wanted = counts @ net.weights.weight + net.bias
    torch.testing.assert_close(net(words, offsets, weights.double()), wanted)


def test_a_batch_without_a_word_gives_the_bias() -> None:
    net = BagOfWords(100, 4)
    empty = torch.zeros(0, dtype=torch.int64)
    out = net(empty, torch.tensor([0, 0]), torch.zeros(0))
    assert torch.equal(out, net.bias.expand(2, 4))
    out.sum().backward()
    grad = net.weights.weight.grad
    assert grad is not None
    assert grad.coalesce()._nnz() == 0
