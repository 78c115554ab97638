"""The ONNX file with convolutions in eight bits, and what that costs and gains on held-out images."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.console import Progress
from tagweave.encoders.extract import load_pixels
from tagweave.export.onnx_file import put_metadata, session_scorer
from tagweave.export.parity import Scorer
from tagweave.export.source import Source
from tagweave.metrics import average_precisions
from tagweave.runs import atomic, beside, write_json

CALIBRATED = 64  # training images whose activations set the ranges
PASS = 16  # images scored by one file before the other: both meet the same load of the machine


class _Calibration:
    """Hand images to the quantiser, which asks for them by ``get_next``."""

    def __init__(self, images: Iterator[NDArray[np.uint8]]) -> None:
        self._images = images

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {"pixels": image[None]}


def write_int8(source: Source, plain: Path, path: Path, about: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Quantise an exported file, measure both on held-out images, and write it with the measures in its description.

    Weights per channel and activations of the convolutions, ranges from training images (static quantisation). The
    scorer behind them stays in float32.

    Args:
        source: of the export.
        plain: the float32 file.
        path: of the new file.
        about: the description of the float32 file.
        progress: of the measuring.

    Returns:
        The description with ``int8``: mAP of both, its loss, milliseconds per image on one thread, bytes.

    Raises:
        InputError: nothing was held out to measure on.
    """
    rows = source.held_out
    with atomic(path) as partial:
        _quantise(source, plain, partial)
        cost = {**_compare(source, rows, plain, partial, progress), "bytes_int8": partial.stat().st_size}
        about = {**about, "int8": {**cost, "bytes_float32": plain.stat().st_size}}
        put_metadata(partial, about)
    write_json(beside(path), about)
    return about


def _quantise(source: Source, plain: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    pool = np.random.default_rng(0).permutation(source.manifest.rows("train"))[:CALIBRATED]
    size = source.classifier.built_encoder.preprocessing.size
    images = (load_pixels(source.manifest.file(int(row)), size) for row in pool)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(target), _Calibration(images), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"], activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, per_channel=True,
            reduce_range=True,  # seven bits of weight: sums of eight saturate on processors without VNNI
        )  # fmt: skip


def _compare(source: Source, rows: NDArray[np.int64], plain: Path, eight: Path, progress: Progress) -> dict[str, Any]:
    size = source.classifier.built_encoder.preprocessing.size
    scorers = {"float32": session_scorer(plain), "int8": session_scorer(eight)}
    scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in scorers}
    seconds = dict.fromkeys(scorers, 0.0)
    for start in range(0, len(rows), PASS):
        images = [load_pixels(source.manifest.file(int(row)), size) for row in rows[start : start + PASS]]
        for name, scorer in scorers.items():
            seconds[name] += _score_each(scorer, images, scores[name])
        progress(min(start + PASS, len(rows)), len(rows))
    truth = source.labels.take(rows)
    areas = {name: average_precisions(np.concatenate(rows), truth) for name, rows in scores.items()}
    means = {name: float(np.nanmean(values)) for name, values in areas.items()}
    return {
        "split": source.measured_split,
        "images": len(rows),
        "labels_with_positives": int((truth.positives > 0).sum()),
        "mAP_float32": means["float32"],
        "mAP_int8": means["int8"],
        "mAP_loss": means["float32"] - means["int8"],
        **{f"ms_{name}": 1000 * spent / len(rows) for name, spent in seconds.items()},
    }


def _score_each(scorer: Scorer, images: list[NDArray[np.uint8]], scores: list[NDArray[np.float32]]) -> float:
    """Score images one by one; return the seconds it took."""
    began = time.perf_counter()
    scores.extend(scorer(image[None]) for image in images)
    return time.perf_counter() - began
