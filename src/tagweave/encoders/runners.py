"""Run an encoder: ONNX Runtime on a CPU, torch on a GPU. Both are functions from pixels to records."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagweave.encoders.backbones import Encoder
from tagweave.runs import atomic

Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

PARITY = 1e-3  # float32 through fused and reordered convolutions, relative to the largest value


def build_runner(encoder: Encoder, folder: Path) -> Runner:
    """Return the fastest runner here, from pixels (B, size, size, 3) uint8 to records (B, R) float32."""
    import torch

    return torch_runner(encoder, "cuda") if torch.cuda.is_available() else onnx_runner(encoder, folder)


def torch_runner(encoder: Encoder, device: str) -> Runner:
    """Run the module itself; one batch at a time, however many threads call."""
    import torch

    module = encoder.module.to(device)
    lock = threading.Lock()

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock, torch.inference_mode():
            return module(torch.from_numpy(pixels).to(device)).float().cpu().numpy()

    return run


def onnx_runner(encoder: Encoder, folder: Path) -> Runner:
    """Run an ONNX session made from the module and kept in ``folder``; checked against the module when it is made.

    Images go through one by one, on one thread each: callers run several threads. This is as fast as large batches
    on a CPU, and the numbers of an image do not depend on its neighbours in a batch.
    """
    path = folder / "encoder.onnx"
    if not path.is_file():
        export_onnx(encoder, path)
    session = open_session(path)

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([session.run(None, {"pixels": image[None]})[0] for image in pixels])

    return run


def open_session(path: Path, threads: int = 1) -> Any:
    """Open an ONNX file on the CPU with a fixed number of threads per call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def export_onnx(encoder: Encoder, path: Path) -> None:
    """Write the encoder as ONNX for one image at a time, after comparing it with the module.

    Raises:
        RuntimeError: the session's numbers differ from the module's by more than ``PARITY``.
    """
    import torch

    size = encoder.preprocessing.size
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    with atomic(path) as partial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                encoder.module, (torch.from_numpy(pixels),), str(partial),
                dynamo=True, input_names=["pixels"], output_names=["record"], external_data=False, verbose=False,
            )  # fmt: skip
        with torch.inference_mode():
            expected = encoder.module(torch.from_numpy(pixels)).numpy()
        got = open_session(partial).run(None, {"pixels": pixels})[0]
        worst = float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-6))
        if not worst <= PARITY:
            raise RuntimeError(
                f"The exported {encoder.name} differs from the torch module by {worst:.2e} (at most {PARITY})."
            )
