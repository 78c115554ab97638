"""The module of all parts against the classifier, for every kind of head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tagweave.calibration import Calibration
from tagweave.config import EncoderConfig, ModelConfig
from tagweave.encoders.backbones import Layout
from tagweave.encoders.extract import load_pixels
from tagweave.export.full_module import RecordScorer, full_module
from tagweave.export.source import Source
from tagweave.peers.registry import empty_head
from tagweave.predict import Classifier

LAYOUT = Layout(maps=((3, 4, 4), (5, 2, 2)), strides=(8, 16), parts=(3, 3))
HEADS = [
    {"fusion": "mfb"}, {"fusion": "mfb", "signed_sqrt": False, "l2": False}, {"fusion": "dot"},
    {"fusion": "none"}, {"append": "g", "compatibility": "dot", "normalisation": "sigmoid"},
]  # fmt: skip


def made(changes: dict[str, Any], labels: int = 7) -> Classifier:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"width": 8, "m": 12, "gcn_widths": [9, 10], **changes})
    head = empty_head(config, LAYOUT, labels).eval()
    for tensor in [*head.parameters(), *head.buffers()]:
        tensor.data = tensor.data + 0.1 * torch.rand_like(tensor)
    rng = np.random.default_rng(0)
    return Classifier(
        names=tuple("abcdefg"), thresholds=np.full(labels, 0.5),
        calibration=Calibration(rng.uniform(0.5, 2, labels), rng.normal(size=labels)),
        encoder=EncoderConfig(), encoder_key="", layout=LAYOUT, model=config, head=head,
    )  # fmt: skip


def records(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(count, LAYOUT.map_values + LAYOUT.features)).astype(np.float32)


@pytest.mark.parametrize("changes", HEADS)
def test_scores_records_as_the_classifier_does(changes: dict[str, Any]) -> None:
    classifier = made(changes)
    expected = classifier.probabilities(records(5).astype(np.float16))
    with torch.inference_mode():
        got = RecordScorer(classifier)(torch.from_numpy(records(5))).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("changes", HEADS)
def test_a_traced_scorer_takes_any_batch(changes: dict[str, Any]) -> None:
    classifier = made(changes)
    traced = torch.export.export(
        RecordScorer(classifier), (torch.from_numpy(records(3)),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    ).module()
    for batch in (1, 2, 6):
        expected = classifier.probabilities(records(batch).astype(np.float16))
        np.testing.assert_allclose(traced(torch.from_numpy(records(batch))).detach().numpy(), expected, atol=2e-6)


def test_what_float16_cannot_hold_is_its_largest_number() -> None:
    wild = records(1)
    wild[0, :3] = 1e9, -1e9, 7e4
    with torch.inference_mode():
        assert torch.isfinite(RecordScorer(made({}))(torch.from_numpy(wild))).all()


def test_from_pixels_as_from_files(small: Source) -> None:
    files = [small.manifest.file(row) for row in (0, 7, 31)]
    expected, _ = small.classifier.predict_files(files)
    module = full_module(small.classifier)
    with torch.inference_mode():
        for file, row in zip(files, expected, strict=True):
            got = module(torch.from_numpy(load_pixels(file, 64).copy())[None]).numpy()
            np.testing.assert_allclose(got[0], row, rtol=0, atol=1e-4)


def test_the_classifier_is_left_as_it_was(small: Source) -> None:
    head = small.classifier.head
    module = full_module(replace(small.classifier))
    for parameter in module.parameters():
        parameter.data.zero_()
    assert small.classifier.head is head
    assert any(parameter.abs().sum() > 0 for parameter in head.parameters())
    assert any(parameter.abs().sum() > 0 for parameter in small.classifier.built_encoder.module.parameters())
