"""The pages say what the code does: every command, option and key is described, and what they show can be typed."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from drawn import NAMES, SETTINGS, Drawn
from tagweave import cli
from tagweave.api import Run
from tagweave.config import PRESETS, build_config
from tagweave.console import Console
from tagweave.review.desk import Change, Desk

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
SCRIPT_WORDS = ("python", "make", "pip", "curl", "tensorboard")
# Pages whose Python other tests run, and where.
RUN_ELSEWHERE = {"export.md": "export/test_onnx_file.py", "propagation.md": "graph/test_label_propagator.py"}
SCRIPT_OPTIONS = {
    "--k",
    "--part",
    "--nodes",
    "--million",
    "--quick",
    "--demo",
    "--start",
    "--batch",
    "--rounds",
    "--strategies",
}  # of the scripts in benchmarks/
SUFFIXES = ("csv", "json", "onnx", "int8", "pt", "safetensors")  # model.onnx is a file, not a key
# Commands that wait for a person or a client, need data of others, or draw 1,500 scenes: other tests run them.
NOT_RUN = ("review", "serve", "demo", "data", "benchmark", "export")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load(DOCS / "reference.py")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.S | re.M)
    return [textwrap.dedent(block) for language, block in found if language in languages]


def typed(page: Path) -> Iterator[list[str]]:
    """The lines of a page's shell blocks, as words."""
    for block in blocks(page, "sh", ""):
        for line in block.splitlines():
            if line.split(" ")[0] in ("tagweave", *SCRIPT_WORDS):
                yield shlex.split(line, comments=True)


COMMANDS = sorted({tuple(words) for page in PAGES for words in typed(page) if words[0] == "tagweave"})


def parse(words: list[str]) -> dict[str, Any]:
    """Read a command line as the command would, and return its parameters."""
    command, rest, name = get_command(cli.app), words[1:], "tagweave"
    while hasattr(command, "commands"):
        name, *rest = rest
        assert name in command.commands, f"{' '.join(words)}: there is no such command"
        command = command.commands[name]
    return dict(command.make_context(name, list(rest)).params)


def test_nothing_is_undocumented() -> None:
    commands = dict(reference.commands())
    assert {name.split()[1] for name in commands} >= {"fit", "predict", "review", "benchmark"}
    silent = [name for name, command in commands.items() if "Example: `tagweave" not in (command.help or "")]
    silent += [
        f"{name} {shown}"
        for name, command in commands.items()
        for shown, about, _ in reference.parameters(command)
        if not about
    ]
    silent += [key for key, _, _, about in reference.all_keys() if not about]
    assert not silent, "give each a help text, an example or a description"


def test_the_made_pages_hold_all_of_it() -> None:
    commands, configuration = reference.commands_page(), reference.configuration_page()
    for name, command in reference.commands():
        assert f"## `{name}`" in commands
        assert all(f"| `{shown}` |" in commands for shown, _, _ in reference.parameters(command))
    assert all(f"| `{key}` |" in configuration for key, *_ in reference.all_keys())
    assert all(f"- **{preset}**" in configuration for preset in PRESETS)
    assert "### `tagweave.TagWeaveClassifier`" in reference.python_page()
    assert "f_ic = " in reference.python_page() or "F(t) = exp(-t (I - Ŝ)) F(0)" in reference.python_page()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_is_shown_can_be_typed(words: tuple[str, ...]) -> None:
    given = parse(list(words))
    build_config(changes=list(given.get("set") or []))


def test_scripts_and_make_targets_are_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for program, *rest in typed(page):
            if program == "make":
                assert set(rest) <= targets, page.name
            if program == "python":
                assert (ROOT / rest[0]).is_file(), f"{page.name}: {rest[0]}"


def inline(page: Path) -> list[str]:
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    )


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "log.md"], ids=lambda page: page.name)
def test_options_and_keys_in_the_text_are_there(page: Path) -> None:
    options = {word for _, command in reference.commands() for param in command.params for word in param.opts}
    options |= {"--version", "--help"}
    keys = {key for key, *_ in reference.all_keys()}
    sections = "|".join(name for name, _ in reference.sections())
    for text in inline(page):
        if text.startswith(("tagweave ", "--")):
            assert set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", text)) - {"--logdir"} <= options | SCRIPT_OPTIONS, text
        for key in re.findall(rf"(?<![\w./-])(?:{sections})\.[a-z_]+\b", text):
            module = ROOT / "src" / "tagweave" / Path(*key.split(".")).with_suffix(".py")
            assert key in keys or module.is_file() or key.rpartition(".")[2] in SUFFIXES, text


def test_the_first_screen_has_two_commands() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8").partition("## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", first, re.S)
    assert [shlex.split(line, comments=True) for line in block.splitlines()] == [["make", "demo"], ["make", "test"]]


def test_links_and_pictures_are_there() -> None:
    made = {DOCS / name for name in reference.PAGES}
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                place = (page.parent / target).resolve()
                assert place.exists() or place in made, f"{page.name}: {target}"


@pytest.fixture
def shown(
    drawn: Drawn, finished: Run, tmp_path: Path, tagweave: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """The command line in a folder with everything that the pages speak of; ``fast`` is made small."""
    here = Path.cwd()
    shutil.copytree(drawn.images, here / "photos")
    shutil.copy(drawn.labels, here / "labels.csv")
    (here / "new_photos").mkdir()
    for name in ("000.png", "001.png"):
        shutil.copy(drawn.images / name, here / "new_photos")
    shutil.copy(drawn.images / "002.png", here / "new_photos" / "a.png")
    for name in ("photos", "a", "b"):
        shutil.copytree(finished.folder, here / "runs" / name)
    (here / "instances.json").write_text(
        '{"images": [{"id": 1, "file_name": "000.png"}], "annotations": [], "categories": [{"id": 1, "name": "sea"}]}'
    )
    shutil.copy(here / "instances.json", here / "instances_val2017.json")
    tiny = {**PRESETS["tiny"], **SETTINGS}
    monkeypatch.setitem(PRESETS, "fast", {**tiny, "train": {**tiny["train"], "epochs": 1}})
    monkeypatch.setitem(PRESETS, "paper", {**tiny, "train": {**tiny["train"], "epochs": 1}})
    return tagweave


QUICK_WORDS = ("check", "predict", "convert", "report", "evaluate")


@pytest.mark.parametrize("words", [w for w in COMMANDS if w[1] in QUICK_WORDS], ids=" ".join)
def test_short_commands_run(words: tuple[str, ...], shown: Callable[..., Any]) -> None:
    if words[1] == "convert" and words[3] == "labels.csv":
        Path("labels.csv").unlink()  # it is the target here
    said = shown(*words[1:])
    assert said.code == 0, said.err


# A file of vectors and thousands of labels are not at hand; the parser and the configuration have seen these commands.
MISSING = ("glove.6B.300d.txt", "VOCdevkit/VOC2007", "instances.json", "tensorboard")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        w for w in COMMANDS
        if w[1] not in (*QUICK_WORDS, *NOT_RUN) and not any(name in " ".join(w) for name in MISSING)
    ],
    ids=" ".join,
)  # fmt: skip
def test_long_commands_run(words: tuple[str, ...], shown: Callable[..., Any]) -> None:
    if "--resume-labels" in words:
        review(Path("runs/photos"))
    if words == ("tagweave", "embed", "photos/"):
        shutil.rmtree("runs")  # the first command on new images
    if words[-1] == "more-labels.csv":
        shutil.copy("labels.csv", words[-1])  # as suggest --all and a person left it
    said = shown(*words[1:])
    assert said.code == 0, said.err


def review(run: Path) -> None:
    """Take one decision, as a person in the page would."""
    desk = Desk(run, Console(quiet=True))
    desk.decide("window", "gesture", "q", NAMES[0], [Change(NAMES[0], "no", (desk.ids[7],), True)])
    desk.close()


def test_python_is_run_here_or_elsewhere() -> None:
    with_python = {page.name for page in PAGES if blocks(page, "python")}
    assert with_python == {*RUN_ELSEWHERE, "README.md", "library.md", "labelling.md"}
    for page, test in RUN_ELSEWHERE.items():
        assert page.removesuffix(".md") in (Path(__file__).parent / test).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/library.md", "docs/labelling.md"])
def test_python_runs(page: str, shown: Callable[..., Any]) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed; pip install 'tagweave[pandas]'")
    shutil.rmtree("runs")
    exec(compile("\n".join(blocks(ROOT / page, "python")), page, "exec"), {"__name__": "docs"})


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed; pip install 'tagweave[docs]'")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # the theme's word on a successor, not on these pages
    done = subprocess.run(words, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for name in ("commands", "configuration", "python", "faq", "library"):
        assert (tmp_path / "site" / name / "index.html").is_file()
