"""Where the network looked: the attention maps that the run kept, as pictures to lay over an image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagweave.errors import ImageError

SIDE = 224
WARM = (255, 170, 20)
OPAQUE = 190


@dataclass(frozen=True)
class AttentionMaps:
    """Hold the maps of some images.

    Attributes:
        stages: names, such as ``stage 1, stride 8``.
        maps: image path -> one (h, w) array per stage, over the whole image squashed to a square.
    """

    stages: tuple[str, ...]
    maps: dict[str, tuple[NDArray[np.float32], ...]]

    @classmethod
    def load(cls, path: Path) -> AttentionMaps:
        """Read ``attention.npz``; without it there are no maps."""
        if not path.is_file():
            return cls((), {})
        with np.load(path, allow_pickle=False) as stored:
            stages = tuple(str(stage) for stage in stored["stages"])
            arrays = [stored[f"map_{number}"] for number in range(len(stages))]
            images = [str(image) for image in stored["images"]]
        return cls(stages, {image: tuple(a[place] for a in arrays) for place, image in enumerate(images)})

    def png(self, image: str, stage: int) -> bytes:
        """Return one map as a picture, clear where the network looked least and opaque where it looked most.

        Raises:
            ImageError: the run kept no such map.
        """
        kept = self.maps.get(image, ())
        if not 0 <= stage < len(kept):
            raise ImageError("has no such attention map")
        least, most = float(kept[stage].min()), float(kept[stage].max())
        weights = (kept[stage] - least) / max(most - least, 1e-12)
        alpha = Image.fromarray((weights * OPAQUE).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture = Image.new("RGBA", alpha.size, WARM)
        picture.putalpha(alpha)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()
