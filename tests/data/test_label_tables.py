"""Labels to pandas and Arrow and back: unknown stays unknown."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagweave.data.labels import LabelMatrix
from tagweave.errors import InputError

pandas = pytest.importorskip("pandas", reason="pandas is not installed; pip install 'tagweave[pandas]'")

Cells = st.lists(st.lists(st.sampled_from([1, 0, -1]), min_size=3, max_size=3), max_size=5)


def matrix(cells: list[list[int]]) -> LabelMatrix:
    table = np.array(cells).reshape(-1, 3)
    return LabelMatrix(table == 1, table >= 0, ("cat", "a,b", "猫"))


def same(one: LabelMatrix, other: LabelMatrix) -> bool:
    equal = np.array_equal(one.values, other.values) and np.array_equal(one.known, other.known)
    return equal and one.names == other.names


@given(cells=Cells)
def test_there_and_back_again(cells: list[list[int]]) -> None:
    labels = matrix(cells)
    assert same(LabelMatrix.from_arrow(labels.to_arrow()), labels)
    assert same(LabelMatrix.from_pandas(labels.to_pandas()), labels)
    assert same(LabelMatrix.from_arrow(pa.Table.from_pandas(labels.to_pandas(), preserve_index=False)), labels)


def test_unknown_is_null() -> None:
    labels = matrix([[1, -1, 0]])
    assert labels.to_arrow().to_pylist() == [{"cat": True, "a,b": None, "猫": False}]
    frame = labels.to_pandas(index=["a.jpg"])
    assert frame.loc["a.jpg"].tolist() == [True, pandas.NA, False]
    assert frame["cat"].dtype == "boolean"


def test_numbers_and_nan_are_read() -> None:
    frame = pandas.DataFrame({"cat": [1.0, 0.0, np.nan], "dog": [1, 0, 1], "cow": [None, True, False]})
    read = LabelMatrix.from_pandas(frame)
    assert read.values.tolist() == [[True, True, False], [False, False, True], [False, True, False]]
    assert read.known.tolist() == [[True, True, False], [True, True, True], [False, True, True]]
    assert same(LabelMatrix.from_arrow(pa.table({name: frame[name].tolist() for name in frame})), read)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"cat": [1, 2]}, r"^Expected true, false or null in column 'cat', but got 2 in row 1; leave columns that are"),
        ({"image": ["a.jpg", "b.jpg"]}, r"^Expected true, false or null in column 'image', but got 'a\.jpg' in row 0"),
        ({0: [1, 0]}, r"^Expected label names as column names, but got 0; rename the columns to texts\.$"),
    ],
)
def test_what_is_no_label_is_named(columns: dict[Any, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        LabelMatrix.from_pandas(pandas.DataFrame(columns))


def test_an_index_of_another_length() -> None:
    with pytest.raises(InputError, match=r"^Expected one index entry per image, but got 1 for 2 images\.$"):
        matrix([[1, 0, 0], [0, 0, 0]]).to_pandas(index=["a.jpg"])


def test_without_pandas_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"^Expected pandas, but it is not installed; pip install 'tagweave\[pandas\]"):
        matrix([[1, 0, 0]]).to_pandas()
