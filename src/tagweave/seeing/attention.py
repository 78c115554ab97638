"""Attention back on an image's own pixels, one picture per stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tagweave.data.images import decode
from tagweave.errors import InputError
from tagweave.predict import Classifier, Look

SIDE = 1024  # longer sides are shrunk: a map of a few hundred cells says no more on more pixels


def write_attention(
    classifier: Classifier, names: Sequence[str], files: Sequence[Path], folder: Path
) -> Iterator[tuple[str, list[Path], str]]:
    """Write ``NAME.stage-N.stride-S.png`` for every stage of every image; yield (name, pictures, reason) one by one.

    The weights cover the whole image squashed to a square, so they are stretched to its own sides: the resize undone.
    A folder of the name is kept, and an image that cannot be read has a reason and no picture.

    Raises:
        InputError: the network has no attention.
    """
    from tagweave.encoders.cache import cache_folder
    from tagweave.encoders.extract import encode_files
    from tagweave.encoders.runners import build_runner

    encoder = classifier.built_encoder
    start = 0
    for rows, reasons, records in encode_files(files, encoder, build_runner(encoder, cache_folder(encoder))):
        looks = classifier.attention(records) if rows else []
        if rows and not looks:
            raise InputError(
                f"Expected a network with attention, but got the head '{classifier.model.head}' with model.attention "
                f"{str(classifier.model.attention).lower()}; train one with --set model.attention=true."
            )
        place = {row: number for number, row in enumerate(rows)}
        for row in range(start, start + len(rows) + len(reasons)):
            if row in reasons:
                yield names[row], [], reasons[row]
                continue
            yield names[row], _write_stages(files[row], folder / names[row], looks, place[row]), ""
        start += len(rows) + len(reasons)


def _write_stages(file: Path, target: Path, looks: Sequence[Look], row: int) -> list[Path]:
    from tagweave.report.pictures import overlay, thumbnail

    image = thumbnail(decode(file, at_least=SIDE), SIDE)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for look in looks:
        written.append(target.with_name(f"{target.name}.stage-{look.stage}.stride-{look.stride}.png"))
        overlay(image, look.weights[row]).save(written[-1])
    return written
