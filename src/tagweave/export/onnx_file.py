"""One ONNX file from pixels to calibrated probabilities."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.encoders.runners import open_session
from tagweave.export.about import describe
from tagweave.export.parity import Scorer, draw_sample, require_parity
from tagweave.export.program import trace
from tagweave.export.source import Source
from tagweave.runs import atomic, beside, write_json

KEY = "tagweave"  # of the description in the file's metadata


def write_onnx(source: Source, path: Path) -> dict[str, Any]:
    """Write an ONNX file and its description beside it; return the description.

    Raises:
        RuntimeError: the file's probabilities differ from the classifier's; nothing is written.
        InputError: the encoder cannot be traced.
    """
    import torch

    sample = draw_sample(source)
    traced = trace(source, sample)
    logging.getLogger("onnxscript.optimizer").setLevel(logging.ERROR)  # it warns of operators that it does not fold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            traced, (), dynamo=True, input_names=["pixels"], output_names=["probabilities"], verbose=False
        )
    assert program is not None
    with atomic(path) as partial:
        program.save(str(partial))
        worst = require_parity(session_scorer(partial), sample, "ONNX file")
        about = {**describe(source), "largest_difference": worst}
        put_metadata(partial, about)
    write_json(beside(path), about)
    return about


def session_scorer(path: Path, threads: int = 1) -> Scorer:
    """Return a function that scores pixels with an ONNX file."""
    session = open_session(path, threads)

    def score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return session.run(None, {"pixels": pixels})[0]

    return score


def put_metadata(path: Path, about: dict[str, Any]) -> None:
    """Put a description into an ONNX file's metadata."""
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: json.dumps(about, ensure_ascii=False)})
    onnx.save(model, str(path))
