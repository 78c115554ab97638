"""The run folder: atomic writes, steps that know whether they must run again, provenance."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from tagweave import __version__
from tagweave.errors import InputError

PACKAGES = ("numpy", "scipy", "torch", "torchvision", "timm", "onnxruntime", "faiss-cpu", "numba", "pillow")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and move it there when the block ends well: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require_new(*paths: Path, way_out: str = "perhaps somebody's own; give another name, or --overwrite") -> None:
    """Refuse to write over what may be somebody's own file.

    Raises:
        InputError: something is at one of the paths.
    """
    for path in paths:
        if path.exists():
            raise InputError(f"Expected a new file to write to, but {path} is there, {way_out}.")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def beside(path: Path) -> Path:
    """Return where the JSON that describes a file lies: ``model.onnx.json``, which is no other file's."""
    return path.with_name(f"{path.name}.json")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"Expected JSON in {path}, but got: {error}; remove the damaged file and run its step again."
        ) from error


def digest_of(path: Path) -> str:
    """Return a digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=12)).hexdigest()


def key_of(*parts: Any) -> str:
    """Return a digest of JSON-able parts, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Steps:
    """Run the steps of a folder, each once per distinct input.

    ``steps/NAME.json`` is written last and holds the key of what the step was made from and the files it left as
    ``outputs``; a step whose key stands there and whose files are there is not run again, one that was killed is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, name: str) -> str | None:
        """Return the key a step was last finished with."""
        path = self._record(name)
        return str(read_json(path)["key"]) if path.is_file() else None

    def is_done(self, name: str, key: str) -> bool:
        """Return whether a step was finished with ``key`` and what it left is still there."""
        return self.key(name) == key and self._has_outputs(name)

    def stand(self, names: Sequence[str]) -> bool:
        """Return whether these steps are done, each after the one before it as that is now, and the last's files there.

        What the first was made from is not looked at.
        """
        records = self.records()
        if not all(name in records for name in names):
            return False
        linked = (records[name].get("after") == records[before]["key"] for before, name in pairwise(names))
        return all(linked) and self._has_outputs(names[-1])

    def run(self, name: str, key: str, work: Callable[[], Mapping[str, Any] | None], after: str | None = None) -> bool:
        """Do ``work`` unless it is done already; return whether it was done now.

        Args:
            name: of the step.
            key: of what it is made from.
            work: returns what the step says of itself; an ``InputError`` comes before it has changed any file.
            after: the key of the step before.
        """
        if self.is_done(name, key):
            return False
        record = self._record(name)
        old = record.read_bytes() if record.is_file() else None
        record.unlink(missing_ok=True)
        began, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            facts = work()
        except InputError:
            if old is not None:
                with atomic(record) as partial:
                    partial.write_bytes(old)
            raise
        seconds = round(time.perf_counter() - began, 3)
        write_json(record, {"key": key, "after": after, "started": started, "seconds": seconds, **(facts or {})})
        return True

    def forget(self, name: str) -> None:
        """Let a step run again."""
        self._record(name).unlink(missing_ok=True)

    def _record(self, name: str) -> Path:
        return self.folder / "steps" / f"{name}.json"

    def _has_outputs(self, name: str) -> bool:
        return all((self.folder / output).is_file() for output in read_json(self._record(name)).get("outputs", ()))

    def records(self) -> dict[str, Any]:
        """Return what the finished steps wrote of themselves, in the order they ran."""
        folder = self.folder / "steps"
        found = {path.stem: read_json(path) for path in folder.glob("*.json")} if folder.is_dir() else {}
        return dict(sorted(found.items(), key=lambda item: item[1]["started"]))


def write_provenance(folder: Path, seed: int, notes: list[str], command: str | None = None) -> None:
    """Write ``provenance.json``: how this folder was made."""
    records = Steps(folder).records()
    write_json(
        folder / "provenance.json",
        {
            "tagweave": __version__,
            "command": command or " ".join(sys.argv),
            "seed": seed,
            "python": platform.python_version(),
            "packages": {name: metadata.version(name) for name in PACKAGES},
            "started": min((record["started"] for record in records.values()), default=None),
            "steps": records,
            "notes": notes,
        },
    )
