"""The quarantine file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tagweave.data.manifest import Quarantined
from tagweave.data.quarantine import read_quarantine, write_quarantine
from tagweave.errors import InputError

ROWS = (Quarantined("ü b.jpg", 'is "truncated", at 3'), Quarantined("new\nline.jpg", "is empty"))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.csv"
    write_quarantine(path, ROWS)
    assert read_quarantine(path) == ROWS
    with path.open(encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream)) == {"path": ROWS[0].path, "reason": ROWS[0].reason}
    write_quarantine(path, ())
    assert read_quarantine(path) == ()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.csv"
    write_quarantine(path, ROWS)

    def failing() -> object:
        yield ROWS[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_quarantine(path, failing())  # type: ignore[arg-type]
    assert read_quarantine(path) == ROWS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["image,labels\n", ""])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match="expected the header path,reason, but got"):
        read_quarantine(tmp_path / "x.csv")
