"""The label GCN against products written as loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from references import model as reference
from tagweave.model.label_gcn import LabelGCN

ALGEBRA = 1e-10  # float64 sums of a few dozen terms of order 1, in another order


def gcn_case(widths: list[int], labels: int = 6, words: int = 4) -> LabelGCN:
    torch.manual_seed(len(widths))
    adjacency = torch.rand(labels, labels, dtype=torch.float64)  # not symmetric
    return LabelGCN(adjacency, torch.randn(labels, words, dtype=torch.float64), widths).double()


def by_reference(gcn: LabelGCN) -> np.ndarray:
    weights = [weight.detach().numpy() for weight in gcn.weights]
    return reference.gcn_reference(gcn.adjacency.numpy(), gcn.word_vectors.numpy(), weights)


class TestLabelGCN:
    @pytest.mark.parametrize("widths", [[3], [5, 3], [5, 5, 3], [5, 5, 5, 3]])
    def test_equal_to_loops(self, widths: list[int]) -> None:
        gcn = gcn_case(widths)
        assert_allclose(gcn().detach().numpy(), by_reference(gcn), atol=ALGEBRA, rtol=ALGEBRA)

    def test_two_labels_by_hand(self) -> None:
        adjacency = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
        gcn = LabelGCN(adjacency, torch.tensor([[1.0], [-2.0]]), [1, 1])
        with torch.no_grad():
            gcn.weights[0].fill_(2.0)
            gcn.weights[1].fill_(10.0)
        # Â Z W = (0, -4), leaky (0, -0.8), Â H W = (-4, -8).
        torch.testing.assert_close(gcn(), torch.tensor([[-4.0], [-8.0]]))

    def test_learns_its_weights_and_nothing_else(self) -> None:
        gcn = gcn_case([5, 3])
        assert [tuple(p.shape) for p in gcn.parameters()] == [(4, 5), (5, 3)]
        assert set(dict(gcn.named_buffers())) == {"adjacency", "word_vectors"}
        gcn().square().sum().backward()
        assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in gcn.parameters())

    def test_gradients_are_those_of_small_steps(self) -> None:
        gcn = gcn_case([3, 2])

        def embeddings(*weights: Tensor) -> Tensor:
            named = {f"weights.{number}": weight for number, weight in enumerate(weights)}
            return torch.func.functional_call(gcn, named, ())

        assert torch.autograd.gradcheck(embeddings, [w.detach().clone().requires_grad_() for w in gcn.weights])

    def test_follows_a_permutation_of_the_labels(self) -> None:
        gcn = gcn_case([5, 3])
        order = torch.randperm(6)
        moved = LabelGCN(gcn.adjacency[order][:, order], gcn.word_vectors[order], [5, 3]).double()
        moved.weights.load_state_dict(gcn.weights.state_dict())
        torch.testing.assert_close(moved(), gcn()[order], atol=ALGEBRA, rtol=0)

    def test_a_label_without_links_is_embedded_by_its_own_words(self) -> None:
        gcn = gcn_case([5, 3])
        gcn.adjacency[2] = 0.0
        gcn.adjacency[2, 2] = 1.0
        before = gcn()[2].detach()
        gcn.word_vectors[[0, 1, 3, 4, 5]] = 7.0
        torch.testing.assert_close(gcn()[2].detach(), before, atol=ALGEBRA, rtol=0)
