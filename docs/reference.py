"""The pages that are made from the code when the documentation is built: commands, configuration, Python.

``mkdocs`` calls ``on_files``. What has no description in the code has none here: ``tests/test_docs.py`` refuses it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from tagweave.cli import app
from tagweave.config import PRESETS, Config, Section

# Modules whose public names stand on the Python page, with what they are for.
MODULES = {
    "tagweave": "The whole job, and its results in other libraries' terms",
    "tagweave.graph": "Label propagation on plain arrays",
    "tagweave.metrics": "Measures, which read known cells only",
    "tagweave.calibration": "Probabilities and thresholds",
}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, groups passed over."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
            return
        for word, part in sorted(inner.items()):
            yield from below(f"{name} {word}", part)

    group = get_command(app)
    for word, part in group.commands.items():
        yield from below(f"tagweave {word}", part)


def parameters(command: Any) -> Iterator[tuple[str, str, str]]:
    """Yield how each argument and option is written, its description and its default, but those of --help."""
    for param in command.params:
        if param.name == "help":
            continue
        if param.param_type_name == "argument":
            shown = (param.name or "").upper()
        else:
            shown = ", ".join([*param.opts, *param.secondary_opts]) + ("" if param.is_flag else _kind(param))
        default = param.default
        told = "" if default in (None, False, (), []) or callable(default) else str(default)
        yield shown, (getattr(param, "help", None) or "").strip(), told


def _kind(param: Any) -> str:
    """Return what follows an option: typer keeps the type in one place or another over its versions."""
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    name = annotation.__name__ if isinstance(annotation, type) else str(getattr(param, "type", None) or "text")
    kinds = {"str": "TEXT", "string": "TEXT", "int": "N", "integer": "N", "float": "X"}
    return " " + kinds.get(name.lower(), name.upper())


def commands_page() -> str:
    """Return the page of all commands."""
    lines = ["# Commands", "", "Made from the code. `tagweave COMMAND --help` says the same.", ""]
    for name, command in commands():
        lines += [f"## `{name}`", "", _prose(command.help or ""), ""]
        rows = [f"| `{shown}` | {_cell(about)} | {_code(default)} |" for shown, about, default in parameters(command)]
        if rows:
            lines += ["| | what it is | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def keys() -> Iterator[tuple[str, str, str, str]]:
    """Yield every configuration key: full name, values it takes, default, description."""
    yield from _keys(Config, "")


def _keys(model: type[Section], before: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            continue
        yield before + name, _values(field.annotation, field.metadata), repr(field.default), field.description or ""


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Yield the sections of the configuration."""
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation


def all_keys() -> list[tuple[str, str, str, str]]:
    """Return the keys of the top and of all sections."""
    return [*keys(), *(row for name, model in sections() for row in _keys(model, f"{name}."))]


def _values(annotation: Any, limits: list[Any]) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return f"list of {_values(get_args(annotation)[0], [])}"
    if get_origin(annotation) is dict:
        return "table"
    kinds = [part for part in get_args(annotation) or (annotation,) if part is not type(None)]
    names = {int: "whole number", float: "number", bool: "true, false", str: "text"}
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    told = [f"{sign} {getattr(limit, key):g}" for limit in limits for key, sign in signs.items() if hasattr(limit, key)]
    return " ".join(
        [" or ".join(names[kind] if kind in names else _values(kind, []) for kind in kinds), ", ".join(told)]
    ).strip()


def configuration_page() -> str:
    """Return the page of all configuration keys and of the presets."""
    lines = [
        "# Configuration", "",
        "Made from the code. Change a key with `--set section.key=value`, several with `--config FILE`; the",
        "`config.toml` of a run is such a file and lists all of them.", "",
    ]  # fmt: skip
    head = ["| key | values | default | what it is |", "|---|---|---|---|"]
    row = "| `{0}` | {1} | `{2}` | {3} |"
    lines += [*head, *(row.format(key, _cell(v), d, _cell(about)) for key, v, d, about in keys()), ""]
    for name, model in sections():
        lines += [f"## `[{name}]`", "", (model.__doc__ or "").strip(), "", *head]
        lines += [row.format(key, _cell(v), d, _cell(about)) for key, v, d, about in _keys(model, f"{name}.")]
        lines.append("")
    lines += ["## Presets", "", "`--preset NAME`; what a preset does not say is as above.", ""]
    for name, changes in PRESETS.items():
        flat = [f"`{section}.{key} = {value!r}`" for section, part in changes.items() for key, value in _items(part)]
        lines.append(f"- **{name}**: {', '.join(flat) or 'the defaults'}")
    return "\n".join([*lines, ""])


def _items(part: Any) -> list[tuple[str, Any]]:
    return list(part.items()) if isinstance(part, Mapping) else [("", part)]


def public(module: str) -> list[tuple[str, Any]]:
    """Return the functions and classes that a module offers."""
    home = import_module(module)
    names = getattr(home, "__all__", None) or [name for name in vars(home) if not name.startswith("_")]
    found = [(name, getattr(home, name)) for name in names]
    own = lambda item: getattr(item, "__module__", "").startswith(module)  # noqa: E731
    return [(name, item) for name, item in found if callable(item) and own(item) and inspect.getdoc(item)]


def python_page() -> str:
    """Return the page of functions and classes with their docstrings."""
    lines = [
        "# Python", "",
        "Made from the docstrings; letters as on the page of the [method](method.md). Functions on arrays do the",
        "work: the commands call them.", "",
    ]  # fmt: skip
    for module, about in MODULES.items():
        lines += [f"## `{module}`", "", f"{about}.", ""]
        for name, item in public(module):
            lines += [f"### `{module}.{name}`", "", "```python", _folded(name + _signature(item)), "```", ""]
            lines += [docstring(inspect.getdoc(item) or ""), ""]
            if inspect.isclass(item):
                lines += [f"- `{method}{_signature(work)}`: {_first(work)}" for method, work in _methods(item)]
                lines.append("")
    return "\n".join(lines)


_PARTS = ("Args", "Attributes", "Returns", "Raises")
_ITEM = re.compile(r"([\w., ]+): (.*)")


def docstring(text: str) -> str:
    """Return a docstring as Markdown: its parts as lists of names, what stands in double backticks as code."""
    lines: list[str] = []
    inside = False
    for line in inspect.cleandoc(text).splitlines():
        word = line.strip().rstrip(":")
        if word in _PARTS and line == f"{word}:":
            lines, inside = [*lines, "", f"**{word}**", ""], True
        elif inside and line.strip():
            lines = _with_item(lines, line)
        else:
            inside = inside and not line.strip()
            lines.append(_plain(line))
    return "\n".join(lines)


def _with_item(lines: list[str], line: str) -> list[str]:
    """Join a line of a part to its list; items are indented by four, what goes on by more or without a name."""
    found = _ITEM.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == 4 else None
    if found and lines[-1].startswith("- ") and lines[-1].endswith(",") and ":" not in lines[-1]:
        return [*lines[:-1], f"- `{lines[-1][2:]} {found[1]}`: {_plain(found[2])}"]  # names over two lines
    if found:
        return [*lines, f"- `{found[1]}`: {_plain(found[2])}"]
    if lines[-1].startswith("- "):
        return [*lines[:-1], f"{lines[-1]} {_plain(line.strip())}"]
    return [*lines, f"- {_plain(line.strip())}"]


def _plain(text: str) -> str:
    parts = re.split(r"(``.*?``)", text)
    return "".join(part[1:-1] if part.startswith("``") else part.replace("<", "&lt;") for part in parts)


def _folded(signature: str) -> str:
    """Return a signature with one parameter a line where it is long."""
    if len(signature) < 80:
        return signature
    name, _, rest = signature.partition("(")
    inner, _, returned = rest.rpartition(")")
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(inner):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append(inner[begin:place].strip())
            begin = place + 1
    parts.append(inner[begin:].strip())
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _methods(item: type) -> list[tuple[str, Any]]:
    return [
        (name, getattr(item, name))
        for name, value in vars(item).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
    ]


def _signature(item: Any) -> str:
    try:
        text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(item)))  # annotations come as texts
    except (TypeError, ValueError):
        return ""
    return re.sub(r"(\w+\.)+(?=\w)", lambda m: m[0] if m[0][0].isdigit() else "", text)


def _first(item: Any) -> str:
    return _cell((inspect.getdoc(item) or "").split("\n\n")[0].split("\nArgs")[0])


def _prose(text: str) -> str:
    return inspect.cleandoc(text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page, "configuration.md": configuration_page, "python.md": python_page,
}  # fmt: skip


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to those that mkdocs found."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files
