"""Labels as tables of other libraries, one column per label: pandas and Arrow. Null is unknown, never absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

if TYPE_CHECKING:
    import pandas
    import pyarrow


def to_arrow(labels: LabelMatrix) -> pyarrow.Table:
    """Return a nullable boolean column (N,) per label, null where unknown."""
    import pyarrow as pa

    columns = [
        pa.array(np.ascontiguousarray(values), mask=np.ascontiguousarray(~known))
        for values, known in zip(labels.values.T, labels.known.T, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([(name, pa.bool_()) for name in labels.names]))


def from_arrow(table: pyarrow.Table) -> LabelMatrix:
    """Return the labels of a table in which every column is one: true or 1, false or 0, null or NaN for unknown.

    Raises:
        InputError: a column holds something else; it is named.
    """
    return _joined(table.num_rows, table.column_names, [column.to_pylist() for column in table.columns])


def to_pandas(labels: LabelMatrix, index: Sequence[Any] | None = None) -> pandas.DataFrame:
    """Return a column of pandas' ``boolean`` dtype per label, ``<NA>`` where unknown.

    Args:
        index: one entry per image, such as the manifest's paths; row numbers when None.

    Raises:
        InputError: pandas is not installed, or the index has another length.
    """
    pandas = _pandas()
    if index is not None and len(index) != len(labels):
        raise InputError(f"Expected one index entry per image, but got {len(index)} for {len(labels)} images.")
    columns = {
        name: pandas.arrays.BooleanArray(labels.values[:, place].copy(), ~labels.known[:, place])
        for place, name in enumerate(labels.names)
    }
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(labels)) if index is None else list(index))


def from_pandas(frame: pandas.DataFrame) -> LabelMatrix:
    """Return the labels of a frame in which every column is one; the index is not read.

    True or 1, false or 0, and what pandas calls missing for unknown.

    Raises:
        InputError: pandas is not installed, or a column holds something else; it is named.
    """
    _pandas()
    cells = frame.astype(object).where(frame.notna(), None)
    return _joined(len(frame), list(frame.columns), [cells.iloc[:, place].tolist() for place in range(cells.shape[1])])


def _joined(rows: int, names: Sequence[Any], columns: Sequence[Sequence[Any]]) -> LabelMatrix:
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise InputError(f"Expected label names as column names, but got {odd[0]!r}; rename the columns to texts.")
    found = [_cells(name, column) for name, column in zip(names, columns, strict=True)]
    values, known = np.zeros((rows, len(found)), dtype=bool), np.zeros((rows, len(found)), dtype=bool)
    for place, (value, is_known) in enumerate(found):
        values[:, place], known[:, place] = value, is_known
    return LabelMatrix(values, known, tuple(names))


def _cells(name: str, column: Sequence[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return values (N,) and known (N,) of one column; NaN, the one value that differs from itself, is unknown."""
    known = np.array([cell is not None and cell == cell for cell in column], dtype=bool)
    for row in np.flatnonzero(known).tolist():
        if isinstance(column[row], str) or column[row] not in (0, 1):
            raise InputError(
                f"Expected true, false or null in column '{name}', but got {column[row]!r} in row {row}; "
                "leave columns that are no labels out."
            )
    return np.array([bool(cell) and bool(k) for cell, k in zip(column, known, strict=True)], dtype=bool), known


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise InputError("Expected pandas, but it is not installed; pip install 'tagweave[pandas]'.") from error
    return pandas
