"""ML-GCN, A-GCN and F-GCN: adjacency and heads against loops, and what a label graph alone can learn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from peers.peer_cases import ALGEBRA, LABELS, array, batch, head_case, inputs, learn, precision, standardised
from references.model import gcn_reference, mfb_reference
from tagweave.config import ModelConfig
from tagweave.data.formats.voc import read_voc
from tagweave.data.labels import LabelMatrix
from tagweave.model.cooccurrence import conditional_probability
from tagweave.model.losses import bce
from tagweave.peers.a_gcn import LearnedGraphGCN
from tagweave.peers.ml_gcn import binary_adjacency
from tagweave.peers.registry import build_head

ROOTED = 1e-4  # MFB's x / sqrt(|x| + 1e-8) stands for sign(x) sqrt(|x|), and float32


def adjacency_by_loops(conditional: np.ndarray) -> np.ndarray:
    """Follow the five steps of ML-GCN cell by cell."""
    n = len(conditional)
    linked = [[float(i != j and conditional[i, j] >= 0.4) for j in range(n)] for i in range(n)]
    a = [[0.25 * linked[i][j] / (sum(row[j] for row in linked) + 1e-6) for j in range(n)] for i in range(n)]
    for i in range(n):
        a[i][i] += 1
    degree = [sum(row) for row in a]
    return np.array([[a[i][j] / (degree[i] * degree[j]) ** 0.5 for j in range(n)] for i in range(n)])


def image_features(standard: np.ndarray) -> np.ndarray:
    return np.array([[max(map(float, channel.ravel())) for channel in image] for image in standard])


class TestAdjacency:
    @pytest.mark.parametrize("labels", [1, 2, 7])
    def test_equal_to_loops(self, labels: int) -> None:
        conditional = np.random.default_rng(labels).random((labels, labels))
        assert_allclose(binary_adjacency(conditional), adjacency_by_loops(conditional), atol=1e-6)

    def test_two_labels_by_hand(self) -> None:
        found = binary_adjacency(np.array([[1.0, 0.4], [0.39, 1.0]]))
        # only 0 -> 1 reaches 0.4: A = (1, .25; 0, 1), degrees 1.25 and 1
        assert_allclose(found, [[0.8, 0.25 / 1.25**0.5], [0.0, 1.0]], atol=1e-6)

    @pytest.mark.data
    def test_voc2007_has_six_links(self) -> None:
        folder = _voc2007()
        read = read_voc(folder, difficult="unknown")
        pool = np.array([split != "test" for split in read.splits])
        values = read.labels.values[pool]
        labels = LabelMatrix(values, np.ones_like(values), read.labels.names)
        assert (len(values), int(values.sum())) == (5_011, 7_306)
        conditional = conditional_probability(labels)
        adjacency = binary_adjacency(conditional)
        names = labels.names
        links = {
            (names[i], names[j]): round(float(conditional[i, j]), 3) for i, j in np.argwhere(adjacency > 0) if i != j
        }
        assert links == {
            ("bicycle", "person"): 0.663, ("bottle", "person"): 0.586, ("diningtable", "chair"): 0.495,
            ("diningtable", "person"): 0.470, ("horse", "person"): 0.770, ("motorbike", "person"): 0.690,
        }  # fmt: skip


def _voc2007() -> Path:
    root = Path(os.environ.get("TAGWEAVE_DATA", "../shared/data"))
    folder = root / "VOCdevkit" / "VOC2007"
    if not folder.is_dir():
        pytest.skip(f"no VOC2007 at {folder}; set TAGWEAVE_DATA")
    return folder


class TestMLGCN:
    def classifiers(self, head: torch.nn.Module, adjacency: np.ndarray) -> np.ndarray:
        gcn = head.gcn
        weights = [array(weight).astype(float) for weight in gcn.weights]
        return gcn_reference(adjacency, array(gcn.word_vectors).astype(float), weights)

    def test_equal_to_loops(self) -> None:
        given, (maps, feature) = inputs(), batch()
        head = head_case("ml_gcn", given)
        x = image_features(standardised(head, maps[-1])) @ array(head.fusion.align.weight).T
        expected = x @ self.classifiers(head, adjacency_by_loops(given.facts.conditional)).T
        assert_allclose(array(head(maps, feature).logits), expected, atol=ALGEBRA)

    def test_no_projection_where_widths_agree(self) -> None:
        given, (maps, feature) = inputs(), batch()
        head = head_case("ml_gcn", given, gcn_widths=(7, 4))
        x = image_features(standardised(head, maps[-1]))
        expected = x @ self.classifiers(head, adjacency_by_loops(given.facts.conditional)).T
        assert_allclose(array(head(maps, feature).logits), expected, atol=ALGEBRA)
        assert len(list(head.parameters())) == 2

    @pytest.mark.parametrize("prior", [True, False])
    def test_f_gcn_is_equal_to_loops(self, prior: bool) -> None:
        given, (maps, feature) = inputs(), batch()
        head = head_case("f_gcn", given, prior=prior)
        labels = self.classifiers(head, adjacency_by_loops(given.facts.conditional))
        x = image_features(standardised(head, maps[-1]))
        fusion = head.fusion
        fused = mfb_reference(x, labels, array(fusion.U.weight), array(fusion.V.weight), fusion.g)
        expected = fused @ array(fusion.output.weight)[0] + array(fusion.output.bias)
        expected = expected + np.log(given.facts.rates / (1 - given.facts.rates)) * prior
        assert_allclose(array(head(maps, feature).logits), expected, atol=ROOTED)

    def test_f_gcn_has_the_papers_widths_unless_told(self) -> None:
        fusion = build_head(ModelConfig(head="f_gcn"), inputs()).fusion
        assert (fusion.U.out_features, fusion.g, fusion.output.in_features) == (358, 2, 179)

    @pytest.mark.parametrize("name", ["ml_gcn", "f_gcn"])
    def test_trains_with_the_soft_margin_loss(self, name: str) -> None:
        head, (maps, feature) = head_case(name), batch()
        targets, weights = torch.rand(3, LABELS), torch.rand(3, LABELS)
        expected = bce(head(maps, feature).logits, targets, weights)
        torch.testing.assert_close(head.objective(maps, feature, targets, weights), expected)


class TestAGCN:
    def test_equal_to_loops(self) -> None:
        head, (maps, feature) = head_case("a_gcn"), batch()
        gcn = head.network.gcn
        z = array(gcn.word_vectors)
        theta, phi = (z @ array(part.weight).T + array(part.bias) for part in (gcn.theta, gcn.phi))
        assert theta.shape == (LABELS, 2)
        a = np.array([[float(theta[i] @ phi[j]) / LABELS + (i == j) for j in range(LABELS)] for i in range(LABELS)])
        degree = [sum(abs(v) for v in row) for row in a]
        normal = [[a[i, j] / (degree[i] * degree[j]) ** 0.5 for j in range(LABELS)] for i in range(LABELS)]
        weights = [array(weight).astype(float) for weight in gcn.weights]
        labels = gcn_reference(np.array(normal), z.astype(float), weights)
        x = image_features(standardised(head.network, maps[-1])) @ array(head.network.fusion.align.weight).T
        assert_allclose(array(head(maps, feature).logits), x @ labels.T, atol=ALGEBRA)

    def test_the_penalty_is_the_distance_to_no_links(self) -> None:
        head, (maps, feature) = head_case("a_gcn"), batch()
        targets, weights = torch.rand(3, LABELS), torch.ones(3, LABELS)
        links = array(head.network.gcn.links())
        penalty = 0.1 * sum(abs(float(v)) for v in links.ravel()) / LABELS
        expected = bce(head(maps, feature).logits, targets, weights).item() + penalty
        assert head.objective(maps, feature, targets, weights).item() == pytest.approx(expected, rel=1e-5)

    def test_links_that_help_no_label_fade(self) -> None:
        head, (maps, feature) = head_case("a_gcn"), batch()
        before = head.network.gcn.distance().item()
        learn(head, maps, feature, torch.zeros(3, LABELS), torch.zeros(3, LABELS), epochs=200)
        assert head.network.gcn.distance().item() < 0.1 * before

    def test_negative_links_have_finite_slopes(self) -> None:
        gcn = LearnedGraphGCN(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), (5, 3))
        with torch.no_grad():
            gcn.theta.bias.fill_(-9.0)
            gcn.phi.bias.fill_(9.0)
        assert (gcn.links() < -1).all()
        gcn().square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in gcn.parameters())


def hidden_label_problem() -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Draw labels that bright channels show, and a last label that goes with the first and that nobody gave."""
    generator = torch.Generator().manual_seed(7)
    maps, feature = batch(200)
    truth = (torch.rand(200, LABELS, generator=generator) < 0.4).float()
    truth[:, -1] = truth[:, 0]
    maps[-1] += 6 * truth[:, :4, None, None]
    weights = torch.ones(200, LABELS)
    weights[:, -1] = 0.0
    return maps, feature, truth, weights


@pytest.mark.parametrize(("name", "reached"), [("ml_gcn", 0.95), ("f_gcn", 0.6)])
def test_a_label_that_nobody_gave_is_deduced_from_the_one_it_goes_with(name: str, reached: float) -> None:
    maps, feature, truth, weights = hidden_label_problem()
    linked, apart = np.eye(LABELS), np.eye(LABELS)
    linked[-1, 0] = 0.9  # P(first | last)
    found = []
    for conditional in (linked, apart):
        given = inputs(conditional=conditional, vectors=np.eye(LABELS, dtype=np.float32))
        head = head_case(name, given, gcn_widths=(32, 32), m=32)
        learn(head, maps, feature, truth, weights, epochs=150)
        found.append(precision(head, maps, feature, truth))
    assert (found[0][:-1] > 0.9).all()
    assert found[0][-1] > reached
    assert found[1][-1] < 0.4  # the same without the link: its rate, which is chance


def test_a_gcn_learns_what_channels_show() -> None:
    maps, feature, truth, _ = hidden_label_problem()
    head = head_case("a_gcn", inputs(vectors=np.eye(LABELS, dtype=np.float32)), gcn_widths=(32, 32))
    learn(head, maps, feature, truth, epochs=150)
    assert (precision(head, maps, feature, truth) > 0.9).all()
