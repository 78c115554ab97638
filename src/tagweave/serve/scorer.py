"""From pixels to records and probabilities, on all threads of the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tagweave.encoders.cache import cache_folder, to_half
from tagweave.encoders.runners import build_runner
from tagweave.predict import Classifier
from tagweave.threads import available_threads, limit_threads

# Products of fewer rows are summed in another order: an answer would depend, in its sixth digit, on who else asks.
STEADY = 8
Scores = tuple[NDArray[np.float16], NDArray[np.float64]]
"""Records (B, R) and probabilities (B, C)."""


class Scorer:
    """Score batches with a classifier; the numbers of an image are those of ``Classifier.predict_files``.

    Args:
        classifier: loaded; its encoder is built and tried here, so that the first request does not wait for it.
    """

    def __init__(self, classifier: Classifier) -> None:
        import torch

        self.classifier = classifier
        self.size = classifier.built_encoder.preprocessing.size
        self._run = build_runner(classifier.built_encoder, cache_folder(classifier.built_encoder))
        # A GPU takes the batch whole; on a CPU images run side by side, each on one thread.
        self._parts = 1 if torch.cuda.is_available() else limit_threads("torch")
        self._pool = ThreadPoolExecutor(available_threads(), thread_name_prefix="encode")
        self(np.zeros((1, self.size, self.size, 3), dtype=np.uint8))

    def __call__(self, pixels: NDArray[np.uint8]) -> Scores:
        """Return records and probabilities of pixels (B, S, S, 3)."""
        parts = np.array_split(pixels, min(self._parts, len(pixels)))
        records = to_half(np.concatenate(list(self._pool.map(self._run, parts))))
        padded = np.pad(records, ((0, max(0, STEADY - len(records))), (0, 0)), mode="edge")
        return records, self.classifier.probabilities(padded)[: len(records)]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
