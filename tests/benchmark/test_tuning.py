"""The search of every head: its order, what it may see, and that nothing is tried twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from held_drawn import CONFIG

from drawn import NAMES
from tagweave.benchmark.tuning import Search, part, tune
from tagweave.config import NETWORK_ALONE, Config
from tagweave.data.labels import LabelMatrix
from tagweave.data.manifest import Manifest

SPLITS = np.array(["train"] * 8 + ["val"] * 4 + ["test"] * 6)


def collection(labelled: int = 12) -> tuple[Manifest, LabelMatrix]:
    count = len(SPLITS)
    names = tuple(f"{number:02d}.png" for number in range(count))
    values = np.random.default_rng(0).random((count, len(NAMES))) < 0.6
    known = np.zeros_like(values)
    known[:labelled], known[12:] = True, True
    manifest = Manifest(root=None, paths=names, digests=names, sizes=np.ones((count, 2)), splits=SPLITS)  # type: ignore[arg-type]
    return manifest, LabelMatrix(values & known, known, NAMES)


class Trainer:
    """Answer with a made-up mAP and remember what was asked."""

    def __init__(self, areas: dict[tuple[float, str, int], float]) -> None:
        self.areas, self.asked = areas, list[tuple[float, str, int]]()
        self.configs: list[Config] = []
        self.splits: set[str] = set()

    def __call__(self, manifest: Manifest, labels: LabelMatrix, config: Config) -> float | None:
        train = config.train
        self.asked.append((train.learning_rate, train.loss, train.epochs))
        self.configs.append(config)
        self.splits |= set(manifest.splits.tolist())
        return self.areas.get(self.asked[-1], 0.1)


def searched(trainer: Trainer, own_loss: bool = False) -> tuple[Config, list[dict[str, Any]]]:
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"learning_rate": 0.004, "epochs": 8})})
    return tune(trainer, *collection(), config, Search(), own_loss)


def test_rate_then_loss_then_epochs_each_at_the_best_so_far() -> None:
    areas = {(0.001, "bce", 4): 0.5, (0.001, "asymmetric", 4): 0.6, (0.001, "asymmetric", 8): 0.4}
    trainer = Trainer(areas)
    chosen, found = searched(trainer)
    assert trainer.asked == [
        (0.004, "bce", 4), (0.001, "bce", 4), (0.001, "asymmetric", 4), (0.001, "asymmetric", 8),
    ]  # fmt: skip
    assert (chosen.train.learning_rate, chosen.train.loss, chosen.train.epochs) == (0.001, "asymmetric", 4)
    assert [one["val_mAP"] for one in found] == [0.1, 0.5, 0.6, 0.4]
    assert chosen.train.refit  # of the final fit; the tries train once and are not joined
    assert not any(config.train.refit or config.train.shares != NETWORK_ALONE for config in trainer.configs)


def test_a_head_with_its_own_loss_keeps_it() -> None:
    trainer = Trainer({(0.004, "bce", 8): 0.9})
    chosen, found = searched(trainer, own_loss=True)
    assert {loss for _, loss, _ in trainer.asked} == {"bce"}
    assert len(found) == 3
    assert chosen.train.epochs == 8


def test_test_images_take_no_part() -> None:
    trainer = Trainer({})
    searched(trainer)
    assert trainer.splits == {"train", "val"}


def test_a_part_of_the_pool_has_labelled_images_first() -> None:
    manifest, labels = collection(labelled=5)
    rows = part(manifest, labels, 7, seed=0)
    assert len(rows) == 7
    assert set(range(5)) < set(rows.tolist())
    assert rows.max() < 12
    assert rows.tolist() == sorted(rows.tolist())


def test_without_validation_labels_the_configuration_stands() -> None:
    trainer = Trainer({})
    manifest, labels = collection(labelled=8)
    chosen, found = tune(trainer, manifest, labels, CONFIG, Search(), False)
    assert chosen == CONFIG
    assert not found
    assert not trainer.asked


def test_the_cost_is_in_epochs_of_the_whole_pool() -> None:
    assert Search(images=100).share(pool=1000, epochs=8) == (3 * 4 + 8) * 0.1
    assert Search(images=100).share(pool=50, epochs=8) == 20
