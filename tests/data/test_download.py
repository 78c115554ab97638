"""Public data sets, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torchvision.datasets

from tagweave.data.download import data_folder
from tagweave.errors import InputError


def test_a_data_set_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(root: str, year: str, image_set: str, download: bool) -> None:
        fetched.append((year, image_set, download))
        (Path(root) / "VOCdevkit" / "VOC2007").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(torchvision.datasets, "VOCDetection", fetch)
    for _ in range(2):
        assert data_folder("voc2007", tmp_path, download=True) == tmp_path / "VOCdevkit" / "VOC2007"
    assert fetched == [("2007", "trainval", True), ("2007", "test", True)]
    assert data_folder("voc2007", tmp_path) == tmp_path / "VOCdevkit" / "VOC2007"


def test_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "VOCDetection", fail)
    with pytest.raises(InputError, match="put it there or add --download"):
        data_folder("voc2012", tmp_path)
    with pytest.raises(
        InputError, match=r"voc2012 \(trainval\) could not be fetched: no route to host; fetch it by hand"
    ):
        data_folder("voc2012", tmp_path, download=True)
    with pytest.raises(InputError, match="voc2007, voc2012, but got 'voc207'; did you mean 'voc2007'"):
        data_folder("voc207", tmp_path)
