"""Files of other tools' own libraries are read, and ours load in them: ``pip install 'tagweave[interop]'``."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_cases import annotations_of, cells
from PIL import Image

from tagweave.data.annotations import Annotations
from tagweave.data.formats import FORMATS, read_annotations
from tagweave.data.formats.reach import keep_sayable

pytestmark = pytest.mark.slow

NAMES = ("cat", "dog")
ROWS = {"a.png": "11 train", "b.png": "10 train", "c.png": "00 val", "d.png": "?? test"}
CONTROL = (
    '<View><Image name="image" value="$image"/><Choices name="labels" toName="image" choice="multiple">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


def library(name: str) -> Any:
    """Import a tool's library, or skip; an absent one and one that does not start are told apart."""
    pytest.importorskip(name.partition(".")[0], reason=f"{name} is not installed; pip install 'tagweave[interop]'")
    return importlib.import_module(name)


@pytest.fixture
def ours(tmp_path: Path) -> Annotations:
    """Four pictures, the last unlabelled, and what is known of them."""
    (tmp_path / "images").mkdir()
    for place, name in enumerate(ROWS):
        Image.fromarray(np.full((8, 8, 3), 20 * place + 10, np.uint8)).save(tmp_path / "images" / name)
    return replace(annotations_of(ROWS, NAMES), image_folder=tmp_path / "images")


def written(format: str, path: Path, annotations: Annotations) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[format].write(path, keep_sayable(annotations, FORMATS[format].reach)[0])
    return path


def datumaro_labels(path: Path, format: str) -> dict[str, set[str]]:
    """What datumaro reads: label names by image."""
    datumaro = library("datumaro")
    found = datumaro.Dataset.import_from(str(path), format)
    names = [label.name for label in found.categories()[datumaro.AnnotationType.label]]
    return {item.id: {names[annotation.label] for annotation in item.annotations} for item in found}


def datumaro_set(ours: Annotations, folder: Path, format: str) -> Path:
    """The labelled images as datumaro writes them; the third has none of the labels."""
    datumaro = library("datumaro")
    items = [
        datumaro.DatasetItem(
            id=Path(image).stem, subset=split,
            media=datumaro.Image.from_file(str((ours.image_folder or Path()) / image)),
            annotations=[datumaro.Label(int(c)) for c in np.flatnonzero(ours.labels.values[row])],
        )
        for row, (image, split) in enumerate(zip(ours.images[:3], ours.splits, strict=False))
    ]  # fmt: skip
    datumaro.Dataset.from_iterable(items, categories=list(NAMES)).export(str(folder), format, save_media=True)
    return folder


def test_ours_in_pycocotools(ours: Annotations, tmp_path: Path) -> None:
    coco = library("pycocotools.coco").COCO(str(written("coco", tmp_path / "a.json", ours)))
    shown = {
        category["name"]: {coco.imgs[image]["file_name"] for image in coco.getImgIds(catIds=[category["id"]])}
        for category in coco.loadCats(coco.getCatIds())
    }
    assert shown == {"cat": {"a.png", "b.png"}, "dog": {"a.png"}}
    assert len(coco.getImgIds()) == 4


def test_pycocotools_and_we_agree_on_a_file(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 5, "file_name": "a.jpg"}, {"id": 6, "file_name": "b.jpg"}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 9, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0},
            {"id": 2, "image_id": 6, "category_id": 3, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 1},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    coco = library("pycocotools.coco").COCO(str(tmp_path / "a.json"))
    theirs = {
        coco.imgs[image]["file_name"]: {coco.cats[a["category_id"]]["name"] for a in coco.imgToAnns[image]}
        for image in coco.imgs
    }
    read = cells(read_annotations(tmp_path / "a.json"))
    assert {image: {name for name, value in row.items() if value} for image, row in read.items()} == theirs


def test_ours_in_datasets(ours: Annotations, tmp_path: Path) -> None:
    datasets = library("datasets")
    written("imagefolder", tmp_path / "images" / "metadata.jsonl", ours)
    loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "images"), cache_dir=str(tmp_path / "cache"))
    rows = [(row["labels"], row["split"], row["image"].size) for row in loaded["train"]]
    assert rows == [
        (["cat", "dog"], "train", (8, 8)), (["cat"], "train", (8, 8)), ([], "val", (8, 8)), (None, "test", (8, 8)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.parquet"])
def test_what_datasets_writes(tmp_path: Path, name: str) -> None:
    table = library("datasets").Dataset.from_dict(
        {"file_name": ["a.png", "b.png", "c.png"], "labels": [["cat", "dog"], [], None]}
    )
    table.to_json(tmp_path / name) if name.endswith("jsonl") else table.to_parquet(tmp_path / name)
    assert cells(read_annotations(tmp_path)) == {
        "a.png": {"cat": 1, "dog": 1}, "b.png": {"cat": 0, "dog": 0}, "c.png": {},
    }  # fmt: skip


def test_ours_in_label_studio(ours: Annotations, tmp_path: Path) -> None:
    interface = library("label_studio_sdk.label_interface").LabelInterface(CONTROL)
    path = written("label-studio", tmp_path / "tasks.json", ours)
    tasks = json.loads(path.read_text())
    assert all(interface.validate_task({"data": task["data"]}) for task in tasks)
    assert all(interface.validate_annotation(a) for task in tasks for a in task["annotations"])
    # A server numbers the tasks that it takes in.
    path.write_text(json.dumps([{"id": number, **task} for number, task in enumerate(tasks)]))
    converter = library("label_studio_sdk.converter").Converter(CONTROL, str(tmp_path), download_resources=False)
    chosen = [
        [choice for found in item["output"].values() for value in found for choice in value["choices"]]
        for item in converter.iter_from_json_file(str(path))
    ]
    assert chosen == [["cat", "dog"], ["cat"], [], []]


def test_what_label_studio_makes(tmp_path: Path) -> None:
    interface = library("label_studio_sdk.label_interface").LabelInterface(CONTROL)
    region = interface.get_control("labels").label(["dog"])
    result = {
        "id": "x",
        "from_name": "labels",
        "to_name": "image",
        "type": "choices",
        "value": region.model_dump()["value"],
    }
    task = {"id": 1, "data": {"image": "/data/local-files/?d=a.png"}, "annotations": [{"id": 1, "result": [result]}]}
    assert interface.validate_annotation(task["annotations"][0])
    (tmp_path / "export.json").write_text(json.dumps([task]))
    assert cells(read_annotations(tmp_path / "export.json")) == {"a.png": {"dog": 1}}


def test_ours_in_datumaro(ours: Annotations, tmp_path: Path) -> None:
    written("coco", tmp_path / "coco" / "annotations" / "labels_train.json", ours)
    shutil.copytree(tmp_path / "images", tmp_path / "coco" / "images")
    everything = {"a": {"cat", "dog"}, "b": {"cat"}, "c": set(), "d": set()}
    assert datumaro_labels(tmp_path / "coco", "coco_labels") == everything
    # Datumaro takes a file's name for its subset and passes over images of others.
    plain = replace(ours, splits=("",) * 4)
    written("cvat", tmp_path / "cvat" / "mine.xml", plain)
    shutil.copytree(tmp_path / "images", tmp_path / "cvat" / "images")
    assert datumaro_labels(tmp_path / "cvat", "cvat") == everything
    found = datumaro_labels(written("folders", tmp_path / "folders", ours), "imagenet")
    assert found == {"cat:a": {"cat"}, "dog:a": {"dog"}, "cat:b": {"cat"}}


def test_ours_in_datumaro_as_voc(ours: Annotations, tmp_path: Path) -> None:
    voc = written("voc", tmp_path / "voc", ours)
    found = datumaro_labels(voc, "voc_classification")
    assert {image: found[image] & set(NAMES) for image in "abc"} == {"a": {"cat", "dog"}, "b": {"cat"}, "c": set()}


@pytest.mark.parametrize(
    ("format", "place"),
    [("coco", "annotations/labels_train.json"), ("cvat", "train.xml"), ("open_images", "annotations")],
)
def test_what_datumaro_writes(ours: Annotations, tmp_path: Path, format: str, place: str) -> None:
    path = datumaro_set(ours, tmp_path / "theirs", format) / place
    if format == "open_images":
        path = path / "train-annotations-human-imagelabels.csv"
    read = cells(read_annotations(path))
    rows = {Path(image).stem: {name for name, value in row.items() if value} for image, row in read.items()}
    assert rows == {"a": {"cat", "dog"}, "b": {"cat"}}


def test_a_coco_folder_of_datumaro(ours: Annotations, tmp_path: Path) -> None:
    read = read_annotations(datumaro_set(ours, tmp_path / "theirs", "coco_instances"))
    assert read.image_folder == tmp_path / "theirs" / "images"
    assert set(read.images) == {"train/a.png", "train/b.png", "val/c.png"}


@pytest.mark.parametrize("confidence", [False, True])
def test_what_fiftyone_exports_as_classifications(ours: Annotations, tmp_path: Path, confidence: bool) -> None:
    fiftyone = library("fiftyone")
    exporters = library("fiftyone.utils.data.exporters")
    folder = tmp_path / "theirs"
    with exporters.FiftyOneImageClassificationDatasetExporter(
        str(folder), classes=list(NAMES), include_confidence=confidence
    ) as exporter:
        for row, image in enumerate(ours.images):
            names = [NAMES[c] for c in np.flatnonzero(ours.labels.values[row])]
            items = [fiftyone.Classification(label=name) for name in names]
            label = fiftyone.Classifications(classifications=items) if ours.labels.labelled[row] else None
            exporter.export_sample(str((ours.image_folder or Path()) / image), label)
    # FiftyOne writes null for no label and for none alike: unknown, never absent.
    assert cells(read_annotations(folder)) == {
        "data/a.png": {"cat": 1, "dog": 1}, "data/b.png": {"cat": 1, "dog": 0}, "data/c.png": {}, "data/d.png": {},
    }  # fmt: skip


def test_ours_in_fiftyone(ours: Annotations, tmp_path: Path) -> None:
    fiftyone = library("fiftyone")
    samples = json.loads(written("fiftyone", tmp_path / "samples.json", ours).read_text())["samples"]
    loaded = [fiftyone.Sample.from_dict({**sample, "filepath": f"/x/{sample['filepath']}"}) for sample in samples]
    labels = [sample["ground_truth"] for sample in loaded]
    assert [None if label is None else [item.label for item in label.classifications] for label in labels] == [
        ["cat", "dog"], ["cat"], [], None,
    ]  # fmt: skip
    assert [sample.tags for sample in loaded] == [["train"], ["train"], ["val"], ["test"]]
