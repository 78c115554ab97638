"""The main job from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tagweave
from drawn import NAMES, Drawn
from tagweave.api import Predictions, Run, default_run_folder, fit
from tagweave.config import build_config
from tagweave.errors import InputError
from tagweave.runs import read_json
from tagweave.steps.job import Job


def test_the_front_door_opens() -> None:
    assert tagweave.fit is fit
    assert tagweave.Run is Run
    assert tagweave.Predictions is Predictions
    with pytest.raises(AttributeError, match="module 'tagweave' has no attribute 'nothing'"):
        _ = tagweave.nothing


def test_a_run_is_opened_by_name(finished: Run) -> None:
    metrics = Run(str(finished.folder)).evaluate()
    assert metrics == read_json(finished.folder / "metrics.json")
    assert metrics["splits"].keys() == {"val", "test"}


def test_one_file_a_list_and_a_folder(drawn: Drawn, finished: Run) -> None:
    whole = finished.predict(drawn.images)
    one = finished.predict(drawn.images / "007.png")
    some = finished.predict([str(drawn.images / "007.png"), drawn.images / "003.png"])
    assert one.images == ("007.png",)
    assert some.images == (str(drawn.images / "007.png"), str(drawn.images / "003.png"))
    np.testing.assert_allclose(one.probabilities, whole.probabilities[[7]], atol=1e-5)
    np.testing.assert_allclose(some.probabilities, whole.probabilities[[7, 3]], atol=1e-5)
    assert ((whole.probabilities >= 0) & (whole.probabilities <= 1)).all()
    for labels, row in zip(whole.labels(), whole.probabilities, strict=True):
        assert set(labels) == {NAMES[c] for c in range(4) if row[c] >= whole.thresholds[c]}


def test_what_cannot_be_scored_is_told(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((drawn.images / "000.png").read_bytes())
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "c.png").symlink_to(tmp_path / "gone.png")
    scored = finished.predict(tmp_path)
    assert scored.images == ("a.png",)
    assert scored.probabilities.shape == (1, 4)
    assert sorted(item.path for item in scored.quarantine) == ["b.png", "c.png"]


def test_nothing_to_score(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^Expected an image or a folder of images at .*none, but nothing is there\.$"
    ):
        finished.predict(tmp_path / "none")
    with pytest.raises(InputError, match=r"^Expected images in .*, but found none\.$"):
        finished.predict(tmp_path)


def test_sections_and_files_reach_the_configuration(drawn: Drawn, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[graph]\nk = 9\n")
    fit(
        drawn.images, drawn.labels, out=str(tmp_path / "run"), config=str(tmp_path / "my.toml"), preset="tiny",
        changes=["train.epochs=7"], until="check", quiet=True, seed=5, data={"label_budget": 0.5}, command="by hand",
    )  # fmt: skip
    expected = build_config("tiny", seed=5, graph={"k": 9}, train={"epochs": 7}, data={"label_budget": 0.5})
    assert Job.load(tmp_path / "run", console=None).config == expected  # type: ignore[arg-type]
    assert read_json(tmp_path / "run" / "provenance.json")["command"] == "by hand"


def test_an_unknown_section_is_an_error_before_anything_is_done(drawn: Drawn, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="epochs: there is no such key"):
        fit(drawn.images, drawn.labels, out=tmp_path / "run", epochs=3)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("images", "name"),
    [("zoo/birds", "birds"), ("zoo/images", "zoo"), ("zoo/JPEGImages", "zoo"), ("zoo/photos/", "photos")],
)
def test_runs_are_named_after_the_images(images: str, name: str) -> None:
    assert default_run_folder(Path(images)) == Path("runs") / name


def test_images_none_of_which_can_be_read_are_an_error(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"^notes\.jpg: is not an image: .*; nothing is left to score$"):
        finished.predict(tmp_path / "notes.jpg")
