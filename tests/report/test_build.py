"""The page as a whole: what it says, that it is sound HTML, and that it needs nothing but itself."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from synthetic import PROVENANCE, SHOWN, make_run

from tagweave.errors import InputError
from tagweave.report import write_report

VOID = {"meta", "input", "img", "br", "hr", "link"}
SECTIONS = [
    "result", "choices", "data", "labels", "curves", "calibration", "training", "graph", "propagation", "images",
    "doubtful", "suspects", "quarantine", "made",
]  # fmt: skip
OPTIONAL = {
    "history.jsonl": "the run has no history.jsonl",
    "labels.parquet": "the run has no labels.parquet",
    "predictions.parquet": "predictions.parquet does not hold this image",
    "attention.npz": "the run has no attention.npz",
    "quarantine.csv": "the run has no quarantine.csv",
    "unseen.npz": "the run has no unseen.npz",
    "doubtful.csv": "the run has no doubtful.csv",
    "suspects.csv": "the run has no suspects.csv",
    "graph/examples.json": "the run has no graph/examples.json",
    "provenance.json": "the run has no provenance.json",
}


class Outline(HTMLParser):
    """Collect what the checks need, and every tag that closes another than the one last opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def having(self, key: str, tag: str | None = None) -> list[str]:
        return [value for owner, name, value in self.attributes if name == key and tag in (None, owner)]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    return parser


def printed(value: float) -> str:
    return f"{value * 100:.1f} %"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("labels", [20, 260])
def test_tags_are_balanced_and_ids_distinct(tmp_path: Path, labels: int) -> None:
    found = outline(write_report(make_run(tmp_path, labels)).read_text(encoding="utf-8"))
    assert (found.wrong, found.open) == ([], [])
    ids = found.having("id")
    assert len(ids) == len(set(ids))
    referred = [target.removeprefix("#") for target in found.having("href")] + found.having("aria-labelledby")
    assert set(referred) <= set(ids)


def test_every_section_is_there_and_in_the_navigation(page: str) -> None:
    found = outline(page)
    assert found.having("id", "section") == SECTIONS
    assert found.having("href", "a") == ["#main", *(f"#{section}" for section in SECTIONS)]
    assert "Left out" not in found.text


def test_nothing_is_fetched(page: str) -> None:
    found = outline(page)
    assert all(value.startswith("data:image/jpeg;base64,") for value in found.having("src"))
    assert all(value.startswith("#") for value in found.having("href"))
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in " ".join(found.having("content"))


def test_pictures_and_charts_say_what_they_show(page: str) -> None:
    found = outline(page)
    shelves = 12 + 24 + 10 + sum(min(number, 3) for number in range(10))  # doubtful, suspects, examples, their givers
    assert len(found.having("alt", "img")) == len(found.having("src", "img")) == SHOWN * 4 + shelves
    assert all(found.having("alt", "img"))
    small = len(re.findall('class="small-curves">(.*?)</ul>', page, re.DOTALL)[0].split("<li>")) - 1
    assert 10 <= small <= 20  # one per label with a known positive among the test images
    assert len(found.having("aria-label", "svg")) == len(found.having("viewbox", "svg")) == 7 + small


def test_numbers_are_those_of_the_measures(run: Path, page: str) -> None:
    text = outline(page).text
    test = json.loads((run / "metrics.json").read_text())["splits"]["test"]["systems"]
    for system in test.values():
        row = [system["mAP"], system["at_tuned"]["CF1"], system["at_tuned"]["OF1"]]
        assert " ".join(printed(value) for value in row) in text
    main = test["network"]
    for rule in ("at_tuned", "at_half", "top3", "top3_at_half"):
        assert " ".join(printed(main[rule][key]) for key in ("CP", "CR", "CF1", "OP", "OR", "OF1")) in text
    for key in ("mAP_10", "hamming_error", "one_error", "ece"):
        assert printed(main[key]) in text
    for label in main["per_label"][:-1]:
        assert f"{label['label']} {printed(label['AP'])} n {label['positives']}" in text
    assert "tv_monitor no positive – n 0" in text
    assert "over 19 of 20 labels" in text


def test_counts_of_the_run_are_told(run: Path, page: str) -> None:
    text = outline(page).text
    assert "learned 20 labels from 40 images, 10 of them labelled for training, and was measured on 482 test" in text
    assert "Of the 1,000 unlabelled ones it reached 937 (93.7 %) and decided 70.4 % of their cells" in text
    assert "1,400 cells decided as present 11,800 cells decided as absent 5,540 cells left unknown" in text
    assert "73 files or label rows not used; the first 50 are shown" in text
    assert text.count("is truncated") == 50
    assert PROVENANCE["command"] in text
    assert f"tagweave fit '/my photos' --labels /labels.csv --config {run}/config.toml --out {run}-again" in text
    assert "train 1 min 23 s" in text
    assert 'loss = "weighted"' in text


def test_best_values_are_bold(run: Path, page: str) -> None:
    systems = json.loads((run / "metrics.json").read_text())["splits"]["test"]["systems"].values()
    best = [max(system["mAP"] for system in systems)]
    best += [max(system["at_tuned"][key] for system in systems) for key in ("CF1", "OF1")]
    assert re.findall("<strong>(.*?)</strong>", page) == [printed(value).replace(" ", "\u00a0") for value in best]


def test_no_cell_that_is_unknown_gets_a_mark(page: str) -> None:
    cards = page.split('<article class="card">')[1:]
    unlabelled = [card for card in cards if "Nothing is known of this image." in card]
    assert len(cards) == SHOWN
    assert len(unlabelled) == SHOWN // 4
    assert not any("✓" in card or "✗" in card for card in (card.split("</article>")[0] for card in unlabelled))
    assert all(card.count("✓") + card.count("✗") >= 5 for card in cards if card not in unlabelled)


def test_the_same_run_gives_the_same_page(run: Path, page: str) -> None:
    assert write_report(run).read_text(encoding="utf-8") == page


def test_a_page_of_260_labels_is_small_and_whole(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path, 260))
    found = outline(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 8_000_000
    assert len(found.having("data-name", "li")) == 260
    assert "The 60 most frequent of 260 labels and the 90 strongest links" in found.text


def test_charts_are_also_files_of_their_own(run: Path, page: str) -> None:
    plots = {path.stem: path.read_text(encoding="utf-8") for path in (run / "plots").glob("*.svg")}
    assert {"precision-recall", "label-graph", "training-training-loss", "training-validation-map"} <= set(plots)
    assert len([name for name in plots if name.startswith("reliability-")]) == 3
    for text in plots.values():
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "prefers-color-scheme: dark" in text


def test_given_labels_and_their_judge_are_told(page: str) -> None:
    text = outline(page).text
    assert "30 given labels that are more likely wrong than right" in text
    assert "given: not aeroplane judged aeroplane with 97.0 %" in text
    assert page.count("<figcaption>given: <b>") == 24
    assert "3.900 expected errors" in text


def test_who_gave_a_label_is_told(page: str) -> None:
    text = outline(page).text
    assert "10 propagated labels drawn at random from those that were accepted" in text
    assert "The graph has 75.0 % of the say in a probability" in text
    assert "No labelled image: the linear classifier alone." in text
    assert "91.0 % of what arrived says yes" in text


def test_right_and_wrong_cases_stand_apart(page: str) -> None:
    right, wrong = page.index("Decided rightly in every known label"), page.index("Decided wrongly in some label")
    assert page.count('<article class="card">', right, wrong) == page.count('<article class="card">', wrong) == 6
    assert "2 known labels wrong" in outline(page).text


def test_names_cannot_inject_anything(tmp_path: Path) -> None:
    hostile = [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "{{ 7 * 7 }}",
        "</title></svg><script>",
        "a & b",
        "plain",
    ]
    run = make_run(tmp_path, names=hostile)
    (run / "config.toml").write_text("</code></pre><script>alert(2)</script>")
    (run / "quarantine.csv").write_text("path,reason\n<b>.jpg,is <i>broken</i>\n")
    page = write_report(run).read_text(encoding="utf-8")
    found = outline(page)
    assert (found.wrong, found.open) == ([], [])
    assert page.count("<script") == 1
    assert not [key for _, key, _ in found.attributes if key.startswith("on")]
    assert sorted(found.having("data-name")) == sorted(hostile)
    assert all(name in unescape(page) for name in hostile)


@pytest.mark.parametrize(("file", "sentence"), OPTIONAL.items())
def test_an_absent_artefact_costs_its_section_only(tmp_path: Path, file: str, sentence: str) -> None:
    run = make_run(tmp_path)
    (run / file).unlink()
    found = outline(write_report(run).read_text(encoding="utf-8"))
    assert sentence in found.text
    assert found.having("id", "section") == SECTIONS
    assert (found.wrong, found.open) == ([], [])


def test_manifest_and_measures_are_enough(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for path in run.iterdir():
        if path.is_file() and path.name not in ("manifest.parquet", "metrics.json"):
            path.unlink()
    (run / "graph" / "examples.json").unlink()
    (run / "steps" / "train.json").unlink()
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["splits"]["test"], metrics["cooccurrence"], metrics["propagation"]
    for system in metrics["splits"]["val"]["systems"].values():
        del system["reliability"]
        system.update(at_tuned=None, mAP_10=None)
    (run / "metrics.json").write_text(json.dumps(metrics))
    found = outline(write_report(run).read_text(encoding="utf-8"))
    assert (found.wrong, found.open) == ([], [])
    assert found.text.count("Left out: ") == 12
    assert "There is no test split: these images also chose the model" in found.text
    assert "CF1 and OF1 with the threshold 0.5" in found.text


def test_a_missing_or_damaged_picture_leaves_a_placeholder(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (tmp_path / "photos" / "IMG_0001.jpg").unlink()
    (tmp_path / "photos" / "IMG_0002.jpg").write_bytes(b"not a picture")
    found = outline(write_report(run).read_text(encoding="utf-8"))
    whole = outline(write_report(make_run(tmp_path / "whole")).read_text(encoding="utf-8"))
    lost = found.text.count("No picture: the file")
    assert lost > 2  # both cards, and where image 1 stands in a row
    assert "the file could not be read: No such file or directory" in found.text
    assert len(found.having("src", "img")) == len(whole.having("src", "img")) - lost - 2 * 3  # their attention too


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    (run / "report.html").write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(run)
    assert (run / "report.html").read_text() == "old"
    assert not list(run.glob(".report-*"))


@pytest.mark.parametrize(("file", "step"), [("manifest.parquet", "check"), ("metrics.json", "evaluate")])
def test_what_must_be_there_is_asked_for(tmp_path: Path, file: str, step: str) -> None:
    run = make_run(tmp_path)
    (run / file).unlink()
    with pytest.raises(InputError, match=rf"{file}, but there is no such file: run `tagweave {step}` first\."):
        write_report(run)


def test_attention_of_strangers_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    names = np.array(["../../etc/passwd", "IMG_0003.jpg"])
    maps = np.full((2, 4, 4), 1 / 16, dtype=np.float32)
    np.savez(run / "attention.npz", images=names, stages=np.array(["stride 32"]), map_0=maps)
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count('<article class="card">') == 1
    assert "passwd" not in page
