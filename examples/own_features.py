"""Labels of a few, embeddings of all, a scikit-learn classifier: python own_features.py.

The embeddings here are drawn; take those of any encoder instead.
"""

from __future__ import annotations

import numpy as np

from tagweave import TagWeaveClassifier

NAMES = ("sea", "person", "boat", "tree")


def main() -> None:
    generator = np.random.default_rng(0)
    kind = generator.integers(12, size=600)
    features = generator.normal(size=(12, 64))[kind] + 0.8 * generator.normal(size=(600, 64))
    truth = (generator.random((12, len(NAMES))) < 0.4)[kind].astype(float)
    labels = np.full(truth.shape, np.nan)  # unknown
    labels[:60] = truth[:60]
    labels[:20, 3] = np.nan  # nobody looked for trees in these

    model = TagWeaveClassifier(label_names=NAMES).fit(features, labels)
    print(f"mAP of the 540 unlabelled: {model.score(features[60:], truth[60:]):.3f}")
    for image, names in enumerate(model.decision_names(features[60:63]), start=60):
        print(image, ";".join(names), sep="\t")


if __name__ == "__main__":
    main()
