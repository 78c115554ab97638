"""What tests of the whole job share: a drawn collection, a run over it that nobody changes, the command line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drawn import Drawn, quick_fit, write_collection
from tagweave.api import Run


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The record cache of all tests, never the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWEAVE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Sixty drawn pictures, 46 labelled; read only."""
    return write_collection(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def finished(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole job over ``drawn``, done once without a stop; read only."""
    return quick_fit(drawn.images, drawn.labels, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run_copy(finished: Run, tmp_path: Path) -> Run:
    """A copy of the finished run that a test may change."""
    return Run(shutil.copytree(finished.folder, tmp_path / "run"))


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def tagweave(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Said]:
    """Return a function that runs a command line in this process, in an empty working folder."""
    from tagweave.cli import main

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*words: str | os.PathLike[str]) -> Said:
        monkeypatch.setattr(sys, "argv", ["tagweave", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run
