"""``tagweave export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tagweave.errors import InputError
from tagweave.options import Json, Quiet, RunFolder, print_json

PLACES = {"onnx": "model.onnx", "torch": "model.pt2", "folder": "folder"}
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}


def export(
    run: RunFolder,
    to: Annotated[
        Literal["onnx", "torch", "folder"], typer.Option(help="one ONNX file, a torch program, or a folder to publish")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file or folder; in RUN/export when absent", show_default=False)
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="with onnx: also a file with 8-bit convolutions, measured")
    ] = False,
    push_to_hub: Annotated[
        str | None, typer.Option(help="with folder: upload to this owner/name", show_default=False)
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="make a new repository public")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the trained model for use elsewhere, after comparing it with the run's own on real images.

    Example: `tagweave export runs/photos --to onnx --int8`
    """
    from tagweave.console import Console
    from tagweave.export.source import Source
    from tagweave.threads import limit_threads

    place = out or run / "export" / PLACES[to]
    _require_sense(to, place, int8, push_to_hub)
    limit_threads("torch")
    console = Console(quiet or json)
    source = Source.load(run)
    about = _write(source, to, place)
    console.say(f"largest difference of a probability from the run's own: {about['largest_difference']:.1e}")
    written = {"path": str(place), **about}
    if int8:
        written["int8"] = _write_int8(source, place, about, console)
    if push_to_hub is not None:
        from tagweave.export.hub_folder import push_folder

        written["address"] = push_folder(place, push_to_hub, private=not public)
    if json:
        print_json(written)
    else:
        typer.echo(_lines(written))


def _require_sense(to: str, place: Path, int8: bool, push_to_hub: str | None) -> None:
    if int8 and to != "onnx":
        raise InputError(f"Expected --int8 with --to onnx, but got --to {to}.")
    if push_to_hub is not None and to != "folder":
        raise InputError(f"Expected --push-to-hub with --to folder, but got --to {to}.")
    suffix = SUFFIXES.get(to)
    if suffix and place.suffix != suffix:
        raise InputError(f"Expected --out to end in {suffix}, but got {place}.")


def _write(source: Any, to: str, place: Path) -> dict[str, Any]:
    from tagweave.export.hub_folder import write_folder
    from tagweave.export.onnx_file import write_onnx
    from tagweave.export.program import write_program

    return {"onnx": write_onnx, "torch": write_program, "folder": write_folder}[to](source, place)


def _write_int8(source: Any, place: Path, about: dict[str, Any], console: Any) -> dict[str, Any]:
    from tagweave.export.quantised import write_int8

    path = place.with_suffix(".int8.onnx")
    with console.progress("measure", "images") as progress:
        cost: dict[str, Any] = write_int8(source, place, path, about, progress)["int8"]
    return {"path": str(path), **cost}


def _lines(written: dict[str, Any]) -> str:
    lines = [written["path"]]
    if "int8" in written:
        cost = written["int8"]
        lines += [
            cost["path"],
            f"8 bits on {cost['images']:,} images ({cost['split']}): mAP {100 * cost['mAP_float32']:.1f} -> "
            f"{100 * cost['mAP_int8']:.1f} over {cost['labels_with_positives']} labels; "
            f"{cost['ms_float32']:.1f} -> {cost['ms_int8']:.1f} ms an image on one thread; "
            f"{cost['bytes_float32'] / 1e6:.1f} -> {cost['bytes_int8'] / 1e6:.1f} MB",
        ]
    return "\n".join([*lines, *([written["address"]] if "address" in written else [])])
