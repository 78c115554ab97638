"""The network joined with what propagation says of new images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tagweave.config import ModelConfig
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Layout
from tagweave.graph.image_graph import GraphSettings, build_graph
from tagweave.graph.propagation import Propagation, propagate
from tagweave.model.build import build_mscnn_lce
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.joint import JointHead
from tagweave.model.local_ridge import LocalRidge
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.pooled import PooledFeature
from tagweave.model.propagated import PropagatedScore
from tagweave.steps.inductive import load_inductive, save_inductive

PARTS = (6, 4)
SETTINGS = GraphSettings(parts=PARTS, k=5, pca=7)


def spread(settings: GraphSettings, seed: int = 0) -> tuple[Propagation, np.ndarray]:
    """Propagate drawn labels over 60 drawn images; return what came of it and the features of 9 new images."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(69, sum(PARTS))).astype(np.float32)
    values = features[:60] @ rng.normal(size=(sum(PARTS), 3)) > 1
    known = np.zeros_like(values)
    known[:25] = True
    labels = LabelMatrix(values, known, ("a", "b", "c"))
    return propagate(build_graph(features[:60], settings), labels), features[60:]


def drawn_network(mean: np.ndarray, images: int) -> tuple[MSCNNLCE, list[torch.Tensor]]:
    """Build an untrained network for three labels, and draw stage maps."""
    torch.manual_seed(0)
    layout = Layout(maps=((4, 3, 3), (5, 2, 2)), strides=(8, 16), parts=PARTS)
    maps = [torch.randn(images, *shape) for shape in layout.maps]
    facts = LabelFacts(np.eye(3), np.full(3, 0.3), np.eye(3, dtype=np.float32))
    config = ModelConfig(width=6, m=8, g=2, gcn_widths=(9, 7))
    return build_mscnn_lce(config, HeadInputs.measure(layout, facts, [maps], torch.from_numpy(mean))).eval(), maps


def scored(found: Propagation, new: np.ndarray, folder: Path) -> np.ndarray:
    """Score new images by the module that ``save_inductive`` leaves."""
    save_inductive(folder / "inductive.npz", found, seed=0)
    pooled = PooledFeature(torch.from_numpy(found.graph.mean), PARTS)
    with torch.inference_mode():
        feature = torch.from_numpy(new)
        return load_inductive(folder / "inductive.npz")(pooled(feature), feature).numpy()


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, pca=0),
        replace(SETTINGS, teacher=False),
        replace(SETTINGS, affinity="heat", tau=0.1),
        replace(SETTINGS, k=59),
    ],
    ids=["default", "no projection", "no teacher", "heat", "all neighbours"],
)
def test_the_module_scores_new_images_as_propagation_does(settings: GraphSettings, tmp_path: Path) -> None:
    found, new = spread(settings)
    # points and scores are kept in half precision
    np.testing.assert_allclose(scored(found, new, tmp_path), found.score_new(new), rtol=0, atol=5e-3)


def test_an_image_unlike_all_others_gets_the_rates(tmp_path: Path) -> None:
    found, _ = spread(replace(SETTINGS, teacher=False))
    mean = found.graph.mean[None]  # unit features and point are zero: no affinity to anything
    expected = found.calibration.apply(found.labels.rates()[None])
    if np.abs(found.graph.projection.apply(found.unit_of(mean))).max() == 0:
        np.testing.assert_allclose(scored(found, mean, tmp_path), expected, atol=1e-5)


def test_the_mixture_is_the_sum_of_its_parts_and_gives_its_logit(tmp_path: Path) -> None:
    found, new = spread(SETTINGS)
    save_inductive(tmp_path / "inductive.npz", found, seed=0)
    propagated: PropagatedScore = load_inductive(tmp_path / "inductive.npz")
    network, maps = drawn_network(found.graph.mean, len(new))
    local = LocalRidge(torch.randn(3, 9), torch.randn(3, 9), torch.zeros(3), torch.ones(3), torch.zeros(3))
    slope, offset = torch.tensor([1.0, 0.3]), torch.tensor([0.1, -1.0])
    feature = torch.from_numpy(new)
    with torch.inference_mode():
        untaught = torch.tensor([False, False, True])
        head = JointHead(network, local, propagated, slope, offset, torch.tensor([0.25, 0.125, 0.625]), untaught).eval()
        mixed = torch.sigmoid(head(maps, feature).logits)
        one = torch.sigmoid(network(maps, feature).logits * slope[0] + offset[0])
        two = torch.sigmoid(local(maps, feature).logits * slope[1] + offset[1])
        three = propagated(network.pooled(feature), feature)
    wanted = 0.25 * one + 0.125 * two + 0.625 * three
    torch.testing.assert_close(mixed[:, :2], wanted[:, :2], atol=1e-5, rtol=0)
    torch.testing.assert_close(mixed[:, 2], three[:, 2], atol=1e-5, rtol=0)  # nothing taught the network this label
