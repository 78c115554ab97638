"""The model card: what the model was made from, how well it does, where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from tagweave.export.source import Source

# Licences of the parts, as their publishers state them.
WEIGHTS = {"efficientnet_lite0": "EfficientNet-Lite0, Apache-2.0"}
VECTORS = {
    "glove50": "GloVe 6B, 50-d, PDDL; they shaped the label embeddings and are not in this folder as such",
    "one-hot": "none were used",
    "random": "random numbers were used",
}
UNRECORDED = "own file; its licence is not recorded"
FEW = 10  # positives below which a label's own figures say little


def model_card(source: Source, about: dict[str, Any]) -> str:
    """Return the card as Markdown with the front matter that hubs read."""
    sections = (
        _front(), _intro(source), _use(), _data(source), _measures(source, about), _labels(source),
        _limits(source), _licences(source),
    )  # fmt: skip
    return "\n".join(sections)


def _front() -> str:
    return (
        "---\nlibrary_name: tagweave\npipeline_tag: image-classification\n"
        "tags:\n- multi-label\n- semi-supervised\n- image-classification\n---\n"
    )


def _intro(source: Source) -> str:
    names = source.classifier.names
    how = "trained along" if source.classifier.is_finetuned else "frozen"
    return (
        f"# {source.folder.resolve().name}\n\n"
        f"Says which of {len(names)} labels an image has, several or none, with calibrated probabilities. Made with "
        f"tagweave: given labels were spread over a graph of similar images, and a network (backbone "
        f"{source.classifier.encoder.name}, {how}) was trained on given and propagated labels.\n"
    )


def _use() -> str:
    return (
        "## Use\n\n```python\nfrom pathlib import Path\n\nfrom tagweave.export.hub_folder import load_folder\n\n"
        'classifier = load_folder(Path("this-folder"))\n'
        'probabilities, reasons = classifier.predict_files([Path("photo.jpg")])\n'
        "labels = [n for n, p, t in zip(classifier.names, probabilities[0], classifier.thresholds) if p >= t]\n```\n"
    )


def _data(source: Source) -> str:
    labels, splits = source.labels, source.manifest.splits
    lines = [
        "## Data\n",
        f"{len(labels):,} images, {int(labels.labelled.sum()):,} of them with at least one known label cell; "
        f"{int(labels.known.sum()):,} cells known, {int(labels.values.sum()):,} of them positive.\n",
        "| split | images | labelled | known cells | positive cells |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for split in ("train", "val", "test"):
        part = labels.take(splits == split)
        lines.append(
            f"| {split} | {len(part):,} | {int(part.labelled.sum()):,} | {int(part.known.sum()):,} "
            f"| {int(part.values.sum()):,} |"
        )
    spread = source.measures.get("propagation")
    if spread:
        lines.append(
            f"\nPropagation accepted {spread['pseudo_positive']:,} positive and {spread['pseudo_negative']:,} negative "
            f"cells of unlabelled images for training and left {spread['unknown_cells']:,} unknown."
        )
    return "\n".join(lines) + "\n"


def _measures(source: Source, about: dict[str, Any]) -> str:
    measured = about["measures"]
    if measured is None:
        return "## Measures\n\nNone: no labelled image was held out.\n"
    tuned = measured["at_tuned"]
    few = f", {_share(measured['mAP_10'])} over the {measured['labels_with_10_positives']} with at least 10"
    lines = [
        "## Measures\n",
        f"On {measured['images']:,} held-out images ({measured['split']}, {measured['cells']:,} known cells): "
        f"mAP {_share(measured['mAP'])} over {measured['labels_with_positives']} labels with positives{few}.",
    ]
    if tuned:
        lines.append(f"At the thresholds: CF1 {_share(tuned['CF1'])}, OF1 {_share(tuned['OF1'])}.")
    if measured["split"] == "val":
        lines.append("These images also chose the model, its calibration and thresholds: the figures are too good.")
    return "\n".join(lines) + "\n"


def _labels(source: Source) -> str:
    train = source.labels.take(source.manifest.rows("train")).positives
    rows = _per_label(source)
    lines = [
        "## Labels\n", "| label | known positives in training | threshold | held-out positives | AP |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, given, threshold in zip(source.classifier.names, train, source.classifier.thresholds, strict=True):
        row = rows.get(name, {"positives": 0, "AP": None})
        cell = name.replace("|", "\\|")
        lines.append(f"| {cell} | {given} | {threshold:.3f} | {row['positives']} | {_share(row['AP'])} |")
    return "\n".join(lines) + "\n"


def _limits(source: Source) -> str:
    train = source.labels.take(source.manifest.rows("train")).positives
    never = [name for name, given in zip(source.labels.names, train, strict=True) if given == 0]
    chosen = int(source.labels.take(source.manifest.rows("val")).labelled.sum())
    rows = _per_label(source).values()
    lines = [
        "## Limits\n",
        "- Measured on images of the same collection; on others it may do worse, and probabilities may be off.",
        f"- Calibration and thresholds were fitted on {chosen:,} labelled validation images.",
        f"- {sum(row['positives'] < FEW for row in rows)} labels have fewer than {FEW} held-out positives: "
        "their own figures say little.",
        "- The whole image is squeezed to a square; small objects may be lost.",
    ]
    if never:
        lines.append(f"- No known positive in training, so not learnt: {', '.join(never)}.")
    return "\n".join(lines) + "\n"


def _licences(source: Source) -> str:
    encoder, vectors = source.classifier.encoder, source.classifier.model.word_vectors
    weights = {None: _published_licence(encoder.name), "random": "random numbers"}.get(encoder.weights, UNRECORDED)
    return (
        "## Licences of the parts\n\n"
        f"- Backbone weights ({encoder.name}): {weights}.\n"
        f"- Word vectors: {VECTORS.get(vectors, UNRECORDED)}.\n"
        "- Images and labels of the training: not recorded; state it before you publish.\n"
        "- tagweave: Apache-2.0.\n"
    )


def _published_licence(name: str) -> str:
    import timm

    if name in WEIGHTS:
        return WEIGHTS[name]
    stated = getattr(timm.get_pretrained_cfg(name), "license", None)
    return f"{stated}, as timm states it" if stated else "not stated by timm; see their publisher"


def _per_label(source: Source) -> dict[str, Any]:
    if source.measured_split is None:
        return {}
    systems = source.measures["splits"][source.measured_split]["systems"]
    return {row["label"]: row for row in systems[source.measures["main"]]["per_label"]}


def _share(value: float | None) -> str:
    return "none" if value is None or np.isnan(value) else f"{100 * value:.1f}"
