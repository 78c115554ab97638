"""Commands on data: convert labels, fetch a public data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tagweave.options import Json, print_json

FORMAT_HELP = (
    "csv-list, csv-onehot, parquet, folders, imagefolder, voc, coco, label-studio, cvat, fiftyone or openimages; "
    "guessed when absent"
)


def convert(
    source: Annotated[Path, typer.Argument(help="label file or folder", show_default=False)],
    target: Annotated[Path, typer.Argument(help="file or folder to write", show_default=False)],
    source_format: Annotated[str | None, typer.Option("--from", help=FORMAT_HELP, show_default=False)] = None,
    target_format: Annotated[str | None, typer.Option("--to", help=FORMAT_HELP, show_default=False)] = None,
    images: Annotated[
        Path | None, typer.Option(help="image folder, for the formats that hold images", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Write labels in another format, and say what it cannot hold.

    Example: `tagweave convert instances.json labels.csv` or `tagweave convert labels.csv tasks.json --to label-studio`
    """
    from tagweave.data.convert import convert as run_convert

    done = run_convert(source, target, source_format=source_format, target_format=target_format, images=images)
    if json:
        print_json({**asdict(done), "target": str(target)})
        return
    typer.echo(f"{source} ({done.source_format}) -> {target} ({done.target_format})")
    typer.echo(f"{done.images:,} images, {done.labels:,} labels")
    for note in done.notes:
        typer.echo(f"note: {note}")


def data(
    name: Annotated[str, typer.Argument(help="voc2007 or voc2012", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="where data sets lie")] = Path("data"),
    download: Annotated[bool, typer.Option("--download", help="fetch it when it is not there")] = False,
) -> None:
    """Find, or fetch, a public data set with its official splits.

    Example: `tagweave data voc2007 --download`
    """
    from tagweave.data.download import data_folder
    from tagweave.data.formats.voc import read_voc

    place = data_folder(name, folder, download=download)
    splits = Counter(read_voc(place).splits)
    typer.echo(f"{name}: {', '.join(f'{count:,} {split}' for split, count in splits.items())} in {place}")
    typer.echo(f"tagweave fit --voc {place}")
