"""Images: what is found, what is decoded, and the reason for what is not."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagweave.data.images import MAX_BYTES, decode, find_images, fingerprint, inspect
from tagweave.errors import ImageError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A smooth coloured picture that JPEG keeps nearly unchanged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def png_with_size(width: int, height: int) -> bytes:
    """A small PNG whose header announces any size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def reason(source: Path | bytes, **options: int) -> str:
    with pytest.raises(ImageError) as caught:
        decode(source, **options)
    return str(caught.value)


# Decoding


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_format_gives_rgb(format: str) -> None:
    image = decode(
        encode(Image.new("RGB", (10, 6), (40, 120, 200)), format, **({"lossless": True} if format == "WEBP" else {}))
    )
    assert (image.mode, image.size) == ("RGB", (10, 6))
    assert np.abs(np.asarray(image, dtype=int) - (40, 120, 200)).max() <= 2


def test_cmyk_jpeg() -> None:
    image = decode(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(np.asarray(image, dtype=int)[4, 4] - RED).max() <= 4


def test_palette_with_transparency_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*BLUE, *RED])
    image.putdata([0, 1])
    pixels = np.asarray(decode(encode(image, transparency=0)))
    assert pixels.tolist() == [[list(WHITE), list(RED)]]


def test_alpha_is_blended_with_white() -> None:
    source = Image.new("RGBA", (3, 1))
    source.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)])
    pixels = np.asarray(decode(encode(source)), dtype=int)
    assert pixels[0, :2].tolist() == [list(RED), list(WHITE)]
    assert np.abs(pixels[0, 2] - (255 * (1 - 128 / 255))).max() <= 1


def test_gray_with_alpha_and_rgb_with_a_transparent_colour() -> None:
    gray = Image.new("LA", (1, 1), (0, 0))
    assert decode(encode(gray)).getpixel((0, 0)) == WHITE
    assert decode(encode(Image.new("RGB", (1, 1), RED), transparency=RED)).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_not_clipped(format: str) -> None:
    values = np.array([[0, 255, 257, 32896, 65535]], dtype=np.uint16)
    pixels = np.asarray(decode(encode(Image.fromarray(values), format)))
    assert pixels[0, :, 0].tolist() == [round(value / 257) for value in values[0].tolist()]
    assert (pixels == pixels[..., :1]).all()


def test_wider_gray_runs_from_its_least_to_its_greatest_value() -> None:
    integers = np.array([[-100_000, 0, 100_000]], dtype=np.int32)
    floats = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    for values in (integers, floats):
        assert np.asarray(decode(encode(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 128, 255]
    assert decode(encode(Image.fromarray(floats * 0), "TIFF")).getpixel((0, 0)) == (0, 0, 0)
    assert "not finite" in reason(encode(Image.fromarray(floats * np.float32("nan")), "TIFF"))


def test_one_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putdata([0, 1])
    assert np.asarray(decode(encode(image))).tolist() == [[[0, 0, 0], list(WHITE)]]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_animations_give_their_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    image = decode(encode(frames[0], format, save_all=True, append_images=frames[1:]))
    assert np.abs(np.asarray(image, dtype=int)[4, 4] - RED).max() <= 3


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(orientation: int, format: str, tmp_path: Path) -> None:
    upright = np.asarray(picture(48, 32))
    # How a camera stores the upright picture, from the definition: where the 0th row and 0th column lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(format, {})
    content = encode(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **options)
    decoded = np.asarray(decode(content), dtype=int)
    assert decoded.shape == upright.shape
    assert np.abs(decoded - upright).mean() < 3
    (tmp_path / "x").write_bytes(content)
    inspected = inspect(tmp_path / "x")
    assert (inspected.width, inspected.height) == (48, 32)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_metadata_does_not_cost_the_picture() -> None:
    content = encode(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk")
    assert decode(content).size == (8, 8)


# Reduced decoding


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400), at_least=st.integers(1, 120))
def test_reduced_decoding_keeps_the_shorter_side(width: int, height: int, at_least: int) -> None:
    content = encode(picture(width, height), "JPEG")
    whole, reduced = decode(content), decode(content, at_least=at_least)
    assert min(reduced.size) >= min(at_least, min(whole.size))
    assert reduced.size in [(-(-width // scale), -(-height // scale)) for scale in (1, 2, 4, 8)]


def test_reduced_decoding_is_reduced_and_shows_the_same() -> None:
    content = encode(picture(512, 384), "JPEG", quality=95)
    reduced = decode(content, at_least=64)
    assert reduced.size == (128, 96)
    whole = decode(content).resize(reduced.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(whole, dtype=int) - np.asarray(reduced, dtype=int)).mean() < 4
    assert decode(encode(picture(512, 384)), at_least=64).size == (512, 384)


# Refusals


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert reason(tmp_path / "a.jpg") == "is empty (0 bytes)"


def test_not_an_image_under_an_image_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("this is text")
    assert reason(tmp_path / "a.jpg") == "is not an image: expected JPEG, PNG, WEBP, BMP, GIF, TIFF"


def test_formats_that_run_programs_are_not_even_tried() -> None:
    assert "is not an image" in reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(format: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encode(noise, format)
    assert "damaged" in reason(content[: int(len(content) * share)])


def test_truncation_is_found_in_reduced_decoding(tmp_path: Path) -> None:
    content = encode(picture(512, 512), "JPEG")
    assert "truncated" in reason(content[:-200], at_least=32)
    (tmp_path / "a.jpg").write_bytes(content[:-200])
    with pytest.raises(ImageError, match="truncated"):
        inspect(tmp_path / "a.jpg")


def test_decompression_bomb_is_refused_from_its_header() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(png_with_size(60_000, 60_000)) == "has 60000 x 60000 pixels, more than the limit of 100,000,000"
    assert reason(encode(picture()), max_pixels=100) == "has 64 x 48 pixels, more than the limit of 100"
    assert decode(encode(picture()), max_pixels=64 * 48).size == (64, 48)


def test_zero_size() -> None:
    assert reason(png_with_size(0, 10)) == "has a PNG header without a size above zero"


def test_damaged_header() -> None:
    assert "has a damaged PNG header" in reason(encode(picture())[:20])


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(encode(picture()))
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert reason(tmp_path / "a.png") == "could not be read: Permission denied"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file" in reason(tmp_path / "nowhere.jpg")
    assert "could not be read" in reason(tmp_path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "slide.tif").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert "is larger than the limit" in reason(tmp_path / "slide.tif")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_hostile_bytes_raise_nothing_but_image_errors(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP"]))
    content = bytearray(encode(picture(24, 16), format))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert decode(bytes(content), max_pixels=10_000).mode == "RGB"


# Inspection


def test_inspection_tells_digest_size_and_fingerprint(tmp_path: Path) -> None:
    content = encode(picture(300, 200), "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    found = inspect(tmp_path / "a.jpg")
    assert found.digest == hashlib.blake2b(content, digest_size=16).hexdigest()
    assert (found.width, found.height) == (300, 200)
    assert 0 <= found.fingerprint < 2**64


def test_fingerprint_compares_neighbouring_cells() -> None:
    rng = np.random.default_rng(3)
    cells = rng.permutation(72).reshape(8, 9).astype(np.uint8) * 3
    large = Image.fromarray(np.kron(cells, np.ones((10, 10), dtype=np.uint8)))
    bits = "".join("1" if cells[y, x] < cells[y, x + 1] else "0" for y in range(8) for x in range(8))
    assert fingerprint(large) == int(bits, 2)
    assert fingerprint(Image.new("RGB", (50, 50), RED)) == 0


def test_fingerprint_outlasts_scaling_and_compression(tmp_path: Path) -> None:
    original = picture(640, 480, seed=5)
    (tmp_path / "a.png").write_bytes(encode(original))
    (tmp_path / "b.jpg").write_bytes(encode(original.resize((320, 240)), "JPEG", quality=60))
    (tmp_path / "c.png").write_bytes(encode(picture(640, 480, seed=6)))
    a, b, c = (inspect(tmp_path / name).fingerprint for name in ("a.png", "b.jpg", "c.png"))
    assert (a ^ b).bit_count() <= 2
    assert (a ^ c).bit_count() > 10


# Finding


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_images_are_found_in_order(tmp_path: Path) -> None:
    wanted = ["B.JPG", "a.jpg", "a/ü b.Jpeg", "a/z.png", "b/c/d.webp", "e.bmp", "f.gif", "g.tif", "h.TIFF"]
    touch(tmp_path, *wanted, "labels.csv", "notes.txt", ".DS_Store", ".hidden.jpg", ".cache/x.jpg", "jpg", "a.jpg.txt")
    assert find_images(tmp_path) == (sorted(wanted), [])


def test_a_run_inside_the_folder_gives_no_images(tmp_path: Path) -> None:
    run = "runs/photos"
    touch(tmp_path, "a.jpg", f"{run}/job.json", f"{run}/config.toml", f"{run}/plots/x.png", f"{run}/review/a/b.jpg")
    touch(tmp_path, "job.json", "config.toml", "other/job.json", "other/b.jpg")
    assert find_images(tmp_path) == (["a.jpg", "other/b.jpg"], [])


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root, "a/x.jpg")
    touch(outside, "y.jpg")
    (root / "linked").symlink_to(outside)
    (root / "z.jpg").symlink_to(outside / "y.jpg")
    (root / "a" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "a")
    found, bad = find_images(root)
    assert found == ["a/x.jpg", "linked/y.jpg", "z.jpg"]
    expected = "is a link to a folder that was read already"
    assert [(item.path, item.reason) for item in bad] == [("a/loop", expected), ("again", expected)]


def test_links_to_nothing_and_odd_entries_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    found, bad = find_images(tmp_path)
    assert found == []
    assert [item.path for item in bad] == ["gone.jpg", "pipe.jpg", "self.jpg"]
    assert bad[0].reason == "is a link to nothing"
    assert bad[1].reason == "is not a regular file"
    assert "could not be looked at: Too many levels of symbolic links" in bad[2].reason


def test_unreadable_folder_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, bad = find_images(tmp_path)
    assert found == ["a.jpg"]
    assert [(item.path, item.reason) for item in bad] == [("locked", "folder could not be read: Permission denied")]


def test_names_that_are_not_text_are_quarantined_in_printable_form(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).touch()
    found, bad = find_images(tmp_path)
    assert found == []
    assert bad[0].path == "caf\\xe9.jpg"
    assert "not UTF-8" in bad[0].reason
