"""The model folder, and scores that do not depend on who asks, in which order, and together with what."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawn import NAMES, Drawn
from tagweave.api import Run
from tagweave.data.manifest import Manifest
from tagweave.errors import InputError
from tagweave.predict import Classifier, Views

CLOSE = 1e-5  # float32 sums in another order, through the sigmoid


@pytest.fixture(scope="module")
def classifier(finished: Run) -> Classifier:
    return Classifier.load(finished.folder / "model")


@pytest.fixture(scope="module")
def evaluated(finished: Run) -> NDArray[np.float64]:
    """The probabilities (N, C) that ``evaluate`` wrote, images and labels in sorted order."""
    table = pq.read_table(finished.folder / "predictions.parquet")
    assert table["label"].to_pylist()[:4] == list(NAMES)
    return table["probability"].to_numpy().astype(np.float64).reshape(-1, len(NAMES))


def test_a_folder_scores_as_evaluate_did(drawn: Drawn, finished: Run, evaluated: NDArray[np.float64]) -> None:
    scored = finished.predict(drawn.images)
    assert scored.images == Manifest.load(finished.folder / "manifest.parquet").paths
    assert scored.names == NAMES
    np.testing.assert_allclose(scored.probabilities, evaluated, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("rows", [[17], [3, 2], list(range(59, -1, -1)), [5, 5, 0]])
def test_any_files_in_any_order_score_the_same(
    rows: list[int], drawn: Drawn, classifier: Classifier, evaluated: NDArray[np.float64]
) -> None:
    files = sorted(drawn.images.iterdir())
    found, reasons = classifier.predict_files([files[row] for row in rows])
    assert not reasons
    np.testing.assert_allclose(found, evaluated[rows], rtol=0, atol=CLOSE)


def test_unreadable_files_get_a_reason_and_no_numbers(drawn: Drawn, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    files = [tmp_path / "empty.png", drawn.images / "000.png", tmp_path / "none.png"]
    steps: list[tuple[int, int]] = []
    found, reasons = classifier.predict_files(files, lambda done, total: steps.append((done, total)))
    assert reasons.keys() == {0, 2}
    assert reasons[0] == "is empty (0 bytes)"
    assert reasons[2] == "could not be read: No such file or directory"
    assert np.isnan(found[[0, 2]]).all()
    assert np.isfinite(found[1]).all()
    assert steps[-1] == (3, 3)


def test_what_is_loaded_and_saved_again_is_the_same(finished: Run, classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (finished.folder / "model" / name).read_bytes()


def test_the_model_folder_says_what_is_needed_to_use_it(finished: Run) -> None:
    about = json.loads((finished.folder / "model" / "model.json").read_text())
    assert about["classes"] == list(NAMES)
    assert len(about["thresholds"]) == len(NAMES)
    assert about["encoder"]["name"] == "efficientnet_lite0"
    assert {"calibration", "encoder_key", "layout", "model", "tagweave", "format"} <= about.keys()


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a trained model in .*, but there is none; run 'tagweave fit' "):
        Classifier.load(tmp_path)


def change(finished: Run, tmp_path: Path, **changes: object) -> Path:
    folder = Path(shutil.copytree(finished.folder / "model", tmp_path / "model"))
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**about, **changes}))
    return folder


def test_a_model_of_another_format(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a model of format 4 in .*, but got 99: another version"):
        Classifier.load(change(finished, tmp_path, format=99))


def test_an_encoder_with_other_weights_is_refused(drawn: Drawn, finished: Run, tmp_path: Path) -> None:
    other = Classifier.load(change(finished, tmp_path, encoder_key="another"))
    with pytest.raises(InputError, match=r"^Expected the encoder efficientnet_lite0 with the weights of the training"):
        other.predict_files([drawn.images / "000.png"])


def test_probabilities_are_calibrated_logits(finished: Run, classifier: Classifier) -> None:
    from tagweave.console import Console
    from tagweave.steps.job import Job
    from tagweave.steps.stored import load_collection, open_records

    job = Job.load(finished.folder, Console(quiet=True))
    cache, positions = open_records(job, load_collection(finished.folder)[0])
    records = cache.records(positions[:9])
    logits = classifier.logits(records).astype(np.float64)
    np.testing.assert_allclose(classifier.probabilities(records), classifier.calibration.apply(logits), atol=1e-12)
    assert not np.allclose(classifier.probabilities(records), 1 / (1 + np.exp(-logits)), atol=1e-3)


# Views


def test_the_mean_over_views_is_that_of_their_probabilities(
    drawn: Drawn, classifier: Classifier, evaluated: NDArray[np.float64], tmp_path: Path
) -> None:
    files = sorted(drawn.images.iterdir())[:4]
    for file in files:
        Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / file.name)
    mirrored, _ = classifier.predict_files(sorted(tmp_path.iterdir()))
    steps: list[tuple[int, int]] = []
    both, _ = classifier.predict_files(files, lambda done, total: steps.append((done, total)), Views(flip=True))
    assert steps[-1] == (8, 8)
    assert not np.allclose(mirrored, evaluated[:4], atol=1e-4)
    np.testing.assert_allclose(both, (evaluated[:4] + mirrored) / 2, rtol=0, atol=1e-3)  # edges after the resize


@pytest.mark.slow
def test_scales_round_to_whole_strides_and_keep_the_weights(
    drawn: Drawn, classifier: Classifier, evaluated: NDArray[np.float64]
) -> None:
    files = sorted(drawn.images.iterdir())[:3]
    larger = classifier.at_scale(1.4)
    assert larger.built_encoder.preprocessing.size == 96  # 64 x 1.4 is 90
    assert classifier.at_scale(1.0) is classifier
    alone, _ = larger.predict_files(files)
    assert not np.allclose(alone, evaluated[:3], atol=1e-4)
    both, _ = classifier.predict_files(files, views=Views(scales=(1.0, 1.4)))
    np.testing.assert_allclose(both, (evaluated[:3] + alone) / 2, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("scales", ["", "1,", "0", "-1", "a", "inf", "nan"])
def test_scales_that_are_none(scales: str) -> None:
    with pytest.raises(InputError, match=r"^Expected --scales to be positive numbers, such as 1,1.25, but got '"):
        Views.parse(False, scales)


# Two files of one training


def test_weights_of_another_head_name_both(finished: Run, tmp_path: Path) -> None:
    about = json.loads((finished.folder / "model" / "model.json").read_text())
    folder = change(finished, tmp_path, encoder={**about["encoder"], "name": "vgg16_bn"})
    with pytest.raises(InputError, match=r"for the encoder 'vgg16_bn' that model.json names, but got those for 'effi"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (("house", "moon", "sea"), r"Expected the 4 classes of the checkpoint .* but got 3: 1 missing \(tree\)\."),
        (("house", "moon", "sea", "tree", "car"), r"but got 5: 1 new \(car\)\."),
        (("moon", "house", "sea", "tree"), r"but got 4: the same ones in another order\."),
    ],
)
def test_a_class_list_that_differs_from_the_checkpoint(
    classes: tuple[str, ...], text: str, finished: Run, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=text):
        Classifier.load(change(finished, tmp_path, classes=classes))


def test_weights_that_do_not_fit_the_settings(finished: Run, tmp_path: Path) -> None:
    about = json.loads((finished.folder / "model" / "model.json").read_text())
    folder = change(finished, tmp_path, model={**about["model"], "width": 33})
    with pytest.raises(InputError, match=r"to fit the settings of model.json beside it, but got: Error.* Keep the two"):
        Classifier.load(folder)


def test_attention_names_its_stages(classifier: Classifier, finished: Run) -> None:
    from tagweave.console import Console
    from tagweave.steps.job import Job
    from tagweave.steps.stored import load_collection, open_records

    cache, positions = open_records(Job.load(finished.folder, Console(True)), load_collection(finished.folder)[0])
    looks = classifier.attention(cache.records(positions[:3]))
    assert [(look.stage, look.stride) for look in looks] == [(1, 8), (2, 16), (3, 32)]
    for look in looks:
        np.testing.assert_allclose(look.weights.sum(axis=(1, 2)), 1.0, rtol=CLOSE)
