"""The trained classifier as one folder, and its use on images: the same code scores test images and new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
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
from tagweave.encoders.runners import Runner, build_runner
from tagweave.errors import InputError
from tagweave.runs import read_json, write_json

if TYPE_CHECKING:
    from torch import nn

FORMAT = 4
FIXED_SIDES = ("srn", "rarl")  # heads whose layers are made for one size of maps


@dataclass(frozen=True)
class Views:
    """Say which views of an image are scored; the mean of their probabilities is what counts.

    Attributes:
        flip: the mirrored image too.
        scales: sides of the input over the trained one, rounded to whole strides.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    @classmethod
    def parse(cls, flip: bool, scales: str) -> Views:
        """Read ``1,1.25``.

        Raises:
            InputError: not positive numbers, or none.
        """
        try:
            values = tuple(float(part) for part in scales.split(","))
        except ValueError:
            values = ()
        if not values or not all(0 < value < float("inf") for value in values):
            raise InputError(f"Expected --scales to be positive numbers, such as 1,1.25, but got '{scales}'.")
        return cls(flip, values)


@dataclass(frozen=True)
class Look:
    """Hold where the head looks at one stage.

    Attributes:
        stage: which of the encoder's stages, from 1; of encoders side by side several have one ``stride``.
        weights: (B, H, W), each image's of sum 1.
    """

    stage: int
    stride: int
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """Hold what turns an image's record into probabilities.

    Attributes:
        names: C label names, in column order.
        thresholds: (C,) tuned on validation images; a label is predicted from its threshold up.
        calibration: of logits.
        encoder: how to build the encoder; ``encoder_key`` is what its numbers depend on. ``is_finetuned`` says whether
            it was trained along.
        head: from stage maps and pooled features to logits: the network alone, or joined with a ridge
            of places and with what propagation says.
    """

    names: tuple[str, ...]
    thresholds: NDArray[np.float64]
    calibration: Calibration
    encoder: EncoderConfig
    encoder_key: str
    layout: Layout
    model: ModelConfig
    head: nn.Module
    is_finetuned: bool = False

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json``; the label side is folded."""
        from tagweave.training.checkpoint import save_state

        self.head.fold()  # type: ignore[operator]
        whose = {"head": self.model.head, "encoder": self.encoder.name, "classes": list(self.names)}
        save_state(folder / "model.safetensors", self.head, whose)
        about = {
            "format": FORMAT, "tagweave": __version__, "classes": list(self.names),
            "thresholds": self.thresholds.tolist(), "calibration": self.calibration.to_json(),
            "encoder": self.encoder.model_dump(), "encoder_key": self.encoder_key,
            "layout": asdict(self.layout), "model": self.model.model_dump(),
            "finetuned": self.is_finetuned,
        }  # fmt: skip
        write_json(folder / "model.json", about)

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read what ``save`` wrote.

        Raises:
            InputError: no model there, one of another format, or weights of another head, encoder or class list.
        """
        from tagweave.peers.registry import restore_head
        from tagweave.training.checkpoint import load_about, load_state

        path = folder / "model.json"
        if not path.is_file():
            raise InputError(f"Expected a trained model in {folder}, but there is none; run 'tagweave fit' first.")
        about = read_json(path)
        if about.get("format") != FORMAT:
            raise InputError(
                f"Expected a model of format {FORMAT} in {folder}, but got {about.get('format')}: another version of "
                "tagweave wrote it; fit again into a new folder."
            )
        layout = _layout(about["layout"])
        model = ModelConfig.model_validate(about["model"])
        weights = folder / "model.safetensors"
        _require_same(load_about(weights), about, model)
        try:
            head = restore_head(model, layout, len(about["classes"]), load_state(weights))
        except RuntimeError as error:
            raise InputError(
                f"Expected {weights} to fit the settings of model.json beside it, but got: "
                f"{' '.join(str(error).split())[:300]} ... Keep the two files of one training together."
            ) from error
        return cls(
            names=tuple(about["classes"]),
            thresholds=np.array(about["thresholds"]),
            calibration=Calibration.from_json(about["calibration"]),
            encoder=_encoder(about["encoder"], folder),
            encoder_key=about["encoder_key"],
            layout=layout,
            model=model,
            head=head,
            is_finetuned=about.get("finetuned", False),
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

        from tagweave.training.batches import head_inputs

        with torch.inference_mode():
            return self.head(*head_inputs(self.layout, records)).logits.numpy()

    def attention(self, records: NDArray[np.float16]) -> list[Look]:
        """Return where the head looks, of each stage in use."""
        import torch

        from tagweave.model.build import stages_in_use
        from tagweave.training.batches import head_inputs

        with torch.inference_mode():
            found = self.head(*head_inputs(self.layout, records)).attention
        use = stages_in_use(self.model, len(self.layout.strides)) if found else ()
        shares = [(a / a.sum(dim=(1, 2), keepdim=True).clamp(min=1e-12)).float().numpy() for a in found]
        strides = self.layout.strides
        return [Look(place + 1, strides[place], weights) for place, weights in zip(use, shares, strict=True)]

    def places(self, records: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return where each label is seen (B, C, H, W), every map of sum 1; see ``LocalRidge.places``.

        Raises:
            InputError: the ridge of places is not there, or has no share in the classifier.
        """
        import torch

        from tagweave.training.batches import head_inputs

        self.require_places()
        with torch.inference_mode():
            return self.head.local.places(head_inputs(self.layout, records)[0]).numpy()  # type: ignore[operator,union-attr]

    def require_places(self) -> None:
        """Raise InputError where no ridge of places decides: a network alone, or shares that leave it out."""
        from tagweave.model.joint import JointHead

        if not isinstance(self.head, JointHead) or not self.head.shares[1] > 0:
            raise InputError(
                "Expected a classifier in which the ridge of places, which says where a label is seen, has a share, "
                "but got one without; fit with a frozen backbone and a share for it, such as "
                "--set train.shares=[0.34,0.33,0.33]."
            )

    def at_scale(self, scale: float) -> Classifier:
        """Return the classifier for inputs of another size, with the same weights.

        Raises:
            InputError: the encoder or the head does not take the size, or the weights are not those of the training.
        """
        if scale == 1.0:
            return self
        if self.model.head in FIXED_SIDES:
            raise InputError(
                f"Expected scale 1 with the head '{self.model.head}', whose layers are made for one size of maps, but "
                f"got {scale:g}; leave --scales out."
            )
        own = self.built_encoder
        stride = own.layout.strides[-1]
        settings = self.encoder.model_copy(
            update={"size": max(1, round(scale * own.preprocessing.size / stride)) * stride}
        )
        encoder = build_encoder(**settings.model_dump())
        scaled = replace(self, encoder=settings, encoder_key=encoder.key, layout=encoder.layout)
        vars(scaled)["built_encoder"] = encoder  # what the cached property would build again
        return scaled

    def predict_files(
        self, files: list[Path], progress: Callable[[int, int], None] | None = None, views: Views | None = None
    ) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Score image files, in one streaming pass for each view.

        Returns:
            probabilities (N, C), NaN in the rows that could not be read; and the reasons by row number.
        """
        views = views or Views()
        wanted = [(scale, flip) for scale in views.scales for flip in ((False, True) if views.flip else (False,))]
        total = np.zeros((len(files), len(self.names)))
        reasons: dict[int, str] = {}
        for number, (scale, flip) in enumerate(wanted):
            report = None if progress is None else partial(_report, progress, number, len(wanted))
            probabilities, bad = self.at_scale(scale)._score_files(files, report, flip)
            total += probabilities
            reasons |= bad
        return total / len(wanted), reasons

    def _score_files(
        self, files: list[Path], progress: Callable[[int, int], None] | None, flip: bool
    ) -> tuple[NDArray[np.float64], dict[int, str]]:
        encoder = self.built_encoder
        straight = build_runner(encoder, cache_folder(encoder))
        runner: Runner = (lambda pixels: straight(np.ascontiguousarray(pixels[:, :, ::-1]))) if flip else straight
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


def _report(progress: Callable[[int, int], None], number: int, views: int, done: int, files: int) -> None:
    """Tell the progress of one view as a part of all."""
    progress(number * files + done, views * files)


def _require_same(weights: dict[str, Any], about: dict[str, Any], model: ModelConfig) -> None:
    """Compare what the weights say of themselves with model.json."""
    encoder = about["encoder"]["name"]
    for what, wanted in (("head", model.head), ("encoder", encoder)):
        if weights.get(what, wanted) != wanted:
            raise InputError(
                f"Expected model.safetensors to hold the weights for the {what} '{wanted}' that model.json names, but "
                f"got those for '{weights[what]}'. Keep the two files of one training together."
            )
    classes, own = list(about["classes"]), weights.get("classes", about["classes"])
    if own != classes:
        added, missing = [n for n in classes if n not in own], [n for n in own if n not in classes]
        changes = [
            f"{len(part)} {word} ({', '.join(part[:5])})"
            for part, word in ((added, "new"), (missing, "missing"))
            if part
        ]
        raise InputError(
            f"Expected the {len(own)} classes of the checkpoint in their order in model.json, but got {len(classes)}: "
            f"{', '.join(changes) or 'the same ones in another order'}. The weights know their own classes only; run "
            "'tagweave fit' with the labels that are wanted."
        )


def _encoder(content: dict[str, Any], folder: Path) -> EncoderConfig:
    """Return the encoder's configuration; weights that lie in the model folder are found wherever it is moved."""
    config = EncoderConfig.model_validate(content)
    beside = folder / (config.weights or "")
    return config.model_copy(update={"weights": str(beside.resolve())}) if beside.is_file() else config


def _layout(content: dict[str, Any]) -> Layout:
    return Layout(
        maps=tuple((int(c), int(h), int(w)) for c, h, w in content["maps"]),
        strides=tuple(content["strides"]),
        parts=tuple(content["parts"]),
    )
