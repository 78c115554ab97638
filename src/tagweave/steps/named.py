"""What the labels' names say before any image is labelled: the backbone tells classes whose names are like them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.graph.propagation import Prior
from tagweave.steps.job import Job
from tagweave.steps.stored import write_rows
from tagweave.threads import one_torch_thread

if TYPE_CHECKING:
    from tagweave.encoders.class_head import ClassHead
    from tagweave.model.name_score import NameScore

NAMES_FILE = "names.csv"  # in graph/
SHOWN_CLASSES = 5  # of each label
BLOCK = 4_096  # images that are scored at a time


def read_names(job: Job, names: tuple[str, ...], pool: NDArray[np.float32]) -> tuple[NameScore, ClassHead] | None:
    """Return the score of labels by their names and the classes it listens to; None where there is nothing to read.

    That is where ``graph.names`` or the teacher is off, the encoder's classes are not known (``class_head``), no name
    is like one of theirs, or the graph does not read the part of the feature that they are scored from.

    Args:
        job: of the run.
        names: of the C labels.
        pool: pooled features (N, D) of the images of the graph, as far as the graph reads them.
    """
    from tagweave.encoders.class_head import class_head
    from tagweave.model.name_score import fit_name_score

    config = job.config
    if not (config.graph.names and config.graph.teacher):
        return None
    try:
        head = class_head(config.encoder)
    except InputError as error:  # the features are in the cache, and the weights they came from out of reach
        why = f"the backbone is not at hand: {error}"
    else:
        if head is None:
            why = f"{config.encoder.name} has no classes here that one layer tells from its feature"
        elif head.columns.max() >= pool.shape[1]:
            why = f"graph.features={config.graph.features} leaves out what its classes are told from"
        else:
            with one_torch_thread():
                score = fit_name_score(head, names, config.model.label_words, pool)
            if score is not None:
                return score, head
            why = "none is like one of the backbone's classes; model.label_words can say it in other words"
    job.console.say(f"propagate: the labels' names are not read, as {why}")
    return None


def prior_of(score: NameScore, pool: NDArray[np.float32]) -> Prior:
    """Return what ``score`` says, for the graph."""
    import torch

    def apply(features: NDArray[np.floating]) -> NDArray[np.float32]:
        blocks = np.array_split(features.astype(np.float32, copy=False), len(features) // BLOCK + 1)
        with torch.inference_mode(), one_torch_thread():
            return np.concatenate([score(torch.from_numpy(block)).numpy() for block in blocks])

    return Prior(apply(pool), apply, score.tells.numpy())


def account_of_names(
    job: Job, names: tuple[str, ...], named: tuple[NameScore, ClassHead] | None, strength: float
) -> dict[str, int]:  # fmt: skip
    """Write and say what ``read_names`` found and with what strength it counts; return the number of like labels.

    Where nothing was read nothing is returned, and the file of an earlier run with names goes.
    """
    path = job.folder / "graph" / NAMES_FILE
    if named is None:
        path.unlink(missing_ok=True)
        return {}
    score, head = named
    write_rows(path, ("label", "relevance", "classes"), _heard_classes(job, names, head))
    count = int(score.tells.sum())
    job.console.say(
        f"propagate: {count} of {len(names)} labels are called much like something that the backbone knows "
        f"(graph/{NAMES_FILE}), which counts with strength {strength:.2f}"
    )
    return {"names": count}


def _heard_classes(job: Job, names: tuple[str, ...], head: ClassHead) -> Iterator[tuple[str, str, str]]:
    """Yield each label, how far its name is like a class's, and the classes that are heard most.

    Where another word than the class's own name is what is like the label's, it stands in brackets.
    """
    from tagweave.model.name_score import likeness
    from tagweave.model.word_vectors import spoken_names

    weights, relevance, nearest = likeness(spoken_names(names, job.config.model.label_words), head.names)
    most = np.argsort(-weights, axis=1, kind="stable")[:, :SHOWN_CLASSES]
    for label, name in enumerate(names):
        heard = []
        for number in most[label] if relevance[label] else ():
            own, word = head.names[number][0], head.names[number][nearest[label, number]]
            heard.append(f"{own if word == own else f'{own} ({word})'} {weights[label, number]:.0%}")
        yield name, f"{relevance[label]:.2f}", "; ".join(heard)
