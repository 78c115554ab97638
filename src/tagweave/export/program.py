"""The whole classifier traced by torch.export, with the batch left open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.export.about import describe
from tagweave.export.parity import Sample, Scorer, draw_sample, require_parity
from tagweave.export.source import Source
from tagweave.runs import atomic, beside, write_json

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

ABOUT = "tagweave.json"  # name of the description inside the program's archive


def write_program(source: Source, path: Path) -> dict[str, Any]:
    """Write a ``.pt2`` file and its description beside it; return the description.

    Raises:
        RuntimeError: the program's probabilities differ from the classifier's; nothing is written.
        InputError: the encoder cannot be traced.
    """
    import torch

    sample = draw_sample(source)
    traced = trace(source, sample)
    worst = require_parity(module_scorer(traced.module()), sample, "program")
    about = {**describe(source), "largest_difference": worst}
    with atomic(path) as partial:
        torch.export.save(traced, partial, extra_files={ABOUT: json.dumps(about)})
    write_json(beside(path), about)
    return about


def trace(source: Source, sample: Sample) -> ExportedProgram:
    """Trace the full module.

    Raises:
        InputError: the encoder does something that a graph cannot hold.
    """
    import torch

    from tagweave.export.full_module import full_module

    module, example = full_module(source.classifier), torch.from_numpy(sample.pixels)
    try:
        return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    except Exception as error:  # tracing fails in many ways, all with the same way out
        raise InputError(
            f"Expected to trace the encoder {source.classifier.encoder.name}, but got {type(error).__name__}: "
            f"{str(error).strip().splitlines()[0][:200]}. Use --to folder, which needs no trace."
        ) from error


def module_scorer(module: nn.Module) -> Scorer:
    """Return a function that scores pixels with a torch module."""
    import torch

    def score(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return module(torch.from_numpy(pixels)).numpy()

    return score
