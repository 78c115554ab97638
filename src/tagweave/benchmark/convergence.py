"""How fast our network and ML-GCN get better: validation mAP by epoch, same settings."""

from __future__ import annotations

from typing import Any

from tagweave.benchmark.contenders import changed
from tagweave.benchmark.fitted import ALL, Budget
from tagweave.benchmark.pictures import Lines
from tagweave.benchmark.protocol import written_budget
from tagweave.benchmark.statistics import of
from tagweave.benchmark.table import Table, mean_and_deviation, written
from tagweave.benchmark.trials import Bench, Trial
from tagweave.config import NETWORK_ALONE, Config
from tagweave.errors import InputError

SYSTEMS = {"MSCNN-LCE-MIC": "mscnn_lce", "ML-GCN": "ml_gcn"}


def run_convergence(bench: Bench, base: Config, budget: Budget, seeds: int) -> Table:
    """Run the cells that the folder lacks, and return validation mAP by epoch of both systems.

    Raises:
        InputError: there are no validation images to measure on.
    """
    train = {"shares": NETWORK_ALONE, "patience": base.train.epochs, "refit": False}
    cells = bench.run(
        Trial(name, changed(base, seed, model={"head": head}, train=train), budget)
        for seed in range(seeds) for name, head in SYSTEMS.items()
    )  # fmt: skip
    if any(epoch["val_mAP"] is None for cell in cells for epoch in cell["history"]):
        raise InputError("Expected labelled validation images, but got none with a label; give more labels.")
    records: list[dict[str, Any]] = []
    for name in SYSTEMS:
        histories = [cell["history"] for cell in of(cells, name)]
        for epoch, own in enumerate(zip(*histories, strict=True), 1):
            numbers = {key: mean_and_deviation([one[key] for one in own]) for key in ("val_mAP", "loss", "seconds")}
            records.append({"system": name, "epoch": epoch, **numbers})
    epochs = range(1, base.train.epochs + 1)
    by_name = {name: {r["epoch"]: r for r in records if r["system"] == name} for name in SYSTEMS}
    rows = tuple((str(e), *(written(by_name[name][e]["val_mAP"]) for name in SYSTEMS)) for e in epochs)
    share = "all given labels" if budget == ALL else f"{written_budget(float(budget))} of the labels"
    notes = (
        f"frozen {bench.held.encoder}; validation images that train nothing; both systems with the same optimiser, "
        "rate, batches and targets, each with its own loss where it brings one; weights averaged as in fit",
        f"mean ± sample deviation over {seeds} seeds; the paper draws its curves without numbers, on COCO and VOC "
        "2007, both systems trained end to end",
    )
    return Table(
        f"Convergence: {bench.held.name}, {share}, mAP by epoch", ("epoch", *SYSTEMS), rows, notes, tuple(records),
        picture=Lines("val_mAP", "epoch", "system", "epoch"),
    )  # fmt: skip
