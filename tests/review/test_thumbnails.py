from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tagweave.data.manifest import Manifest
from tagweave.errors import ImageError
from tagweave.review.thumbnails import Thumbnails, image_ids


@pytest.fixture
def manifest(run: Path) -> Manifest:
    return Manifest.load(run / "manifest.parquet")


def test_an_image_is_turned_upright_shrunk_and_encoded_anew(manifest: Manifest, tmp_path: Path) -> None:
    wide = Image.new("RGB", (900, 300), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(manifest.root / "sub/0000.png", exif=exif)
    thumbnails = Thumbnails(tmp_path / "kept", manifest)
    made = Image.open(io.BytesIO(thumbnails.jpeg(0, "abcd", "thumb")))
    assert (made.format, made.size, dict(made.getexif())) == ("JPEG", (85, 256), {})


def test_names_differ_by_path_and_content(manifest: Manifest) -> None:
    names = image_ids(manifest)
    assert len(set(names)) == len(manifest)
    other = replace(manifest, digests=("f" * 32, *manifest.digests[1:]))
    assert [a == b for a, b in zip(names, image_ids(other), strict=True)] == [False] + [True] * 9


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "sub/../../secret.png", "link.png"])
def test_what_lies_outside_the_image_folder_is_refused(manifest: Manifest, tmp_path: Path, path: str) -> None:
    Image.new("RGB", (9, 9)).save(manifest.root.parent / "secret.png")
    (manifest.root / "link.png").symlink_to(manifest.root.parent / "secret.png")
    tampered = replace(manifest, paths=(path, *manifest.paths[1:]))
    with pytest.raises(ImageError, match="lies outside the image folder"):
        Thumbnails(tmp_path / "kept", tampered).jpeg(0, "abcd", "thumb")


def test_the_kept_files_stay_below_the_limit(manifest: Manifest, tmp_path: Path) -> None:
    one = len(Thumbnails(tmp_path / "probe", manifest).jpeg(0, "0000", "thumb"))
    thumbnails = Thumbnails(tmp_path / "kept", manifest, limit=4 * one + 20)
    names = [f"{row:02d}aa" for row in range(10)]
    for row, name in enumerate(names):
        thumbnails.jpeg(row, name, "thumb")
    kept = sorted(path.stem for path in (tmp_path / "kept").rglob("*.jpg"))
    assert 2 <= len(kept) <= 4
    assert kept[-1] == names[-1]
    assert Thumbnails(tmp_path / "kept", manifest)._bytes == sum(
        path.stat().st_size for path in (tmp_path / "kept").rglob("*.jpg")
    )
