"""Trunk and head as one network: from pixels to logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tagweave.encoders.backbones import Layout
from tagweave.encoders.record_module import RecordModule
from tagweave.errors import InputError
from tagweave.model.mscnn_lce import HeadOutput

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class EndToEnd(nn.Module):
    """Score pixels by a trunk and a head that learn together.

    The trunk may compute in 16 bits; its maps become float32 before the head, whose square roots and norms need it.

    Args:
        encoder: the trunk with its normalisation, pixels to records.
        head: as ``tagweave.peers.registry`` describes heads.
        layout: of the records.
        precision: of the trunk: ``float32``, ``bf16`` or ``fp16``.
        batch_norm: ``frozen`` keeps the statistics of the trunk's batch norms, ``batch`` follows the batches.
    """

    def __init__(
        self, encoder: RecordModule, head: nn.Module, layout: Layout, precision: str = "float32",
        batch_norm: str = "frozen",
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.head, self.layout = encoder, head, layout
        self.precision, self.batch_norm = PRECISIONS[precision], batch_norm
        self.encoder.to(memory_format=torch.channels_last)  # pixels come so

    def look(self, pixels: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Return the head's inputs: L stage maps (B, channels, H, W) and raw features (B, D), float32."""
        reduced = self.precision != torch.float32
        with torch.autocast(pixels.device.type, self.precision, enabled=reduced):
            records = self.encoder(pixels).float()
        sizes = [channels * height * width for channels, height, width in self.layout.maps]
        *parts, features = records.split([*sizes, self.layout.features], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.layout.maps, strict=True)], features

    def forward(self, pixels: Tensor) -> HeadOutput:
        """Score pixels (B, S, S, 3) uint8."""
        output: HeadOutput = self.head(*self.look(pixels))
        return output

    def train(self, mode: bool = True) -> EndToEnd:
        """Switch to training; batch norms of the trunk stay as they are where their statistics are frozen."""
        super().train(mode)
        if self.batch_norm == "frozen":
            for module in self.encoder.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Tell the head, where its training has stages."""
        if hasattr(self.head, "begin_epoch"):
            self.head.begin_epoch(epoch, epochs)  # type: ignore[operator]

    def save_memory(self) -> None:
        """Compute the trunk's inner maps again in the backward pass instead of keeping them.

        Raises:
            InputError: the trunk cannot.
        """
        try:
            self.encoder.trunk.set_grad_checkpointing(True)  # type: ignore[operator]
        except (AssertionError, AttributeError) as error:
            raise InputError(
                "Expected a backbone that can compute its maps twice, but this one cannot; "
                "leave train.checkpoint_gradients out, and set train.accumulate higher to save memory."
            ) from error
