"""The paper's network, its two further convolutions included, learns a handful of photographs by heart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tagweave.config import build_config
from tagweave.data.formats.voc import read_voc
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import build_encoder
from tagweave.encoders.extract import load_pixels
from tagweave.model.cooccurrence import conditional_probability
from tagweave.model.inputs import HeadInputs, LabelFacts
from tagweave.model.losses import build_loss
from tagweave.model.mscnn_lce import MSCNNLCE
from tagweave.model.word_vectors import label_vectors
from tagweave.peers.registry import build_head
from tagweave.training.optim import build_optimiser

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
VOC = DATA / "VOCdevkit" / "VOC2007"
IMAGES, SIZE, STEPS = 16, 64, 160
RATE = 0.003  # three times the preset's: fewer steps
NEAR_ZERO = 0.03  # of 1.5 at the start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not VOC.is_dir(), reason=f"no VOC2007 in {DATA}; set TAGWEAVE_DATA"),
]


def photographs() -> tuple[np.ndarray, LabelMatrix]:
    """The first images of VOC2007 that are there, and their labels."""
    found = read_voc(VOC)
    rows = [row for row, image in enumerate(found.images) if (VOC / "JPEGImages" / image).is_file()][:IMAGES]
    pixels = np.stack([load_pixels(VOC / "JPEGImages" / found.images[row], SIZE) for row in rows])
    return pixels, found.labels.take(np.array(rows))


@pytest.mark.parametrize("encoder", ["vgg16_bn", "efficientnet_lite0"])
def test_sixteen_photographs_are_learned_by_heart(encoder: str) -> None:
    config = build_config("paper", encoder={"name": encoder, "size": SIZE}, train={"learning_rate": RATE})
    pixels, labels = photographs()
    weights = "random" if encoder == "vgg16_bn" else None  # VGG's published weights are not installed
    built = build_encoder(encoder, SIZE, weights, config.encoder.map_side)
    with torch.inference_mode():
        records = built.module(torch.from_numpy(pixels)).numpy()
    stages, pooled = built.layout.split(records)
    maps, feature = [torch.from_numpy(stage.copy()) for stage in stages], torch.from_numpy(pooled.copy())
    torch.manual_seed(0)
    facts = LabelFacts(conditional_probability(labels), labels.rates(), label_vectors(labels.names))
    head = build_head(config.model, HeadInputs.measure(built.layout, facts, [maps], feature.mean(dim=0)))
    assert isinstance(head, MSCNNLCE)
    optimiser, loss = build_optimiser(head, config.train), build_loss(config.train.loss)
    targets, known = (torch.from_numpy(cells.astype(np.float32)) for cells in (labels.values, labels.known))
    before = None
    for _ in range(STEPS):
        output = head(maps, feature)
        value = loss(output.logits, targets, known)
        before = before or value.item()
        optimiser.zero_grad()
        (value + config.train.auxiliary * loss(output.auxiliary, targets, known)).backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), config.train.clip)
        optimiser.step()
    head.eval()
    head.fold()
    with torch.inference_mode():
        logits = head(maps, feature).logits
    assert before is not None
    assert before > 1.0
    assert loss(logits, targets, known) < NEAR_ZERO
    assert torch.equal(logits > 0, targets > 0)
