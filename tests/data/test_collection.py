"""Folder and labels brought together: every file and every row is accounted for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagweave.data.annotations import Annotations
from tagweave.data.collection import Collection, collect
from tagweave.data.formats import read_annotations
from tagweave.data.formats.voc import read_voc
from tagweave.errors import InputError

DATA = Path(os.environ.get("TAGWEAVE_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def folder_of(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        draw(root / name, seed)
    return root


def labels_of(folder: Path, text: str) -> Annotations:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_annotations(path)


def problems(folder: Path, annotations: Annotations | None, **options: object) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        collect(folder, annotations, **options)  # type: ignore[arg-type]
    return caught.value.problems


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", "a.png", "b.png", "c d.png", "sub/é.png", "sub/f.png")


def cell(collection: Collection, path: str, label: str) -> int | None:
    row, column = collection.manifest.paths.index(path), collection.labels.names.index(label)
    return int(collection.labels.values[row, column]) if collection.labels.known[row, column] else None


def test_problems_of_rows_are_told_beside_missing_files(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,labels\na.png,cat\nb.png,Cat;cat\nnowhere.gif,cat\n")
    assert problems(photos, read_annotations(tmp_path / "labels.csv", defer=True)) == (
        "labels.csv line 3: label 'Cat' differs only by case or spaces from 'cat'; did you mean 'cat'?",
        "labels.csv line 4: image 'nowhere.gif' is not in photos",
    )


def test_files_and_rows_come_together(photos: Path, tmp_path: Path) -> None:
    rows = "image,labels\nc d.png,cat\nsub/é.png,dog;cat\nf.png,\n"
    got = collect(photos, labels_of(tmp_path, rows))
    assert got.manifest.paths == ("a.png", "b.png", "c d.png", "sub/f.png", "sub/é.png")
    assert [cell(got, path, "cat") for path in got.manifest.paths] == [None, None, 1, 0, 1]
    assert [cell(got, path, "dog") for path in got.manifest.paths] == [None, None, 0, 0, 1]
    assert got.manifest.sizes.tolist() == [[16, 12]] * 5
    assert set(got.manifest.splits.tolist()) == {"train"}
    assert got.quarantine == ()
    assert got.duplicates.tolist() == [0, 1, 2, 3, 4]
    assert got.notes[0] == "5 given = 5 used + 0 quarantined"
    assert [note.split(":")[0] for note in got.notes[1:]] == ["no test split is drawn", "no val split is drawn"]


def test_partly_known_and_wholly_unknown_rows(photos: Path, tmp_path: Path) -> None:
    got = collect(photos, labels_of(tmp_path, "image,cat,dog\na.png,1,\nb.png,,\n"))
    assert [cell(got, "a.png", name) for name in ("cat", "dog")] == [1, None]
    assert got.labels.labelled.tolist() == [True, False, False, False, False]


def test_without_annotations_all_is_unlabelled_train(photos: Path) -> None:
    got = collect(photos, None)
    assert (len(got.labels), got.labels.names) == (5, ())
    assert set(got.manifest.splits.tolist()) == {"train"}
    assert got.notes == ("5 given = 5 used + 0 quarantined",)


def test_decomposed_names_find_composed_files(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "caf\u00e9.png", "sub/u\u0308.png", "x.png")
    got = collect(photos, labels_of(tmp_path, "image,labels\ncafe\u0301.png,cat\nsub/\u00fc.png,dog\n"))
    assert cell(got, "caf\u00e9.png", "cat") == 1
    assert cell(got, "sub/u\u0308.png", "dog") == 1


def test_bad_images_are_quarantined_with_their_rows(photos: Path, tmp_path: Path) -> None:
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("hello")
    content = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes(content[: len(content) // 2])
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    rows = "image,labels\na.png,cat\nb.png,cat\ngone.png,cat\n"
    annotations = labels_of(tmp_path, rows)
    got = collect(photos, annotations)
    assert got.manifest.paths == ("b.png", "c d.png", "sub/f.png", "sub/é.png")
    reasons = {item.path: item.reason for item in got.quarantine}
    assert list(reasons) == ["a.png", "empty.jpg", "gone.png", "text.jpg"]
    assert reasons["a.png"].startswith("is truncated or damaged")
    assert reasons["a.png"].endswith("(listed in labels.csv line 2)")
    assert reasons["gone.png"] == "is a link to nothing (listed in labels.csv line 4)"
    assert reasons["empty.jpg"] == "is empty (0 bytes)"
    assert got.notes[0] == "8 given = 4 used + 4 quarantined"
    told = problems(photos, annotations, strict=True)
    assert told == tuple(f"{item.path}: {item.reason}" for item in got.quarantine)


def test_rows_that_fit_no_file_or_several_are_all_told(photos: Path, tmp_path: Path) -> None:
    draw(photos / "other" / "f.png", 9)
    (photos / "g.heic").touch()
    rows = "image,labels\nb.pmg,cat\nf.png,cat\na.png,cat\nelsewhere/a.png,cat\ng.heic,cat\nzzzzzzzz.gif,cat\n"
    suffixes = ".jpg .jpeg .png .webp .bmp .gif .tif .tiff"
    assert problems(photos, labels_of(tmp_path, rows)) == (
        "labels.csv line 2: image 'b.pmg' is not in photos; did you mean 'b.png'?",
        "labels.csv line 3: image 'f.png' may be 'other/f.png' and 'sub/f.png'; write the path with its folder",
        "labels.csv line 5: image 'elsewhere/a.png' is the file 'a.png', which line 4 names too; keep one row",
        f"labels.csv line 6: image 'g.heic' is not in photos as an image: expected a name ending in {suffixes}",
        "labels.csv line 7: image 'zzzzzzzz.gif' is not in photos",
    )


def test_the_same_name_in_two_folders_is_fine_with_its_folder(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", "x/a.png", "y/a.png", "b.png")
    got = collect(photos, labels_of(tmp_path, "image,labels\nx/a.png,cat\ny/a.png,dog\n"))
    assert (cell(got, "x/a.png", "cat"), cell(got, "y/a.png", "cat")) == (1, 0)


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert problems(tmp_path / "nowhere", None) == (
        f"Expected an image folder at {tmp_path / 'nowhere'}, but nothing is there.",
    )
    assert "but it is a file" in problems(tmp_path / "file", None)[0]
    assert "found no file ending in .jpg .jpeg .png" in problems(tmp_path / "empty", None)[0]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images(tmp_path: Path, count: int) -> None:
    photos = folder_of(tmp_path / "photos", *(f"{place}.png" for place in range(count)))
    (photos / "z.jpg").touch()
    (told,) = problems(photos, None)
    assert f"Expected at least 3 usable images in {photos}" in told
    assert f"but got {count} and 1 quarantined; add images; z.jpg: is empty (0 bytes)" in told


def test_only_quarantined_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert "but got 0 and 1 quarantined" in problems(tmp_path, None)[0]


def test_no_labelled_image_to_train_on(photos: Path, tmp_path: Path) -> None:
    (told,) = problems(photos, labels_of(tmp_path, "image,labels,split\na.png,cat,test\nb.png,cat,val\n"))
    assert "but labels.csv gives labels to 0 in train, 1 in val, 1 in test" in told
    assert problems(photos, labels_of(tmp_path, "image,cat\na.png,\n"))[0].startswith("Expected labelled images")
    told = problems(photos, labels_of(tmp_path, "image,labels,split\na.png,cat,test\n"), label_budget=0.5)[0]
    assert told.startswith("Expected labelled images to train on")


def test_labels_without_positives_are_kept_and_told(photos: Path, tmp_path: Path) -> None:
    rows = "image,ape,cat,dog,split\na.png,0,1,0,train\nb.png,0,0,1,test\nc d.png,0,0,0,val\n"
    got = collect(photos, labels_of(tmp_path, rows))
    assert got.labels.names == ("ape", "cat", "dog")
    assert got.notes[1:] == (
        "1 of 3 labels (ape) have no known positive at all",
        "1 of 3 labels (dog) have no known positive in train and cannot be learnt",
    )


def test_all_images_labelled_with_one_label(photos: Path, tmp_path: Path) -> None:
    names = ("a.png", "b.png", "c d.png", "é.png", "f.png")
    rows = "image,labels\n" + "".join(f"{name},cat\n" for name in names)
    got = collect(photos, labels_of(tmp_path, rows))
    assert got.labels.values.all()
    assert got.notes[-1] == "every image is labelled: there is nothing to propagate to"


def test_near_duplicates_across_given_splits_are_counted(photos: Path, tmp_path: Path) -> None:
    (photos / "a2.png").write_bytes((photos / "a.png").read_bytes())
    (photos / "b2.png").write_bytes((photos / "b.png").read_bytes())
    rows = "image,labels,split\na.png,cat,train\na2.png,cat,test\nb.png,cat,train\nb2.png,,train\n"
    got = collect(photos, labels_of(tmp_path, rows))
    assert got.notes[-1] == (
        "2 groups of near-duplicates with 4 images; 1 groups lie across splits, with 1 test images"
    )
    assert got.manifest.splits[got.manifest.paths.index("a2.png")] == "test"


def test_near_duplicates_stay_on_one_side_of_drawn_splits(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for place in range(40):
        draw(photos / f"{place:02}.png", place)
        (photos / f"{place:02} copy.png").write_bytes((photos / f"{place:02}.png").read_bytes())
    names = sorted(path.name for path in photos.iterdir())
    got = collect(photos, labels_of(tmp_path, "image,labels\n" + "".join(f"{name},cat\n" for name in names)))
    splits = dict(zip(got.manifest.paths, got.manifest.splits.tolist(), strict=True))
    assert all(splits[f"{place:02}.png"] == splits[f"{place:02} copy.png"] for place in range(40))
    assert list(splits.values()).count("test") == 16
    assert list(splits.values()).count("val") == 12


def test_threads_progress_and_repetition(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", *(f"{place}.png" for place in range(70)))
    steps: list[tuple[int, int]] = []
    one = collect(photos, None, workers=1, progress=lambda done, total: steps.append((done, total)))
    four = collect(photos, None, workers=4)
    assert one.manifest.digests == four.manifest.digests
    assert steps[-1] == (70, 70)
    assert steps == sorted(steps)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2007"
    folder_of(root / "JPEGImages", "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    folder_of(root / "SegmentationClass", "1.png")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, names in {"train": "129", "val": "3", "test": "48"}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            text = "<annotation><object><name>cat</name></object></annotation>"
            (root / "Annotations" / f"{name}.xml").write_text(text)
    return root


@pytest.mark.parametrize("part", [".", "JPEGImages"])
def test_voc_rows_without_a_file_are_quarantined(voc: Path, part: str) -> None:
    got = collect(voc / part, read_voc(voc))
    assert got.manifest.root.resolve() == voc / "JPEGImages"
    assert got.manifest.paths == ("1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert got.manifest.splits.tolist() == ["train", "train", "val", "test"]
    assert [(item.path, item.reason) for item in got.quarantine] == [
        ("8.jpg", "listed in VOC2007/ImageSets/Main for test, no file"),
        ("9.jpg", "listed in VOC2007/ImageSets/Main for train, no file"),
    ]
    assert got.notes[0] == "6 given = 4 used + 2 quarantined (2 of them listed without a file)"


def test_voc_labels_for_a_copy_of_the_images_elsewhere(voc: Path, tmp_path: Path) -> None:
    copies = folder_of(tmp_path / "small", "1.jpg", "2.jpg", "4.jpg")
    got = collect(copies, read_voc(voc))
    assert got.manifest.root == copies
    assert len(got.quarantine) == 3


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "corel5k").is_dir(), reason=f"no Corel5k in {DATA}; set TAGWEAVE_DATA")
def test_corel5k(tmp_path: Path) -> None:
    rows = (DATA / "corel5k" / "labels.csv").read_text().replace("tree;tree", "tree")
    annotations = labels_of(tmp_path, rows)
    got = collect(DATA / "corel5k" / "images", annotations, label_budget=0.1)
    splits = got.manifest.splits
    assert len(got.manifest) == 4999
    assert got.quarantine == ()
    assert int((splits == "test").sum()) == 499
    assert int(got.labels.labelled[splits != "test"].sum()) == 450
    assert got.labels.labelled[splits == "test"].all()


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "VOCdevkit").is_dir(), reason=f"no VOC2007 in {DATA}; set TAGWEAVE_DATA")
def test_voc2007() -> None:
    root = DATA / "VOCdevkit" / "VOC2007"
    got = collect(root, read_voc(root))
    assert len(got.manifest) == 2023
    assert len(got.quarantine) == 7940
    assert [int((got.manifest.splits == split).sum()) for split in ("train", "val", "test")] == [515, 497, 1011]
    assert got.notes[0] == "9963 given = 2023 used + 7940 quarantined (7940 of them listed without a file)"
