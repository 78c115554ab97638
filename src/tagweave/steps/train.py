"""Train the classifier on given and propagated labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.runs import atomic, read_json
from tagweave.steps.beside import choose, choosing_beside, pays
from tagweave.steps.collection import Images, open_images
from tagweave.steps.finetuned import TRUNK, put_beside_model, put_given_beside_model
from tagweave.steps.fitting import Fit, Task, fit
from tagweave.steps.job import Job
from tagweave.steps.joining import is_joined, join
from tagweave.steps.judged import Floats, calibrate, choose_thresholds
from tagweave.steps.yardstick import linear_logits

if TYPE_CHECKING:
    from torch import nn

    from tagweave.calibration import Calibration

ALONE = "the classifier is the network alone: propagation knows the backbone as it was before the training"


def train(job: Job, key: str) -> Mapping[str, Any]:
    """Train the network on given and propagated labels, calibrate it, and write the model folder.

    First without the validation images, which choose calibration and thresholds; then once more on all labelled
    images, over all epochs: with few labels those held back are missed.
    """
    images = open_images(job)
    choice, final = fit_both(job, key, images)
    val, test = images.labelled("val"), images.labelled("test")
    truth = images.labels.take(val)

    by_network = choice.logits(job, choice.network, images, val)
    calibration = calibrate(by_network, truth)
    scores = {name: _blank(images) for name in ("linear", "network", "classifier")}
    scores["network"][val] = calibration.apply(by_network)
    scores["network"][test] = calibration.apply(final.logits(job, final.network, images, test))
    by_linear = linear_logits(job, choice, images, val)
    linear_calibration = calibrate(by_linear, truth)
    scores["linear"][val] = linear_calibration.apply(by_linear)
    scores["linear"][test] = linear_calibration.apply(linear_logits(job, final, images, test))
    head, by_head, mixture = final.network, by_network, dict[str, Any]()
    if is_joined(job, final):
        joined = join(job, images, choice, final, by_network)
        scores["places"] = _blank(images)
        scores["places"][val], scores["places"][test] = joined.local
        head, by_head, mixture = joined.head, joined.by_choice, joined.facts
        calibration = calibrate(by_head, truth)
    scores["classifier"][val] = calibration.apply(by_head)
    thresholds = choose_thresholds(calibration, by_head, truth)
    model = _save_model(job, images, final, head, calibration, thresholds)
    with atomic(job.folder / "checkpoints" / "scores.npz") as partial:
        np.savez_compressed(partial, **scores)  # type: ignore[arg-type]
    with atomic(job.folder / "history.jsonl") as partial:
        partial.write_text("".join(json.dumps(record) + "\n" for record in choice.history), encoding="utf-8")
    outputs = [*model, "checkpoints/scores.npz", "history.jsonl"]
    return {**_facts(choice, final), **mixture, "outputs": outputs}


def _blank(images: Images) -> NDArray[np.float32]:
    return np.zeros(images.labels.values.shape, dtype=np.float32)


def train_along(job: Job, key: str) -> None:
    """Train the same networks as ``train`` in another process, which writes nothing."""
    fit_both(job, key, open_images(job))


def fit_both(job: Job, key: str, images: Images) -> tuple[Fit, Fit]:
    """Return the network that never saw the validation images, and the final one; they may be the same."""
    from tagweave.threads import limit_threads

    limit_threads("torch")
    choice = choose(job, key, images)
    if not (len(choice.hidden) and job.config.train.refit):
        fitted = fit(job, choice, images)
        return fitted, fitted
    final = Task("final", key, choice.hidden[:0])
    if pays(job, images):
        with choosing_beside(job, key):
            fitted = fit(job, final, images)
        return fit(job, choice, images), fitted
    return fit(job, choice, images), fit(job, final, images)


def _save_model(
    job: Job, images: Images, final: Fit, head: nn.Module, calibration: Calibration, thresholds: Floats
) -> list[str]:  # fmt: skip
    """Write the model folder; return the files it is made of."""
    from tagweave.predict import Classifier

    encoder, key = job.config.encoder, read_json(job.folder / "steps" / "embed.json")["encoder_key"]
    if final.encoder is not None:
        encoder, key = put_beside_model(job, final.folder), final.encoder.key
    elif encoder.weights not in (None, "random"):
        encoder = put_given_beside_model(job)
    Classifier(
        names=images.labels.names, thresholds=thresholds, calibration=calibration, encoder=encoder, encoder_key=key,
        layout=images.layout, model=job.config.model, head=head.eval(),
        is_finetuned=final.encoder is not None,
    ).save(job.folder / "model")  # fmt: skip
    names = ("model.json", "model.safetensors", *((TRUNK,) if encoder.weights == TRUNK else ()))
    return [f"model/{name}" for name in names]


def _facts(choice: Fit, final: Fit) -> dict[str, Any]:
    facts = {
        "epochs": final.rounds[-1]["epochs"], "best_val_mAP": choice.rounds[-1]["val_mAP"],
        "images": len(final.data.names),
    }  # fmt: skip
    if len(choice.rounds) > 1:
        facts["rounds"] = list(choice.rounds)
    return {**facts, "notes": [ALONE]} if final.encoder is not None else facts
