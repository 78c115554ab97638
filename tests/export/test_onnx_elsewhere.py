"""The exported file where tagweave is not: photographs, plain onnxruntime, the probabilities of predict."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from drawn import quick_fit
from tagweave.api import Run
from tagweave.data.formats import read_annotations
from tagweave.export import onnx_file as module
from tagweave.export.onnx_file import session_scorer, write_onnx
from tagweave.export.parity import LIMIT
from tagweave.export.source import Source

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")) / "corel5k"
DOCS = Path(__file__).parents[2] / "docs" / "export.md"
# Any import of the package ends the process: what runs is the documented loader alone.
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        assert name.partition(".")[0] not in ("tagweave", "torch"), name
sys.meta_path.insert(0, Refuse())
"""
SAY = """
import json
found = {path: session.run(None, {"pixels": read(path)[None]})[0][0].tolist() for path in sys.argv[1:]}
print(json.dumps({"names": names, "probabilities": found}))
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Path]]:
    """A run over 160 photographs with the default encoder, and 50 photographs that it has not seen."""
    if not DATA.is_dir():
        pytest.skip(f"no Corel5k in {DATA.parent}; set TAGWEAVE_DATA")
    folder = tmp_path_factory.mktemp("corel")
    rows = read_annotations(DATA / "labels.csv")
    common = np.argsort(-rows.labels.positives)[:12]
    chosen = np.flatnonzero(rows.labels.values[:, common].any(axis=1))[::16][:210]
    lines = ["image,labels"]
    for row in chosen[:160]:
        lines.append(
            f"{rows.images[row]},{';'.join(rows.labels.names[c] for c in common if rows.labels.values[row, c])}"
        )
        link = folder / "images" / rows.images[row]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(DATA / "images" / rows.images[row])
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    encoder = {"name": "efficientnet_lite0", "size": None, "map_side": 14}
    run = quick_fit(folder / "images", folder / "labels.csv", folder / "run", encoder=encoder, train={"epochs": 4})
    return run, [DATA / "images" / rows.images[row] for row in chosen[160:210]]


@pytest.fixture(scope="module")
def exported(photographs: tuple[Run, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "model.onnx"
    write_onnx(Source.load(photographs[0].folder), path)
    return path


@pytest.mark.slow
@pytest.mark.data
def test_fifty_photographs_in_a_process_without_tagweave(photographs: tuple[Run, list[Path]], exported: Path) -> None:
    run, files = photographs
    assert len(files) == 50
    code = next(block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S) if "onnxruntime" in block)
    loader = code.partition("for path in sys.argv")[0]
    words = [sys.executable, "-c", ALONE + loader + SAY, *map(str, files)]
    done = subprocess.run(words, cwd=exported.parent, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    scored = run.predict(files)
    assert said["names"] == list(scored.names)
    got = np.array([said["probabilities"][str(file)] for file in files])
    assert np.ptp(got, axis=0).max() > 0.05  # photographs differ by far more than the tolerance
    worst = np.abs(got - scored.probabilities).max()
    print(f"largest difference {worst:.2e} over {got.size} probabilities")
    assert worst <= LIMIT


@pytest.mark.slow
@pytest.mark.data
def test_a_planted_mismatch_is_refused(
    photographs: tuple[Run, list[Path]], exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One weight of the written file is moved before the gate looks at it."""

    def tampered(path: Path) -> object:
        model = onnx.load(path)
        trunk = [tensor for tensor in model.graph.initializer if tensor.name.startswith("encoder.trunk")]
        weight = max(trunk, key=lambda tensor: len(tensor.raw_data))
        changed = numpy_helper.to_array(weight) * np.float32(1.02)
        weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
        onnx.save(model, path)
        return session_scorer(path)

    monkeypatch.setattr(module, "session_scorer", tampered)
    with pytest.raises(RuntimeError, match=r"on 8 real images, but they differ by .*; nothing was written"):
        write_onnx(Source.load(photographs[0].folder), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
