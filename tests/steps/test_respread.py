"""What a further round compares images by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tagweave.api import Run
from tagweave.config import ModelConfig
from tagweave.console import Console
from tagweave.errors import InputError
from tagweave.model.build import build_mscnn_lce
from tagweave.model.inputs import HeadInputs
from tagweave.steps.collection import open_images
from tagweave.steps.job import Job
from tagweave.steps.respread import image_features


def test_images_are_compared_by_what_goes_into_the_fusion(finished: Run) -> None:
    images = open_images(Job.load(finished.folder, Console(quiet=True)))
    head = finished.classifier.head.network
    seen: list[torch.Tensor] = []
    handle = head.fusion.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    source = images.maps(np.arange(7))
    with torch.inference_mode():
        head(*source.read(np.arange(7)))
    handle.remove()
    np.testing.assert_array_equal(image_features(head, source), seen[0].numpy())


def test_the_papers_network_has_such_a_feature_too(finished: Run) -> None:
    """Stages left out and g from convolutions change F alike in both ways."""
    images = open_images(Job.load(finished.folder, Console(quiet=True)))
    layout = images.source.cache.layout
    small = {"width": 8, "m": 8, "gcn_widths": (4, 4), "append": "g"}
    config = ModelConfig(**small, stages=(2, 3), global_vector="convolutions")
    torch.manual_seed(0)
    head = build_mscnn_lce(config, HeadInputs.blank(layout, 4)).eval()
    assert image_features(head, images.maps(np.arange(5))).shape == (5, 24)


def test_a_head_without_such_a_feature_is_named(finished: Run) -> None:
    images = open_images(Job.load(finished.folder, Console(quiet=True)))
    with pytest.raises(InputError, match=r"train\.rounds above 1 .* Identity gives none; use model\.head=mscnn_lce"):
        image_features(nn.Identity(), images.source)


def test_one_round_measures_nothing_more(finished: Run) -> None:
    assert "rounds" not in finished.evaluate()
