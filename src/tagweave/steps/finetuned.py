"""The backbone that travels with the model: how one that learns starts, where its weights are kept, what it sees."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import EncoderConfig
from tagweave.data.manifest import Manifest
from tagweave.runs import atomic
from tagweave.steps.job import Job

if TYPE_CHECKING:
    from torch import nn

    from tagweave.encoders.backbones import Encoder
    from tagweave.training.encoded import EncodedSource
    from tagweave.training.end_to_end import EndToEnd
    from tagweave.training.pixels import PixelSource

TRUNK = "encoder.safetensors"


def build_end_to_end(job: Job, head: nn.Module) -> tuple[EndToEnd, int]:
    """Put the configured backbone, with the weights that propagation saw, in front of a head; return its side too."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.training.end_to_end import EndToEnd

    config = job.config.train
    encoder = build_encoder(**job.config.encoder.model_dump())
    module: Any = encoder.module
    network = EndToEnd(module, head, encoder.layout, config.precision, config.batch_norm)
    return network, encoder.preprocessing.size


def pixels_of(
    manifest: Manifest, rows: NDArray[np.int64], size: int, augment: str, strong: bool = False
) -> PixelSource:
    """Return the files of some rows as pixels (size, size, 3), to train on in two views where ``strong``."""
    from tagweave.training.pixels import PixelSource

    return PixelSource(tuple(manifest.file(row) for row in rows), size, augment, strong=strong)


def keep_trunk(job: Job, network: nn.Module, folder: Path) -> Encoder:
    """Write the trained trunk's weights to ``folder`` and return the encoder that they make."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.training.checkpoint import save_state

    save_state(folder / TRUNK, network.encoder.trunk)  # type: ignore[union-attr,arg-type]
    return build_encoder(**{**job.config.encoder.model_dump(), "weights": str(folder / TRUNK)})


def put_beside_model(job: Job, trained: Path) -> EncoderConfig:
    """Copy the trunk's weights into the model folder; return the encoder's configuration, relative to it."""
    with atomic(job.folder / "model" / TRUNK) as partial:
        shutil.copyfile(trained / TRUNK, partial)
    return job.config.encoder.model_copy(update={"weights": TRUNK})


def put_given_beside_model(job: Job) -> EncoderConfig:
    """Save the frozen backbone, whose weights a file gave, into the model folder; return its configuration there."""
    from tagweave.encoders.backbones import build_encoder
    from tagweave.training.checkpoint import save_state

    module: Any = build_encoder(**job.config.encoder.model_dump()).module
    save_state(job.folder / "model" / TRUNK, module.trunk)
    return job.config.encoder.model_copy(update={"weights": TRUNK})


def encoded(manifest: Manifest, encoder: Encoder, keep: bool = True) -> EncodedSource:
    """Return the images of a manifest as an encoder sees them, computed as they are read.

    ``keep`` whether the encoder's session stays in the user's cache, for an encoder that is met again.
    """
    from tagweave.encoders.cache import cache_folder
    from tagweave.encoders.runners import build_runner
    from tagweave.training.encoded import EncodedSource

    with TemporaryDirectory() as passing:
        runner = build_runner(encoder, cache_folder(encoder) if keep else Path(passing))
    return EncodedSource(manifest, encoder, runner)
