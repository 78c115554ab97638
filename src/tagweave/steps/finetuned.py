"""The backbone that travels with the model: how one that learns starts, where its weights are kept, what it sees."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.config import EncoderConfig
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.runs import atomic
from tagweave.steps.job import Job

if TYPE_CHECKING:
    from torch import nn

    from tagweave.encoders.backbones import Encoder
    from tagweave.training.batches import MapSource
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


def trained_records(job: Job, encoder: Encoder, manifest: Manifest) -> MapSource:
    """Return the records of a manifest's images by a trained encoder; those the run's own cache lacks are computed.

    Raises:
        InputError: an image can no longer be read.
    """
    from tagweave.encoders.cache import RecordCache
    from tagweave.encoders.extract import extract
    from tagweave.encoders.runners import build_runner
    from tagweave.training.batches import MapSource

    cache = RecordCache.of(encoder, job.folder / "cache")
    with job.console.progress("embed anew", "images") as progress:
        bad = extract(manifest, encoder, build_runner(encoder, cache.folder), cache, progress)
    if bad:
        raise InputError([f"Expected {item.path} as it was checked, but it {item.reason}. Run again." for item in bad])
    return MapSource(cache, cache.positions(manifest.digests))


def forget_other_records(job: Job, kept: Encoder | None) -> None:
    """Remove the records of encoders that the final model does not use."""
    from tagweave.encoders.cache import cache_folder

    own = cache_folder(kept, job.folder / "cache") if kept else None
    for folder in (job.folder / "cache" / "maps").glob("*"):
        if folder != own:
            shutil.rmtree(folder)
