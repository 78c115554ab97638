"""Imports go one way: down one written list of layers, and heavy libraries only where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import tagweave

ROOT = Path(tagweave.__file__).parent
# From low to high. A module or folder of the package imports from its own layer and from those before it.
LAYERS = (
    "errors", "threads", "console", "options", "config", "runs", "trackers", "data", "calibration", "suspicion",
    "metrics", "encoders", "graph", "model", "peers", "tables", "training", "predict", "report", "summary", "steps",
    "suggest", "audit", "image_dataset", "pipeline", "api", "estimator",
    "benchmark", "review", "export", "serve", "seeing", "cli",
)  # fmt: skip
HEAVY = {"torch", "torchvision", "timm", "onnxruntime", "faiss", "matplotlib", "sklearn", "numba"}


def imports(path: Path) -> Iterator[str]:
    """Every imported name of a file, wherever it stands, ``from a import b`` as ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import; write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(parts: tuple[str, ...], where: Path) -> int:
    assert parts[0] in LAYERS, f"{where}: '{parts[0]}' has no layer; add it to LAYERS in tests/test_layers.py"
    return LAYERS.index(parts[0])


def test_imports_go_only_down() -> None:
    upward = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts in (("__init__",), ("__main__",)):
            continue  # the front door opens on every layer
        own = layer(parts, path)
        names = [name.split(".")[1:] for name in imports(path) if name.startswith("tagweave.")]
        upward += [
            f"{'/'.join(parts)} imports {'.'.join(name)}"
            for name in names
            if name != ["__version__"] and layer(tuple(name), path) > own
        ]
    assert not upward


def test_every_layer_exists() -> None:
    present = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(LAYERS) <= present


def test_the_graph_needs_no_torch() -> None:
    for path in (ROOT / "graph").rglob("*.py"):
        assert "torch" not in {name.split(".")[0] for name in imports(path)}, path


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, tagweave; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tagweave" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())
