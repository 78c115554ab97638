"""Images as records, encoded when they are needed and kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tagweave.data.manifest import Manifest
from tagweave.encoders.backbones import Encoder
from tagweave.encoders.extract import CHUNK, encode_rows
from tagweave.encoders.runners import Runner
from tagweave.errors import InputError
from tagweave.threads import available_threads
from tagweave.training.batches import Inputs, head_inputs


@dataclass(frozen=True)
class EncodedSource:
    """Encode the n images of a manifest as they are read: the records are those that a cache would give back.

    Attributes:
        runner: of ``encoder``.
    """

    manifest: Manifest
    encoder: Encoder
    runner: Runner
    batch: int = CHUNK
    readers: int = field(default_factory=available_threads)

    def __len__(self) -> int:
        return len(self.manifest)

    def read(self, rows: NDArray[np.int64], draws: NDArray[np.int64] | None = None) -> Inputs:
        """Return float32 stage maps and raw features of ``rows``."""
        return head_inputs(self.encoder.layout, self.records(rows))

    def records(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return records (B, map_values + D).

        Raises:
            InputError: files that can no longer be read, or changed since they were checked.
        """
        _, reasons, records = encode_rows(self.manifest, rows.tolist(), self.encoder, self.runner)
        if reasons:
            raise InputError(
                [
                    f"Expected {self.manifest.paths[row]} as it was checked, but it {reason}. Run again."
                    for row, reason in reasons.items()
                ]
            )
        return records
