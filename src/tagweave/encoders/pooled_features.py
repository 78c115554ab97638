"""A backbone's pooled features without its maps, for what compares images and looks at no place in them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from tagweave.encoders.backbones import Encoder, Layout


class PooledFeatures(nn.Module):
    """Map pixels (B, S, S, 3) to the last ``width`` numbers of their records: the pooled features (B, D)."""

    def __init__(self, records: nn.Module, width: int) -> None:
        super().__init__()
        self.records, self.width = records, width

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (B, D)."""
        features: Tensor = self.records(pixels)[:, -self.width :]
        return features


def features_only(encoder: Encoder) -> Encoder:
    """Return the encoder whose records are the pooled features alone; it has a key of its own, and so a cache."""
    layout = Layout(maps=(), strides=(), parts=encoder.layout.parts)
    module = PooledFeatures(encoder.module, layout.features).eval()
    return replace(encoder, layout=layout, module=module, key=f"{encoder.key}-features")
