"""Other systems' targets, as what the network is trained on."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from drawn import Drawn, quick_fit
from tagweave.api import Run
from tagweave.config import TrainConfig, build_config
from tagweave.console import Console
from tagweave.data.labels import LabelMatrix
from tagweave.encoders.backbones import Layout
from tagweave.runs import read_json
from tagweave.steps.job import Job
from tagweave.steps.policies import POLICIES, first_model, policy_over
from tagweave.steps.stored import load_collection, open_records
from tagweave.steps.targets import training_set
from tagweave.training.batches import MapSource, TrainingSet

PARTS = (4, 6)
policies = pytest.mark.parametrize("name", POLICIES)


def groups(images: int = 200, labelled: int = 40) -> tuple[np.ndarray, LabelMatrix, np.ndarray]:
    """Return raw features that tell two labels, what is known of 40 images, and the truth; a third label is never."""
    random = np.random.default_rng(0)
    truth = np.zeros((images, 3), bool)
    truth[:, :2] = random.random((images, 2)) < 0.4
    features = random.normal(size=(images, sum(PARTS))).astype(np.float32)
    features[:, :4] += 3 * truth[:, :1]
    features[:, 4:] += 3 * truth[:, 1:2]
    known = np.zeros((images, 3), bool)
    known[random.permutation(images)[:labelled]] = True
    return features, LabelMatrix(truth, known, ("a", "b", "never")), truth


def test_the_configuration_knows_every_policy() -> None:
    choices = get_args(TrainConfig.model_fields["targets"].annotation)
    assert set(choices) == {"soft", "decided", "labelled", "fixmatch", *POLICIES}


@policies
def test_pseudo_labels_are_mostly_right_and_known_cells_stay(name: str) -> None:
    features, labels, truth = groups()
    found = POLICIES[name](features, PARTS, labels, 0)
    hidden = (found.weights > 0) & ~labels.known
    assert hidden[:, :2].mean() > 0.6
    assert (found.values == truth)[hidden].mean() > 0.9
    assert not found.values[:, 2].any()
    assert not hidden[:, 2].any()
    known = labels.known & (labels.positives > 0)
    assert (found.weights[known] > 0).all()
    np.testing.assert_array_equal(found.values[known], labels.values[known])


@policies
def test_the_same_seed_gives_the_same_targets(name: str) -> None:
    features, labels, _ = groups()
    one, two = (POLICIES[name](features, PARTS, labels, 3) for _ in range(2))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.weights, two.weights)


@policies
def test_a_single_labelled_image_is_enough(name: str) -> None:
    features, labels, _ = groups(labelled=1)
    found = POLICIES[name](features, PARTS, labels, 0)
    assert np.isfinite(found.weights).all()
    assert (found.weights >= 0).all()


def test_the_first_model_learns_from_labelled_images_alone() -> None:
    features, labels, truth = groups()
    flipped = LabelMatrix(np.where(labels.known, labels.values, ~truth), labels.known, labels.names)
    p = first_model(features, PARTS, labels, 0)
    np.testing.assert_array_equal(p, first_model(features, PARTS, flipped, 0))
    assert ((p > 0.5) == truth)[~labels.known].mean() > 0.85


def part(source: MapSource, rows: Any) -> MapSource:
    return MapSource(source.cache, source.positions[rows])


def targets_of(run: Run, name: str) -> tuple[TrainingSet, Any, LabelMatrix]:
    job = Job.load(run.folder, Console(quiet=True))
    manifest, labels = load_collection(run.folder)
    cache, positions = open_records(job, manifest)
    assert isinstance(cache.layout, Layout)
    config = build_config(train={"targets": name}).train
    hidden, propagated = np.flatnonzero(manifest.splits == "val"), run.folder / "graph" / "choice.npz"
    source = MapSource(cache, positions)
    policy = policy_over(source, name, job.config.seed)
    data = training_set(propagated, config, manifest, labels, lambda rows: part(source, rows), hidden, policy)
    return data, manifest, labels


@policies
def test_given_cells_are_trained_as_given_and_held_out_images_never(name: str, finished: Run) -> None:
    data, manifest, labels = targets_of(finished, name)
    rows = np.array([manifest.paths.index(path) for path in data.names])
    assert set(manifest.splits[rows]) == {"train"}
    known = labels.known[rows]
    np.testing.assert_array_equal(data.targets[known], labels.values[rows][known])
    assert (data.weights[known] > 0).all()
    assert (data.weights[~known] > 0).any()
    assert set(np.unique(data.targets)) <= {0.0, 1.0}
    assert data.weights.dtype == data.targets.dtype == np.float32


@policies
def test_a_run_trains_on_them(name: str, run_copy: Run, drawn: Drawn) -> None:
    before = (run_copy.folder / "model" / "model.safetensors").read_bytes()
    run = quick_fit(
        drawn.images, drawn.labels, run_copy.folder, train={"targets": name, "epochs": 1, "batch": 16, "patience": 1}
    )
    assert (run.folder / "model" / "model.safetensors").read_bytes() != before
    assert read_json(run.folder / "metrics.json")


@pytest.mark.parametrize(
    "head", ["order_free_rnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cnn_rnn", "rdar", "rarl"))]
)
def test_a_run_trains_heads_that_go_step_by_step(head: str, run_copy: Run, drawn: Drawn) -> None:
    train = {"epochs": 1, "batch": 16, "patience": 1}
    run = quick_fit(drawn.images, drawn.labels, run_copy.folder, model={"head": head, "width": 16}, train=train)
    assert read_json(run.folder / "metrics.json")
    assert run.predict(drawn.images).probabilities.shape == (60, 4)
