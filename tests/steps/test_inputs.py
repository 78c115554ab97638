"""What a run is made from: a changed label, picture or file is seen, what is none of them is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tagweave.config import build_config
from tagweave.errors import InputError
from tagweave.steps.inputs import label_stamps, setting_stamps, with_whole_paths

# A label folder by its one label file, and what the file says.
FOLDERS = {
    "metadata.jsonl": '{"file_name": "a.png", "label": ["sea"]}\n',
    "annotations/instances_train.json": '{"images": [], "annotations": [], "categories": []}',
    "samples.json": '{"samples": []}',
    "labels.json": '{"classes": ["sea"], "labels": {"a": [0]}}',
    "ImageSets/Main/train.txt": "a\n",
    "VOC2012/ImageSets/Main/train.txt": "a\n",
}


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def draw(path: Path, colour: str = "blue") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour).save(path)
    return path


def stamps(labels: Path, format: str | None = None) -> str:
    return str(label_stamps(labels, format, labels / "runs" / "own"))


@pytest.mark.parametrize("name", FOLDERS)
def test_an_edited_label_file_of_a_folder_is_seen(name: str, tmp_path: Path) -> None:
    file = write(tmp_path / name, FOLDERS[name])
    before = stamps(tmp_path)
    assert stamps(tmp_path) == before
    file.write_text(FOLDERS[name] + "\n")
    assert stamps(tmp_path) != before


def test_pictures_beside_label_files_say_no_label(tmp_path: Path) -> None:
    write(tmp_path / "metadata.jsonl", FOLDERS["metadata.jsonl"])
    before = stamps(tmp_path)
    draw(tmp_path / "train" / "a.png")
    assert stamps(tmp_path) == before


TREE: dict[str, Callable[[Path], object]] = {
    "a picture moved to another label": lambda root: (root / "sea" / "a.png").rename(root / "moon" / "a.png"),
    "a picture more": lambda root: draw(root / "sea" / "b.png"),
    "another picture": lambda root: draw(root / "sea" / "a.png", "red"),
    "a label without pictures": lambda root: (root / "tree").mkdir(),
}


@pytest.mark.parametrize("format", ["folders", None])
@pytest.mark.parametrize("change", TREE)
def test_a_folder_per_label_says_labels_by_its_pictures(change: str, format: str | None, tmp_path: Path) -> None:
    draw(tmp_path / "sea" / "a.png")
    (tmp_path / "moon").mkdir()
    before = stamps(tmp_path, format)
    TREE[change](tmp_path)
    assert stamps(tmp_path, format) != before


def test_runs_and_hidden_files_inside_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "metadata.jsonl", FOLDERS["metadata.jsonl"])
    before = stamps(tmp_path)
    write(tmp_path / "runs" / "own" / "check" / "quarantine.csv", "the run itself, before it has a job.json")
    write(tmp_path / "runs" / "other" / "job.json", "{}")
    write(tmp_path / "runs" / "other" / "metrics.json", "{}")
    write(tmp_path / ".draft.csv", "")
    write(tmp_path / ".git" / "index", "")
    assert stamps(tmp_path) == before


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere" / "001.xml", "<a/>")
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "Annotations").symlink_to(file.parent)
    (file.parent / "round").symlink_to(tmp_path / "voc")
    (file.parent / "nothing.xml").symlink_to(tmp_path / "none")
    before = stamps(tmp_path / "voc")
    os.utime(file, (1, 1))
    assert stamps(tmp_path / "voc") != before


def test_a_label_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    labels = tmp_path / "labels.parquet"
    labels.write_bytes(b"PAR1\xff\xfe")
    before = stamps(labels)
    os.utime(labels, (1, 1))
    assert stamps(labels) == before
    labels.write_bytes(b"PAR1\xfe\xff")  # the same text, where bytes that are none are replaced
    assert stamps(labels) != before


def test_open_images_names_beside_the_labels_are_seen(tmp_path: Path) -> None:
    labels = write(tmp_path / "train.csv", "ImageID,LabelName,Confidence\n")
    names = write(tmp_path / "oidv7-class-descriptions.csv", "/m/01,Sea\n")
    before = stamps(labels)
    names.write_text("/m/01,Ocean\n")
    assert stamps(labels) != before


def test_a_missing_label_file_is_left_to_the_check(tmp_path: Path) -> None:
    assert label_stamps(tmp_path / "none.csv", None, tmp_path) == []


def test_a_folder_that_looks_like_no_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write(tmp_path / "labels.csv", "image,labels\n")
    with pytest.raises(InputError, match="beside images/; give that file"):
        stamps(tmp_path)


def test_files_that_settings_name_are_known_by_their_content(tmp_path: Path) -> None:
    weights, vectors = write(tmp_path / "w.pth", "1"), write(tmp_path / "v.txt", "sea 1 2")
    config = build_config(encoder={"weights": str(weights)}, model={"word_vectors": str(vectors)})
    before = {section: setting_stamps(config, section) for section in ("encoder", "model", "graph")}
    assert [len(found) for found in before.values()] == [1, 1, 0]
    weights.write_text("2")
    assert setting_stamps(config, "encoder") != before["encoder"]
    assert setting_stamps(config, "model") == before["model"]
    vectors.write_text("sea 2 1")
    assert setting_stamps(config, "model") != before["model"]
    assert setting_stamps(build_config(), "encoder") == setting_stamps(build_config(), "model") == []


def test_files_are_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("w.pth", "v.txt", "random", "one-hot"):
        write(tmp_path / name, "")
    found = with_whole_paths(build_config(encoder={"weights": "w.pth"}, model={"word_vectors": "v.txt"}))
    assert (found.encoder.weights, found.model.word_vectors) == (str(tmp_path / "w.pth"), str(tmp_path / "v.txt"))
    words = build_config(encoder={"weights": "random"}, model={"word_vectors": "one-hot"})
    assert with_whole_paths(words) == words
    assert with_whole_paths(build_config(encoder={"weights": "none"})).encoder.weights == "none"
    assert with_whole_paths(build_config()) == build_config()
