"""One pass over the images: every file is either stored or named with its reason, and any pass can be continued."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from albums import BLOCKS, SIDE, block_runner, digest_of, manifest_of, noise, write_album
from numpy.typing import NDArray
from PIL import Image

from tagweave.data.manifest import Manifest, Quarantined
from tagweave.encoders.backbones import Encoder
from tagweave.encoders.cache import RecordCache, to_half
from tagweave.encoders.extract import CHUNK, encode_files, extract, load_pixels
from tagweave.encoders.runners import onnx_runner
from tagweave.errors import ImageError, InputError

FILES = ("features.f16", "maps.f16", "index.txt")
CHANGED = "changed since it was checked; run again"


def run(manifest: Manifest, folder: Path) -> tuple[RecordCache, list[Quarantined]]:
    cache = RecordCache.of(BLOCKS, folder)
    return cache, extract(manifest, BLOCKS, block_runner, cache)


def stored(cache: RecordCache) -> list[bytes]:
    return [(cache.folder / name).read_bytes() for name in FILES]


def expected_record(path: Path) -> NDArray[np.float16]:
    image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return to_half(block_runner(np.asarray(image)[None]))[0]


# Pixels


def test_the_whole_image_is_resized_and_nothing_is_cropped(tmp_path: Path) -> None:
    wide = np.zeros((20, 80, 3), dtype=np.uint8)
    wide[:, :40, 0], wide[:, 40:, 2] = 200, 100
    Image.fromarray(wide).save(tmp_path / "wide.png")
    pixels = load_pixels(tmp_path / "wide.png", 16)
    assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    assert pixels[:, :6].reshape(-1, 3).tolist() == [[200, 0, 0]] * 96
    assert pixels[:, 10:].reshape(-1, 3).tolist() == [[0, 0, 100]] * 96
    np.testing.assert_array_equal(load_pixels((tmp_path / "wide.png").read_bytes(), 16), pixels)


def test_unreadable_pixels_say_why(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError):
        load_pixels(tmp_path / "text.png", 16)


# Records


def test_every_image_gets_the_record_of_its_own_pixels(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 2 * CHUNK + 3)
    calls: list[tuple[int, int]] = []
    cache = RecordCache.of(BLOCKS, tmp_path)
    assert extract(manifest, BLOCKS, block_runner, cache, lambda *step: calls.append(step)) == []
    positions = cache.positions(manifest.digests)
    expected = np.stack([expected_record(manifest.file(row)) for row in range(len(manifest))])
    np.testing.assert_array_equal(cache.features(positions), expected[:, 15:].astype(np.float32))
    quarters, whole = cache.maps(positions)
    np.testing.assert_array_equal(quarters.reshape(len(manifest), 12), expected[:, :12])
    np.testing.assert_array_equal(whole.reshape(len(manifest), 3), expected[:, 12:15])
    assert calls == [(CHUNK, 35), (2 * CHUNK, 35), (35, 35)]
    assert (cache.folder / "index.txt").read_text().split() == list(manifest.digests)


def test_a_second_pass_computes_only_what_is_new(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 5)
    cache, _ = run(manifest.take(np.array([1, 3])), tmp_path)
    seen: list[int] = []

    def counting(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(len(pixels))
        return block_runner(pixels)

    calls: list[tuple[int, int]] = []
    for _ in range(2):
        assert extract(manifest, BLOCKS, counting, cache, lambda *step: calls.append(step)) == []
    assert seen == [3]
    assert calls == [(3, 3)]


def test_identical_files_are_computed_once(tmp_path: Path) -> None:
    write_album(tmp_path / "album", 3)
    for copy in ("a.png", "z.png"):
        shutil.copy(tmp_path / "album" / "001.png", tmp_path / "album" / copy)
    manifest = manifest_of(tmp_path / "album")
    cache, quarantined = run(manifest, tmp_path)
    assert quarantined == []
    assert len((cache.folder / "index.txt").read_text().split()) == 3
    assert manifest.paths == ("000.png", "001.png", "002.png", "a.png", "z.png")
    assert cache.positions(manifest.digests).tolist() == [0, 1, 2, 1, 1]


def test_files_encoded_without_storing_give_the_stored_numbers(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", CHUNK + 2)
    cache, _ = run(manifest, tmp_path)
    files = [manifest.file(row) for row in range(len(manifest))]
    files[4].write_bytes(b"broken")
    units = list(encode_files(files, BLOCKS, block_runner))
    assert [row for rows, _, _ in units for row in rows] == [n for n in range(CHUNK + 2) if n != 4]
    assert [list(reasons) for _, reasons, _ in units] == [[4], []]
    for rows, _, records in units:
        positions = cache.positions([manifest.digests[row] for row in rows])
        np.testing.assert_array_equal(records[:, 15:].astype(np.float32), cache.features(positions))


# Images that cannot be used


def test_unreadable_images_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    album = tmp_path / "album"
    write_album(album, 4)
    (album / "001.png").write_text("not an image")
    whole = (album / "002.png").read_bytes()
    (album / "002.png").write_bytes(whole[: len(whole) // 2])
    manifest = manifest_of(album)
    (album / "003.png").unlink()
    calls: list[tuple[int, int]] = []
    cache = RecordCache.of(BLOCKS, tmp_path)
    quarantined = extract(manifest, BLOCKS, block_runner, cache, lambda *step: calls.append(step))
    assert [item.path for item in quarantined] == ["001.png", "002.png", "003.png"]
    for item in quarantined[:2]:
        with pytest.raises(ImageError) as caught:
            load_pixels(album / item.path, SIDE)
        assert item.reason == str(caught.value) != ""
    assert quarantined[2].reason == "could not be read: No such file or directory"
    assert (cache.folder / "index.txt").read_text().split() == [manifest.digests[0]]
    assert calls == [(4, 4)]


def test_nothing_readable_at_all(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for name in ("a.png", "b.png"):
        (album / name).write_text(f"not an image: {name}")
    cache, quarantined = run(manifest_of(album), tmp_path)
    assert [item.path for item in quarantined] == ["a.png", "b.png"]
    assert stored(cache) == [b"", b"", b""]


def test_a_changed_file_is_not_stored_under_the_old_digest(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 3)
    Image.fromarray(noise(99)).save(manifest.file(1))
    cache, quarantined = run(manifest, tmp_path)
    assert quarantined == [Quarantined("001.png", CHANGED)]
    assert manifest.digests[1] not in cache
    assert digest_of(manifest.file(1)) not in cache
    assert manifest.digests[0] in cache
    assert manifest.digests[2] in cache


def test_a_copy_stands_in_for_a_changed_file_and_all_copies_fail_together(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 2)
    for copy in ("b.png", "c.png"):
        shutil.copy(tmp_path / "album" / "000.png", tmp_path / "album" / copy)
    manifest = manifest_of(tmp_path / "album")
    original = manifest.file(0).read_bytes()
    manifest.file(0).write_bytes(b"other")
    cache, quarantined = run(manifest, tmp_path / "one changed")
    assert quarantined == []
    record = expected_record(tmp_path / "album" / "b.png")
    at = cache.positions(manifest.digests[:1])
    np.testing.assert_array_equal(cache.features(at)[0], record[15:].astype(np.float32))
    for path in ("b.png", "c.png"):
        (tmp_path / "album" / path).write_bytes(b"other")
    cache, quarantined = run(manifest, tmp_path / "all changed")
    assert quarantined == [Quarantined(path, CHANGED) for path in ("000.png", "b.png", "c.png")]
    assert manifest.digests[0] not in cache
    manifest.file(0).write_bytes(original)
    assert run(manifest, tmp_path / "all changed")[1] == []


# Order, threads, interruptions


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_bits_and_order_do_not_depend_on_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Encoder, tiny_folder: Path
) -> None:
    manifest = write_album(tmp_path / "album", 2 * CHUNK + 5, side=70)
    runner = onnx_runner(tiny, tiny_folder)
    starts = iter(range(1000))

    def uneven(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.05 if next(starts) % 2 == 0 else 0)  # so that later units finish first
        return runner(pixels)

    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("TAGWEAVE_THREADS", threads)
        cache = RecordCache.of(tiny, tmp_path / threads)
        assert extract(manifest, tiny, uneven, cache) == []
        results.append(stored(cache))
    assert results[0] == results[1]
    assert results[0][2].decode().split() == list(manifest.digests)


def test_an_interrupted_pass_keeps_the_units_before_and_continues(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 4 * CHUNK)
    stop = expected_record(manifest.file(2 * CHUNK))

    def failing(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        records = block_runner(pixels)
        if (to_half(records)[0] == stop).all():
            raise KeyboardInterrupt
        return records

    cache = RecordCache.of(BLOCKS, tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        extract(manifest, BLOCKS, failing, cache)
    assert (cache.folder / "index.txt").read_text().split() == list(manifest.digests[: 2 * CHUNK])
    assert extract(manifest, BLOCKS, block_runner, cache) == []
    assert stored(cache) == stored(run(manifest, tmp_path / "whole")[0])


KILLED = """
import sys, time
from pathlib import Path
from albums import BLOCKS, block_runner, manifest_of
from tagweave.encoders.cache import RecordCache
from tagweave.encoders.extract import extract

def slow(pixels):
    time.sleep(0.3)
    return block_runner(pixels)

extract(manifest_of(Path(sys.argv[1])), BLOCKS, slow, RecordCache.of(BLOCKS, Path(sys.argv[2])))
"""


def kill_after(index: Path, size: int, command: list[str]) -> None:
    """Start the command and kill it without warning once its index has grown past ``size`` bytes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 30
    while not (index.exists() and index.stat().st_size > size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_twice_and_continued_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest = write_album(tmp_path / "album", 12 * CHUNK)
    cache = RecordCache.of(BLOCKS, tmp_path / "killed")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "album"), str(tmp_path / "killed")]
    kill_after(cache.folder / "index.txt", 0, command)
    before = (cache.folder / "index.txt").stat().st_size
    kill_after(cache.folder / "index.txt", before, command)
    cache.refresh()
    assert manifest.digests[0] in cache
    assert manifest.digests[-1] not in cache
    assert extract(manifest, BLOCKS, block_runner, cache) == []
    assert stored(cache) == stored(run(manifest, tmp_path / "whole")[0])


def test_a_full_disk_is_refused_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_album(tmp_path / "album", 2)
    cache = RecordCache.of(BLOCKS, tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))

    def never(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError("the network ran")

    with pytest.raises(InputError, match="free disk for the records of 2 images"):
        extract(manifest, BLOCKS, never, cache)
