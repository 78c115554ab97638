"""Images per second of the default encoder: the package's own runner and streaming pass, and eager PyTorch."""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # before tagweave, so that eager PyTorch waits as OpenMP does by itself
from measure import interleaved_seconds, peak_mib, print_json, run_script, say
from numpy.typing import NDArray

from tagweave.data.demo import write_demo
from tagweave.data.manifest import Manifest
from tagweave.encoders.backbones import Encoder, build_encoder
from tagweave.encoders.cache import RecordCache
from tagweave.encoders.extract import CHUNK, extract, load_pixels
from tagweave.encoders.runners import Runner, onnx_runner
from tagweave.threads import available_threads, limit_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
ENCODER = "efficientnet_lite0"
LAYOUTS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class Size:
    """Say how much is measured.

    Attributes:
        files: images of the streaming pass.
        decoded: of them, those decoded beforehand for the comparison of inference alone.
        batches: sizes of the batches that eager PyTorch gets.
        repetitions: of everything; the median counts.
    """

    files: int = 400
    decoded: int = 64
    batches: tuple[int, ...] = (1, 16, 32)
    repetitions: int = 3


FULL = Size()
QUICK = Size(files=48, decoded=16, batches=(1, 16), repetitions=1)


def photographs(count: int, folder: Path) -> tuple[list[Path], str]:
    """Return image files and what they are: Corel5k where it is at hand, else demo scenes drawn into ``folder``."""
    data = Path(os.environ.get("TAGWEAVE_DATA") or ROOT.parent / "shared" / "data")
    files = sorted((data / "corel5k" / "images").glob("*.jpeg"))
    if files:
        return files[:: max(1, len(files) // count)][:count], "corel5k"
    say(f"  no photographs below {data}: drawing {count} demo scenes")
    return sorted(write_demo(folder, images=count).images.glob("*.jpg"))[:count], "demo"


def manifest_of(files: list[Path]) -> Manifest:
    """Name files of one folder as the check step would."""
    digests = tuple(hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files)
    sizes = np.zeros((len(files), 2), dtype=np.int32)
    return Manifest(files[0].parent, tuple(file.name for file in files), digests, sizes, np.full(len(files), "train"))


def run_threads(runner: Runner, pixels: NDArray[np.uint8]) -> None:
    """Encode pixels (B, S, S, 3) from all threads, as the streaming pass does."""
    threads = available_threads()
    unit = max(1, min(CHUNK, len(pixels) // (2 * threads)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(runner, [pixels[start : start + unit] for start in range(0, len(pixels), unit)]))


def laid_out(encoder: Encoder, pixels: NDArray[np.uint8], layout: str) -> tuple[nn.Module, Tensor]:
    """Return the encoder's module and pixels (B, S, S, 3) in one of the two memory layouts of PyTorch.

    Pixels of decoded images lie with the channels last, and the module keeps that order: for ``contiguous`` they are
    laid out anew, (B, 3, S, S) in memory under the same shape.
    """

    given = torch.from_numpy(pixels)
    if layout == "channels_last":
        return copy.deepcopy(encoder.module).to(memory_format=torch.channels_last), given
    return encoder.module, given.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)


def run_eager(module: nn.Module, pixels: Tensor, batch: int) -> None:
    """Encode pixels (B, S, S, 3) batch by batch."""

    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            module(pixels[start : start + batch])


def stream(manifest: Manifest, encoder: Encoder, runner: Runner) -> None:
    """Decode, encode and store every file in a new cache."""
    with TemporaryDirectory() as folder:
        lost = extract(manifest, encoder, runner, RecordCache(Path(folder), encoder.layout))
    assert not lost, lost


def inference_works(
    encoder: Encoder, runner: Runner, pixels: NDArray[np.uint8], batches: tuple[int, ...]
) -> dict[str, Callable[[], None]]:
    """Return what is compared on the same decoded images, each run once on a batch beforehand."""
    works: dict[str, Callable[[], None]] = {"inference": partial(run_threads, runner, pixels)}
    run_threads(runner, pixels[:2])
    for layout in LAYOUTS:
        module, given = laid_out(encoder, pixels, layout)
        for batch in batches:
            run_eager(module, given[:batch], batch)
            works[f"{layout} {batch}"] = partial(run_eager, module, given, batch)
    return works


def compare(size: Size, encoder: Encoder) -> dict[str, Any]:
    """Measure images per second of everything and put it side by side."""
    limit_threads()
    with TemporaryDirectory() as folder:
        files, source = photographs(size.files, Path(folder) / "demo")
        say(f"embedding: {len(files)} files of {source}, making the ONNX session")
        runner = onnx_runner(encoder, Path(folder))
        chosen = files[:: max(1, len(files) // size.decoded)][: size.decoded]
        pixels = np.stack([load_pixels(file, encoder.preprocessing.size) for file in chosen])
        works = inference_works(encoder, runner, pixels, size.batches)
        works["extract"] = partial(stream, manifest_of(files), encoder, runner)
        seconds = interleaved_seconds(works, size.repetitions)
        alone = run_script("embedding", "--part", "extract", "--session", folder, "--files", str(size.files))
    counts = {name: len(files) if name == "extract" else len(chosen) for name in works}
    rates = {name: round(counts[name] / seconds[name], 2) for name in works}
    return {
        "source": source, "files": len(files), "decoded": len(chosen), "repetitions": size.repetitions,
        "threads": available_threads(), **side_by_side(rates, size.batches),
        "peak_mib": {**alone, "comparison": peak_mib()},
    }  # fmt: skip


def side_by_side(rates: dict[str, float], batches: tuple[int, ...]) -> dict[str, Any]:
    """Arrange images per second; ratios are to the best batch size of each layout."""
    eager = {layout: {str(batch): rates[f"{layout} {batch}"] for batch in batches} for layout in LAYOUTS}
    best = {"eager": max(eager["contiguous"].values()), "channels_last": max(eager["channels_last"].values())}
    ours = {name: rates[name] for name in ("inference", "extract")}
    ratio = {f"{name}/{other}": round(ours[name] / best[other], 2) for name in ours for other in best}
    return {"images_per_second": {**ours, **best, "eager_by_batch": eager}, "ratio": ratio}


def measure_extract(session: Path, count: int, encoder: Encoder) -> dict[str, float]:
    """Run the streaming pass alone, with the session already made; return peak memory before and after."""
    files, _ = photographs(count, session / "demo")
    runner = onnx_runner(encoder, session)
    before = peak_mib()
    stream(manifest_of(files), encoder, runner)
    return {"before_extract": before, "extract": peak_mib()}


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    parser.add_argument("--part", choices=["extract"], help="only the streaming pass, for its memory")
    parser.add_argument("--session", type=Path, help="with --part: a folder that holds or gets encoder.onnx")
    parser.add_argument("--files", type=int, default=FULL.files, help="with --part: number of images")
    given = parser.parse_args()
    if given.part and not given.session:
        parser.error("--part extract needs --session FOLDER")
    encoder = build_encoder(ENCODER)
    if given.part:
        print_json(measure_extract(given.session, given.files, encoder))
    else:
        print_json(compare(QUICK if given.quick else FULL, encoder))


if __name__ == "__main__":
    main()
