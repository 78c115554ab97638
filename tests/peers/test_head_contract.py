"""What every head owes: shapes, gradients, folding, saving, independence of images, order of labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from peers.peer_cases import LABELS, LAYOUT, array, batch, head_case, inputs, loss_of, settings
from tagweave.encoders.backbones import Layout
from tagweave.errors import InputError
from tagweave.peers.registry import HEADS, build_head, needs_vectors, restore_head

NAMES = (
    "average_pool", "max_pool", "both_pool", "asl_linear", "very_deep", "ml_gcn", "a_gcn", "f_gcn", "srn", "ml_decoder",
)  # fmt: skip
SAME = 1e-5  # float32, other order of sums
SIDES = [(1, 1), (2, 5), (7, 7)]


def targets(labels: int = LABELS, size: int = 3) -> torch.Tensor:
    return (torch.rand(size, labels, generator=torch.Generator().manual_seed(2)) > 0.5).float()


@pytest.mark.parametrize("name", NAMES)
class TestEveryHead:
    @pytest.mark.parametrize("labels", [1, 2, 103])
    def test_any_number_of_labels(self, name: str, labels: int) -> None:
        head, (maps, feature) = head_case(name, inputs(labels)), batch()
        assert head(maps, feature).logits.shape == (3, labels)
        assert torch.isfinite(loss_of(head, maps, feature, targets(labels), torch.ones(3, labels)))

    @pytest.mark.parametrize("side", SIDES)
    def test_any_map_size(self, name: str, side: tuple[int, int]) -> None:
        layout = Layout(((3, *side), (4, *side)), (8, 16), (6, 4))
        assert torch.isfinite(head_case(name, inputs(layout=layout))(*batch(layout=layout)).logits).all()

    def test_unknown_cells_have_no_gradient_and_known_ones_have(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        maps = [stage.requires_grad_() for stage in maps]
        feature.requires_grad_()
        weights = torch.ones(3, LABELS)
        weights[1] = 0.0  # nothing is known of the second image
        loss_of(head, maps, feature, targets(), weights).backward()
        slopes = [given.grad for given in (*maps, feature) if given.grad is not None]
        assert any(slope[0].any() and slope[2].any() for slope in slopes)
        assert all(torch.isfinite(slope).all() and not slope[1].any() for slope in slopes)
        for parameter in head.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()

    def test_nothing_known_is_no_loss(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        value = loss_of(head, maps, feature, targets(), torch.zeros(3, LABELS))
        penalty = 0.1 * head.network.gcn.distance().item() if name == "a_gcn" else 0.0
        assert value.item() == pytest.approx(penalty)

    def test_every_parameter_learns(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch(16)
        found = head(maps, feature)
        auxiliary = 0.0 if found.auxiliary is None else found.auxiliary.sin().sum()
        (found.logits.sin().sum() + auxiliary).backward()
        for label, parameter in head.named_parameters():
            assert parameter.grad is not None, label
            assert parameter.grad.any(), label

    def test_images_do_not_touch_each_other(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        together = head(maps, feature).logits
        alone = head([stage[[1]] for stage in maps], feature[[1]]).logits
        torch.testing.assert_close(alone, together[[1]], atol=SAME, rtol=SAME)

    def test_folded_twice_and_restored_it_says_the_same(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        before = head(maps, feature).logits
        head.fold()
        head.fold()
        torch.testing.assert_close(head(maps, feature).logits, before, atol=SAME, rtol=SAME)
        state = {key: tensor.clone() for key, tensor in head.state_dict().items()}
        restored = restore_head(settings(name), LAYOUT, LABELS, state)
        assert torch.equal(restored(maps, feature).logits, head(maps, feature).logits)
        assert torch.equal(restored.pooled(feature), head.pooled(feature))

    def test_the_state_shares_no_memory(self, name: str) -> None:
        tensors = [tensor for tensor in head_case(name).state_dict().values() if tensor.numel()]
        assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)  # safetensors refuses such

    def test_it_may_be_computed_in_half_precision(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss_of(head, maps, feature, targets(), torch.ones(3, LABELS))
        value.backward()
        assert value.dtype == torch.float32
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in head.parameters())


@pytest.mark.parametrize("name", ["ml_gcn", "a_gcn", "f_gcn"])
class TestLabelVectors:
    def test_none_is_a_clear_error(self, name: str) -> None:
        with pytest.raises(InputError, match=r"Expected a vector for each of 5 labels.*got none; give LabelFacts"):
            head_case(name, inputs(vectors=np.zeros((LABELS, 0), dtype=np.float32)))

    def test_logits_follow_a_permutation_of_the_labels(self, name: str) -> None:
        given, order = inputs(), torch.randperm(LABELS, generator=torch.Generator().manual_seed(3)).numpy()
        facts = given.facts
        moved = inputs(
            conditional=facts.conditional[order][:, order], vectors=facts.vectors[order], rates=facts.rates[order]
        )
        found, expected = (head_case(name, of)(*batch()).logits for of in (moved, given))
        torch.testing.assert_close(found, expected[:, order], atol=SAME, rtol=SAME)


def test_only_these_heads_need_label_vectors() -> None:
    needy = {name for name in HEADS if needs_vectors(settings(name))}
    assert needy == {"mscnn_lce", "ml_gcn", "a_gcn", "f_gcn"}
    assert not needs_vectors(settings("mscnn_lce", fusion="none"))
    assert needs_vectors(settings("ml_gcn", fusion="none"))


@pytest.mark.parametrize("name", ["average_pool", "max_pool", "both_pool", "asl_linear", "srn"])
def test_labels_start_at_their_known_rates(name: str) -> None:
    given = inputs()
    torch.manual_seed(0)
    layers = [m for m in build_head(settings(name), given).modules() if isinstance(m, nn.Linear)]
    for layer in layers:
        assert array(layer.bias.sigmoid()) == pytest.approx(given.facts.rates, abs=1e-6)
    plain = build_head(settings(name, prior=False), given)
    assert not any(m.bias.any() for m in plain.modules() if isinstance(m, nn.Linear))


class Logits(nn.Module):
    """A head as a graph is made of it: tensors in, one tensor out."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        return self.head([fine, coarse], feature).logits


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "f_gcn"])  # whose chunks the export unrolls
def test_one_graph_serves_batches_of_any_size(name: str) -> None:
    head = head_case(name)
    head.fold()
    many = {0: torch.export.Dim("batch", min=1, max=64)}
    maps, feature = batch(2)
    program = torch.export.export(Logits(head), (*maps, feature), dynamic_shapes=(many, many, many)).module()
    maps, feature = batch(5)
    torch.testing.assert_close(program(*maps, feature), head(maps, feature).logits, atol=SAME, rtol=SAME)
