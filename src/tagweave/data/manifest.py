"""The manifest: one row per usable image, in the order that every array of a run follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Quarantined:
    """A file or a label row that is not used, and why. ``path`` is relative to the image folder."""

    path: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """Name N images and what is known of their files.

    Attributes:
        root: the image folder.
        paths: N paths relative to ``root``, with forward slashes, in sorted order; also the images' names.
        digests: N hexadecimal digests of the files' bytes.
        sizes: (N, 2) width and height in pixels, orientation honoured.
        splits: (N,) ``train``, ``val`` or ``test``. Unlabelled images are ``train``: the pool.
    """

    root: Path
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    sizes: NDArray[np.int32]
    splits: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of one split."""
        return np.flatnonzero(self.splits == split)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Manifest:
        """Return the chosen rows, in the order given."""
        numbers = np.arange(len(self))[rows]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in numbers),
            digests=tuple(self.digests[i] for i in numbers),
            sizes=self.sizes[numbers],
            splits=self.splits[numbers],
        )

    def file(self, row: int) -> Path:
        """Return the path of one image's file."""
        return self.root / self.paths[row]

    def save(self, path: Path) -> None:
        """Write the manifest as Parquet, the root in the schema's metadata."""
        table = pa.table(
            {
                "image": pa.array(self.paths, pa.string()),
                "digest": pa.array(self.digests, pa.string()),
                "width": pa.array(self.sizes[:, 0], pa.int32()),
                "height": pa.array(self.sizes[:, 1], pa.int32()),
                "split": pa.array(self.splits.tolist(), pa.string()),
            }
        )
        pq.write_table(table.replace_schema_metadata({"root": str(self.root)}), path)

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read what ``save`` wrote."""
        table = pq.read_table(path)
        sizes = np.stack([table["width"].to_numpy(), table["height"].to_numpy()], axis=1).astype(np.int32)
        return cls(
            root=Path(table.schema.metadata[b"root"].decode()),
            paths=tuple(table["image"].to_pylist()),
            digests=tuple(table["digest"].to_pylist()),
            sizes=sizes.reshape(-1, 2),
            splits=np.array(table["split"].to_pylist(), dtype=np.str_),
        )
