"""The model card says what the run knows, with counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagweave.export.about import describe
from tagweave.export.card import model_card
from tagweave.export.source import Source


def card(source: Source) -> str:
    return model_card(source, describe(source))


def test_data_and_measures_are_counted(small: Source) -> None:
    text, values, known = card(small), small.labels.values, small.labels.known
    assert f"60 images, 46 of them with at least one known label cell; {known.sum()} cells known" in text
    for split in ("train", "val", "test"):
        rows = small.manifest.splits == split
        labelled = known[rows].any(axis=1).sum()
        line = f"| {split} | {rows.sum()} | {labelled} | {known[rows].sum()} | {values[rows].sum()} |"
        assert line in text
    measured = small.measures["splits"]["test"]["systems"]["classifier"]
    assert f"On {measured['images']} held-out images (test, {measured['cells']} known cells)" in text
    assert f"mAP {100 * measured['mAP']:.1f} over {measured['labels_with_positives']} labels" in text


def test_every_label_has_a_row(small: Source) -> None:
    train = small.labels.values[small.manifest.splits == "train"].sum(axis=0)
    for c, name in enumerate(small.classifier.names):
        assert f"| {name} | {train[c]} | {small.classifier.thresholds[c]:.3f} | " in card(small)


def test_limits_name_what_was_never_seen(small: Source) -> None:
    assert "so not learnt" not in card(small)
    values = small.labels.values & (np.arange(4) != 2)
    assert "not learnt: sea." in card(replace(small, labels=replace(small.labels, values=values)))


def test_nothing_held_out(small: Source) -> None:
    assert "None: no labelled image was held out." in card(replace(small, measures={"main": "network", "splits": {}}))


def test_validation_figures_are_called_too_good(small: Source) -> None:
    splits = {"val": small.measures["splits"]["val"]}
    text = card(replace(small, measures={"main": "network", "splits": splits}))
    assert "These images also chose the model" in text


@pytest.mark.parametrize(
    ("encoder", "told"),
    [
        ({"name": "efficientnet_lite0", "weights": None}, "EfficientNet-Lite0, Apache-2.0."),
        ({"name": "resnet50", "weights": None}, "apache-2.0, as timm states it."),
        ({"name": "test_efficientnet", "weights": "random"}, "random numbers."),
        ({"name": "test_efficientnet", "weights": "/x/own.safetensors"}, "own file; its licence is not recorded."),
    ],
)
def test_licences_are_told_and_not_invented(small: Source, encoder: dict[str, str | None], told: str) -> None:
    about = describe(small)
    changed = replace(small.classifier, encoder=small.classifier.encoder.model_copy(update=encoder))
    text = model_card(replace(small, classifier=changed), about)
    assert f"Backbone weights ({encoder['name']}): {told}" in text
    assert "Images and labels of the training: not recorded" in text
    assert "/x/" not in text
