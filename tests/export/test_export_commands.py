"""``tagweave export``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tagweave.errors import InputError
from tagweave.export.commands import export
from tagweave.export.source import Source


def run(*words: object) -> str:
    app = typer.Typer()
    app.command()(export)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_folder_and_its_facts(small: Source, tmp_path: Path) -> None:
    told = json.loads(run(small.folder, "--to", "folder", "--out", tmp_path / "it", "--json"))
    assert told["path"] == str(tmp_path / "it")
    assert told["largest_difference"] <= 1e-4
    assert (tmp_path / "it" / "README.md").is_file()
    assert run(small.folder, "--to", "folder", "--out", tmp_path / "it", "-q") == f"{tmp_path / 'it'}\n"


@pytest.mark.slow
def test_a_file_and_its_eight_bit_sister(small: Source, tmp_path: Path) -> None:
    told = run(small.folder, "--out", tmp_path / "a.onnx", "--int8", "-q").splitlines()
    assert told[:2] == [str(tmp_path / "a.onnx"), str(tmp_path / "a.int8.onnx")]
    assert told[2].startswith(f"8 bits on {len(small.held_out)} images (test): mAP ")
    assert {file.name for file in tmp_path.iterdir()} == {"a.onnx", "a.onnx.json", "a.int8.onnx", "a.int8.onnx.json"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "torch", "--int8"], r"^Expected --int8 with --to onnx, but got --to torch\.$"),
        (["--push-to-hub", "me/it"], r"^Expected --push-to-hub with --to folder, but got --to onnx\.$"),
        (["--out", "model.bin"], r"^Expected --out to end in \.onnx, but got model\.bin\.$"),
    ],
)
def test_options_that_do_not_go_together(small: Source, words: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run(small.folder, *words)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a trained model in .*, but there is none; run 'tagweave fit' "):
        run(tmp_path)
