"""Labels with a known mask: the one representation that every step reads.

Unknown is never negative: a cell counts as 0 only where somebody said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError

if TYPE_CHECKING:
    import pandas
    import pyarrow


@dataclass(frozen=True)
class LabelMatrix:
    """Hold the labels Y of N images over C names together with what is known of them.

    Attributes:
        values: Y (N, C) bool. Meaningful only where ``known``; False elsewhere.
        known: O (N, C) bool. An unlabelled image has an all-False row; a partly labelled one some cells.
        names: C distinct label names, in column order.

    Raises:
        InputError: shapes disagree or a name occurs twice.
    """

    values: NDArray[np.bool_]
    known: NDArray[np.bool_]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = (len(self.known), len(self.names))
        if self.values.shape != shape or self.known.shape != shape:
            raise InputError(
                f"Expected values and known of shape (images, {len(self.names)} labels), "
                f"but got {self.values.shape} and {self.known.shape}."
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise InputError(f"Expected distinct label names, but got {', '.join(repeated)} more than once.")
        object.__setattr__(self, "values", self.values.astype(bool) & self.known.astype(bool))
        object.__setattr__(self, "known", self.known.astype(bool))

    @classmethod
    def unlabelled(cls, images: int, names: Sequence[str]) -> LabelMatrix:
        """Return a matrix of ``images`` rows in which nothing is known."""
        empty = np.zeros((images, len(names)), dtype=bool)
        return cls(empty, empty.copy(), tuple(names))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows (N,) with at least one known cell."""
        return np.asarray(self.known.any(axis=1))

    @property
    def positives(self) -> NDArray[np.int64]:
        """Known positive cells per label (C,)."""
        return self.values.sum(axis=0)

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Known negative cells per label (C,)."""
        return (self.known & ~self.values).sum(axis=0)

    def rates(self) -> NDArray[np.float64]:
        """Return pi (C,), each label's share of positives among its known cells; 0 where nothing is known."""
        return self.positives / np.maximum(self.known.sum(axis=0), 1)

    def known_masks(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return the G distinct columns of O (N, G) and which of them each label has (C,).

        Labels mostly share their known images, so work that depends on O alone is done G times, not C.
        """
        packed = [column.tobytes() for column in np.packbits(self.known, axis=0).T]
        numbers = {column: number for number, column in enumerate(dict.fromkeys(packed))}
        group = np.array([numbers[column] for column in packed], dtype=np.int64)
        first = [packed.index(column) for column in numbers]
        return self.known[:, first], group

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> LabelMatrix:
        """Return the chosen rows, in the order given."""
        return LabelMatrix(self.values[rows], self.known[rows], self.names)

    def hide(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> LabelMatrix:
        """Return a copy in which nothing is known of ``rows``."""
        known = self.known.copy()
        known[rows] = False
        return LabelMatrix(self.values, known, self.names)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table, see ``label_tables.to_arrow``."""
        from tagweave.data.label_tables import to_arrow

        return to_arrow(self)

    @classmethod
    def from_arrow(cls, table: pyarrow.Table) -> LabelMatrix:
        """Return the labels of an Arrow table, see ``label_tables.from_arrow``."""
        from tagweave.data.label_tables import from_arrow

        return from_arrow(table)

    def to_pandas(self, index: Sequence[Any] | None = None) -> pandas.DataFrame:
        """Return a pandas frame, see ``label_tables.to_pandas``."""
        from tagweave.data.label_tables import to_pandas

        return to_pandas(self, index)

    @classmethod
    def from_pandas(cls, frame: pandas.DataFrame) -> LabelMatrix:
        """Return the labels of a pandas frame, see ``label_tables.from_pandas``."""
        from tagweave.data.label_tables import from_pandas

        return from_pandas(frame)
