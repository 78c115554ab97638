"""What a run folder is about: images, labels, configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tagweave.config import Config, parse_config, read_toml, to_toml
from tagweave.console import Console
from tagweave.errors import InputError
from tagweave.runs import Steps, atomic, read_json, write_json, write_provenance


@dataclass(frozen=True)
class Job:
    """Hold what a run folder is about.

    Attributes:
        folder: the run folder.
        images: the image folder. labels: the label file or folder, None for a collection without labels.
        format: of the labels; None guesses.
        command: what to note in the provenance; None notes the process's own.
        beside: whether a long training may start a second process; not where time and memory are measured.
    """

    folder: Path
    images: Path
    labels: Path | None
    format: str | None
    config: Config
    console: Console
    command: str | None = None
    beside: bool = True

    def save(self) -> None:
        """Write ``job.json`` and ``config.toml``."""
        with atomic(self.folder / "config.toml") as partial:
            partial.write_text(to_toml(self.config), encoding="utf-8")
        labels = str(self.labels.resolve()) if self.labels else None
        write_json(
            self.folder / "job.json", {"images": str(self.images.resolve()), "labels": labels, "format": self.format}
        )

    @classmethod
    def load(cls, folder: Path, console: Console, command: str | None = None) -> Job:
        """Read the job of a run folder.

        Raises:
            InputError: the folder is not a run, or its ``job.json`` is damaged.
        """
        path = folder / "job.json"
        if not path.is_file():
            raise InputError(
                f"Expected a run folder (with job.json) at {folder}, but there is none; run 'tagweave fit'."
            )
        about = read_json(path)
        if not isinstance(about, dict) or not about.keys() >= {"images", "labels", "format"}:
            raise InputError(
                f"Expected images, labels and format in {path}, but got {str(about)[:60]}; run 'tagweave fit'."
            )
        labels = Path(about["labels"]) if about["labels"] else None
        config = parse_config(read_toml(folder / "config.toml"))
        return cls(folder, Path(about["images"]), labels, about["format"], config, console, command)

    def note_provenance(self) -> None:
        """Write ``provenance.json`` from what the steps that are done say of themselves."""
        notes = [note for record in Steps(self.folder).records().values() for note in record.get("notes", [])]
        write_provenance(self.folder, self.config.seed, notes, self.command)
