"""The paper's way to the global vector: two further convolutions on the coarsest map (METHOD §2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tagweave.model.standardised import StandardisedMap


class GlobalConvolutions(nn.Module):
    """Map the coarsest stage map to one vector (B, width): the 14th and 15th convolution after VGG-16's 13.

    Twice: 3x3 convolution, batch norm, ReLU, 2x2 max-pooling; then the average over what positions are left, so that
    maps of any size will do. Dense G after it gives g (after Jetley et al. 2018).

    Args:
        ready: standardises the map.
        channels: of the map.
        width: of both convolutions.
    """

    def __init__(self, ready: StandardisedMap, channels: int, width: int) -> None:
        super().__init__()
        self.ready = ready
        self.convolutions = nn.ModuleList(nn.Conv2d(i, width, 3, padding=1, bias=False) for i in (channels, width))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        for weight in self.convolutions.parameters():
            nn.init.kaiming_normal_(weight, nonlinearity="relu")

    def forward(self, stage: Tensor) -> Tensor:
        """Return (B, width) of maps (B, channels, H, W), H and W from 1."""
        x = self.ready(stage)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            # An odd side keeps its edge, and so a side of 1 stays one.
            x = functional.max_pool2d(functional.relu(_normalise(norm, convolution(x))), 2, ceil_mode=True)
        return x.mean(dim=(2, 3))


def _normalise(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply batch norm; a batch with one value per channel has no variance and takes the running statistics."""
    assert isinstance(norm, nn.BatchNorm2d)
    if norm.training and x.numel() == x.shape[1]:
        return functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    normalised: Tensor = norm(x)
    return normalised
