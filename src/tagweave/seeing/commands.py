"""``tagweave attention``, ``tagweave plots`` and ``tagweave describe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagweave.config import PRESETS
from tagweave.options import RunFolder


def attention(
    run: RunFolder,
    images: Annotated[Path, typer.Argument(help="an image or a folder of images", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder of the pictures")] = Path("attention"),
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="show where this label is seen, repeatable")
    ] = None,
) -> None:
    """Show where the network looks, one picture per image and stage; or where labels are seen, one per image and label.

    Example: `tagweave attention runs/photos photo.jpg --label dog -o attention`
    """
    from tagweave.api import Run, list_images
    from tagweave.seeing.attention import write_attention

    names, files, unseen = list_images(images)
    for name, pictures, reason in write_attention(Run(run).classifier, names, files, out, label or []):
        typer.echo(f"not shown: {name}: {reason}" if reason else "\n".join(map(str, pictures)), err=bool(reason))
    for item in unseen:
        typer.echo(f"not shown: {item.path}: {item.reason}", err=True)


def plots(run: RunFolder) -> None:
    """Draw the label embeddings and the co-occurrence of labels into the run's plots folder.

    Example: `tagweave plots runs/photos`
    """
    from tagweave.api import Run
    from tagweave.seeing.label_plots import write_label_plots

    for path in write_label_plots(run, Run(run).classifier):
        typer.echo(path)


def describe(
    preset: Annotated[str, typer.Option(help=", ".join(PRESETS))] = "fast",
    config: Annotated[Path | None, typer.Option(help="TOML file over the preset", show_default=False)] = None,
    set: Annotated[list[str] | None, typer.Option(help="section.key=value, repeatable", show_default=False)] = None,
    labels: Annotated[int, typer.Option(min=1, help="number of labels")] = 20,
) -> None:
    """Print the network that settings make: shapes and parameters, part by part. Nothing is fetched or trained.

    Example: `tagweave describe --preset paper`
    """
    import logging

    from tagweave.config import build_config
    from tagweave.seeing.network import describe_config

    logging.getLogger("tagweave").setLevel(logging.ERROR)  # that its weights are random goes without saying here
    parts = describe_config(build_config(preset, config, set or []), labels)
    name, shape = (max(len(getattr(part, field)) for part in parts) for field in ("name", "shape"))
    for part in parts:
        count = f"{part.parameters:>14,}" if part.parameters else " " * 14
        typer.echo(f"{part.name:<{name}}  {part.shape:<{shape}}{count}".rstrip())
