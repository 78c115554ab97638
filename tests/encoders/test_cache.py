"""The record cache: what is stored is read back, and whatever is torn, what remains is whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from albums import BLOCKS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tagweave.encoders import cache as cache_module
from tagweave.encoders.backbones import Layout
from tagweave.encoders.cache import RecordCache, cache_folder, default_cache_folder, to_half
from tagweave.errors import InputError

LAYOUT = Layout(maps=((2, 2, 2), (3, 1, 1)), strides=(4, 8), parts=(2, 2))
WIDTH = 11 + 4
FILES = ("features.f16", "maps.f16", "index.txt")


def digests(start: int, stop: int) -> list[str]:
    return [f"{number:032x}" for number in range(start, stop)]


def records(start: int, stop: int) -> NDArray[np.float16]:
    """Record n holds n + 0, n + 1/64, n + 2/64 ...: all exact in float16 while n is small."""
    return (np.arange(start, stop)[:, None] + np.arange(WIDTH) / 64).astype(np.float16)


def fill(folder: Path, start: int, stop: int) -> RecordCache:
    cache = RecordCache(folder, LAYOUT)
    with cache.writer() as writer:
        writer.append(digests(start, stop), records(start, stop))
    return cache


def check_prefix(cache: RecordCache, length: int, of: int) -> None:
    """The cache holds the first ``length`` of ``of`` records, every number of them right, and no other."""
    assert [digest in cache for digest in digests(0, of)] == [n < length for n in range(of)]
    positions = cache.positions(digests(0, length))
    expected = records(0, length)
    np.testing.assert_array_equal(cache.features(positions), expected[:, 11:].astype(np.float32))
    first, second = cache.maps(positions)
    np.testing.assert_array_equal(first, expected[:, :8].reshape(-1, 2, 2, 2))
    np.testing.assert_array_equal(second, expected[:, 8:11].reshape(-1, 3, 1, 1))


# Reading and appending


def test_round_trip_in_several_appends_and_any_order(tmp_path: Path) -> None:
    fill(tmp_path, 0, 2)
    cache = fill(tmp_path, 2, 5)
    check_prefix(cache, 5, of=6)
    check_prefix(RecordCache(tmp_path, LAYOUT), 5, of=6)
    assert {name: (tmp_path / name).stat().st_size for name in FILES} == {
        "features.f16": 5 * 4 * 2,
        "maps.f16": 5 * 11 * 2,
        "index.txt": 5 * 33,
    }
    wanted = [digests(0, 5)[n] for n in (4, 0, 4, 2)]
    assert cache.features(cache.positions(wanted))[:, 0].tolist() == [4 + 11 / 64, 11 / 64, 4 + 11 / 64, 2 + 11 / 64]
    assert cache.features(cache.positions(wanted)).dtype == np.float32
    assert cache.maps(cache.positions(wanted))[0].dtype == np.float16


def test_empty_cache_reads_as_nothing(tmp_path: Path) -> None:
    cache = RecordCache(tmp_path / "new", LAYOUT)
    none = cache.positions([])
    assert cache.features(none).shape == (0, 4)
    assert [m.shape for m in cache.maps(none)] == [(0, 2, 2, 2), (0, 3, 1, 1)]
    with pytest.raises(KeyError):
        cache.positions(digests(0, 1))
    with cache.writer() as writer:
        writer.append([], np.zeros((0, 0), dtype=np.float16))
    assert (tmp_path / "new" / "index.txt").read_bytes() == b""


def test_half_precision_rounds_to_nearest_and_clips_what_it_cannot_hold() -> None:
    given_numbers = np.array([[1e9, -1e9, 65504.0, 70000.0, -70000.0, 1 / 3, 0.0, np.inf]], dtype=np.float32)
    half = to_half(given_numbers)
    assert half.dtype == np.float16
    assert half.tolist() == [[65504.0, -65504.0, 65504.0, 65504.0, -65504.0, 0.333251953125, 0.0, 65504.0]]


def test_place_and_description_follow_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = RecordCache.of(BLOCKS, tmp_path)
    assert cache.folder == tmp_path / "maps" / "test-blocks-k0" == cache_folder(BLOCKS, tmp_path)
    assert json.loads((cache.folder / "encoder.json").read_text()) == {
        "encoder": "test/blocks",
        "preprocessing": {"size": 8, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "layout": {"maps": [[3, 2, 2], [3, 1, 1]], "strides": [4, 8], "parts": [3, 3]},
    }
    monkeypatch.setenv("TAGWEAVE_CACHE", str(tmp_path / "elsewhere"))
    assert default_cache_folder() == tmp_path / "elsewhere"
    assert RecordCache.of(BLOCKS).folder == tmp_path / "elsewhere" / "maps" / "test-blocks-k0"
    monkeypatch.delenv("TAGWEAVE_CACHE")
    assert default_cache_folder().name == "tagweave"


# Torn files


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(FILES), share=st.floats(0, 1))
def test_a_cut_file_leaves_a_prefix_of_whole_records_that_can_be_continued(name: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder, 0, 2)
        fill(folder, 2, 5)
        content = (folder / name).read_bytes()
        cut = round(share * len(content))
        (folder / name).write_bytes(content[:cut])
        whole = cut // {"features.f16": 8, "maps.f16": 22, "index.txt": 33}[name]
        check_prefix(RecordCache(folder, LAYOUT), whole, of=5)
        check_prefix(fill(folder, whole, 7), 7, of=8)
        check_prefix(RecordCache(folder, LAYOUT), 7, of=8)


@settings(max_examples=40, deadline=None)
@given(tails=st.tuples(*[st.binary(max_size=80)] * 2), index_tail=st.binary(max_size=80))
@example(tails=(b"", b""), index_tail=b"\xff\xfe\n")
@example(tails=(b"", b""), index_tail=(digests(9, 10)[0] + "\n").encode())  # named, but its numbers are not there
@example(tails=(bytes(16), bytes(44)), index_tail=bytes(32) + b"\n")  # a crash of the machine may leave zeros
@example(tails=(bytes(16), bytes(44)), index_tail=(digests(0, 1)[0] + "\n").encode())
@example(tails=(bytes(16), bytes(44)), index_tail=digests(5, 6)[0].encode())  # the line end is missing
def test_garbage_after_the_records_is_cut_off(tails: tuple[bytes, bytes], index_tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder, 0, 5)
        whole_line = index_tail.split(b"\n")[0].isalnum() and b"\n" in index_tail
        if whole_line and index_tail[:32] != digests(0, 1)[0].encode():
            tails = (b"", b"")  # a well-formed line over numbers that are there is a record
        for name, tail in zip(FILES, (*tails, index_tail), strict=True):
            with (folder / name).open("ab") as file:
                file.write(tail)
        check_prefix(RecordCache(folder, LAYOUT), 5, of=10)
        check_prefix(fill(folder, 5, 7), 7, of=10)
        assert (folder / "index.txt").read_text().split() == digests(0, 7)


KILLED = """
import os, signal, sys
from pathlib import Path
from test_cache import LAYOUT, digests, records
from tagweave.encoders.cache import RecordCache

calls, sync = 0, os.fsync
def fsync(number):
    global calls
    sync(number)
    calls += 1
    if calls == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
cache = RecordCache(Path(sys.argv[1]), LAYOUT)
with cache.writer() as writer:
    for n in range(4):
        writer.append(digests(2 * n, 2 * n + 2), records(2 * n, 2 * n + 2))
"""


@pytest.mark.parametrize(("last", "whole"), [(1, 0), (4, 2), (5, 4)])
def test_a_kill_between_two_writes_loses_only_the_append_under_way(tmp_path: Path, last: int, whole: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", KILLED.format(last=last), str(tmp_path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    check_prefix(RecordCache(tmp_path, LAYOUT), whole, of=8)
    check_prefix(fill(tmp_path, whole, 8), 8, of=9)
    uninterrupted = tmp_path / "uninterrupted"
    fill(uninterrupted, 0, 8)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes()


# Full disks


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def append_to_a_full_disk(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        fill(folder, 3, 6)
    assert str(caught.value) == (
        f"The disk is full: {folder} took no more records. Free some space or set TAGWEAVE_CACHE to another disk, "
        "then run the same command: it continues where it stopped."
    )


def test_a_disk_that_fills_up_while_syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 0, 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        append_to_a_full_disk(tmp_path)
    check_prefix(RecordCache(tmp_path, LAYOUT), 3, of=6)
    check_prefix(fill(tmp_path, 3, 6), 6, of=7)


class FullFile:
    """A file on a disk with room for ``room`` more bytes; what fitted of a failing write stays written."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self.room = file, room
        self.flush, self.fileno = file.flush, file.fileno

    def write(self, content: bytes) -> None:
        self.file.write(content[: self.room])
        self.room -= len(content)
        if self.room < 0:
            full()

    def close(self) -> None:
        self.file.close()
        if self.room < 0:
            full()


@pytest.mark.parametrize(("name", "room"), [("features.f16", 10), ("maps.f16", 30), ("index.txt", 40)])
def test_a_disk_that_fills_up_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, room: int
) -> None:
    fill(tmp_path, 0, 3)
    open_at = cache_module._open_at
    with monkeypatch.context() as patch:
        patch.setattr(
            cache_module,
            "_open_at",
            lambda path, length: FullFile(open_at(path, length), room if path.name == name else 10**6),
        )
        append_to_a_full_disk(tmp_path)
    kept = 4 if name == "index.txt" else 3  # one line of the index still fitted, and its numbers were stored before it
    check_prefix(RecordCache(tmp_path, LAYOUT), kept, of=6)
    check_prefix(fill(tmp_path, kept, 6), 6, of=7)


def test_another_failure_of_the_disk_is_not_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        fill(tmp_path, 0, 2)


def test_space_is_asked_for_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    cache = RecordCache(tmp_path, LAYOUT)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 3_000_000_000))
    cache.require_space(100_000_000)  # 30 bytes each: exactly what is free
    with pytest.raises(InputError) as caught:
        cache.require_space(150_000_000)
    assert str(caught.value) == (
        f"Expected 4.5 GB of free disk for the records of 150000000 images, but {tmp_path} has 3.0 GB. "
        "Free some, or set TAGWEAVE_CACHE to a folder on a larger disk."
    )


# Two processes

TURN = """
import sys, time
from pathlib import Path
from test_cache import LAYOUT, digests, records
from tagweave.encoders.cache import RecordCache

cache = RecordCache(Path(sys.argv[1]), LAYOUT)
print("ready", flush=True)
sys.stdin.readline()
with cache.writer() as writer:
    missing = [n for n in range(int(sys.argv[2]), int(sys.argv[3])) if digests(n, n + 1)[0] not in cache]
    for n in missing:
        writer.append(digests(n, n + 1), records(n, n + 1))
        time.sleep(0.02)
print(len(missing), flush=True)
"""


def test_two_processes_take_turns_and_the_second_sees_what_the_first_stored(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TURN, str(tmp_path), *bounds],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for bounds in (("0", "8"), ("4", "12"))
    ]  # fmt: skip
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    stored = [int(process.communicate(timeout=30)[0]) for process in both]
    assert sum(stored) == 12
    assert sorted((tmp_path / "index.txt").read_text().split()) == digests(0, 12)
    check_prefix(RecordCache(tmp_path, LAYOUT), 12, of=13)
