"""The whole job on drawn scenes: python few_labels.py [--images 300] [--folder few-labels]."""

from __future__ import annotations

import argparse
from pathlib import Path

import tagweave
from tagweave.data.demo import write_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("few-labels"))
    parser.add_argument("--preset", default="fast")
    given = parser.parse_args()

    files = write_demo(given.folder / "data", images=given.images)
    run = tagweave.fit(files.images, files.labels, out=given.folder / "run", preset=given.preset, quiet=True)
    systems = run.evaluate()["splits"]["test"]["systems"]
    for name, measures in systems.items():
        print(f"{name}: mAP {measures['mAP']:.3f}")
    scored = run.predict(sorted(files.images.rglob("*.*"))[:3])
    for image, labels in zip(scored.images, scored.labels(), strict=True):
        print(Path(image).name, ";".join(labels), sep="\t")


if __name__ == "__main__":
    main()
