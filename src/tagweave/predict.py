"""The trained classifier as one folder, and its use on images: the same code scores test images and new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave import __version__
from tagweave.calibration import Calibration
from tagweave.config import EncoderConfig, ModelConfig
from tagweave.encoders.backbones import Encoder, Layout, build_encoder
from tagweave.encoders.cache import cache_folder
from tagweave.encoders.extract import encode_files
from tagweave.encoders.runners import build_runner
from tagweave.errors import InputError
from tagweave.runs import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

FORMAT = 2


@dataclass(frozen=True)
class Classifier:
    """Hold what turns an image's record into probabilities.

    Attributes:
        names: C label names, in column order.
        thresholds: (C,) tuned on validation images; a label is predicted from its threshold up.
        calibration: of logits.
        encoder: how to build the encoder; ``encoder_key`` is what its numbers depend on.
        head: from stage maps and pooled features to logits: the network alone, or joined with what
            propagation says.
    """

    names: tuple[str, ...]
    thresholds: NDArray[np.float64]
    calibration: Calibration
    encoder: EncoderConfig
    encoder_key: str
    layout: Layout
    model: ModelConfig
    head: nn.Module

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json``; the label side is folded."""
        from tagweave.training.checkpoint import save_state

        self.head.fold()  # type: ignore[operator]
        save_state(folder / "model.safetensors", self.head)
        about = {
            "format": FORMAT, "tagweave": __version__, "classes": list(self.names),
            "thresholds": self.thresholds.tolist(), "calibration": self.calibration.to_json(),
            "encoder": self.encoder.model_dump(), "encoder_key": self.encoder_key,
            "layout": asdict(self.layout), "model": self.model.model_dump(),
        }  # fmt: skip
        write_json(folder / "model.json", about)

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read what ``save`` wrote.

        Raises:
            InputError: no model there, or one of another format.
        """
        from tagweave.peers.registry import restore_head
        from tagweave.training.checkpoint import load_state

        path = folder / "model.json"
        if not path.is_file():
            raise InputError(f"Expected a trained model in {folder}, but there is none; run 'tagweave fit' first.")
        about = read_json(path)
        if about.get("format") != FORMAT:
            raise InputError(f"Expected a model of format {FORMAT} in {folder}, but got {about.get('format')}.")
        layout = _layout(about["layout"])
        model = ModelConfig.model_validate(about["model"])
        head = restore_head(model, layout, len(about["classes"]), load_state(folder / "model.safetensors"))
        return cls(
            names=tuple(about["classes"]),
            thresholds=np.array(about["thresholds"]),
            calibration=Calibration.from_json(about["calibration"]),
            encoder=EncoderConfig.model_validate(about["encoder"]),
            encoder_key=about["encoder_key"],
            layout=layout,
            model=model,
            head=head,
        )

    @cached_property
    def built_encoder(self) -> Encoder:
        """The encoder, built once.

        Raises:
            InputError: its weights are not the ones the model was trained with.
        """
        encoder = build_encoder(**self.encoder.model_dump())
        if encoder.key != self.encoder_key:
            raise InputError(
                f"Expected the encoder {encoder.name} with the weights of the training (key {self.encoder_key}), "
                f"but got other ones (key {encoder.key}); install the same versions or give the same weights file."
            )
        return encoder

    def probabilities(self, records: NDArray[np.float16]) -> NDArray[np.float64]:
        """Return calibrated probabilities (B, C) of float16 records (B, map_values + D)."""
        return self.calibration.apply(self.logits(records).astype(np.float64))

    def logits(self, records: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return logits (B, C) of float16 records."""
        import torch

        maps, features = self.layout.split(records.astype(np.float32))
        with torch.inference_mode():
            return self.head([torch.from_numpy(m) for m in maps], torch.from_numpy(features)).logits.numpy()

    def predict_files(
        self, files: list[Path], progress: Callable[[int, int], None] | None = None
    ) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Score image files in one streaming pass.

        Returns:
            probabilities (N, C), NaN in the rows that could not be read; and the reasons by row number.
        """
        encoder = self.built_encoder
        runner = build_runner(encoder, cache_folder(encoder))
        probabilities = np.full((len(files), len(self.names)), np.nan)
        reasons: dict[int, str] = {}
        done = 0
        for rows, bad, records in encode_files(files, encoder, runner):
            if rows:
                probabilities[rows] = self.probabilities(records)
            reasons |= bad
            done += len(rows) + len(bad)
            if progress:
                progress(done, len(files))
        return probabilities, reasons


def _layout(content: dict[str, Any]) -> Layout:
    return Layout(
        maps=tuple((int(c), int(h), int(w)) for c, h, w in content["maps"]),
        strides=tuple(content["strides"]),
        parts=tuple(content["parts"]),
    )
