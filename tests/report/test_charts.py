"""Charts as SVG: sound XML, values at their places, nothing outside the drawing."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagweave.report.charts import Axis, Link, label_graph, line_chart, reliability_chart, ticks

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in drawn(svg).iter("text")]


@settings(max_examples=60, deadline=None)
@given(low=st.floats(-1e4, 1e4), span=st.floats(1e-4, 1e4), most=st.integers(2, 8))
def test_ticks_are_even_round_and_few(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert len(found) <= most
    assert all(low - 1e-6 * span <= value <= low + span + 1e-6 * span for value in found)
    if len(found) > 1:
        step = found[1] - found[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - factor) for factor in (1, 2, 5, 10)) < 1e-3


def test_ticks_of_epochs_are_whole() -> None:
    assert ticks(1, 3, least_step=1.0) == [1, 2, 3]
    assert ticks(1, 25, least_step=1.0) == [5, 10, 15, 20, 25]


def test_an_axis_maps_its_ends() -> None:
    axis = Axis(2, 4, 100, 0)
    assert [axis.at(value) for value in (2, 3, 4)] == [100, 50, 0]


def chart(x: list[float], y: list[float], mark: int | None = None) -> str:
    return line_chart(x, y, title="score", y_name="mAP", x_name="epoch", mark=mark, percent=True)


def test_a_line_goes_up_where_values_do_and_the_mark_tells_its_value() -> None:
    svg = chart([1, 2, 3], [0.1, 0.4, 0.3], mark=2)
    points = [tuple(map(float, point.split(","))) for point in drawn(svg).find("polyline").get("points").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    heights = [-y for _, y in points]
    assert (heights[2] - heights[0]) / (heights[1] - heights[0]) == pytest.approx(2 / 3, abs=0.01)
    assert "epoch 2: 40.0\u00a0%" in texts(svg)
    assert "mAP, %" in texts(svg)


@pytest.mark.parametrize("values", [[0.5], [0.0], [0.3, 0.3], [0.0, 0.0], [1.0, 1.0]])
def test_flat_and_single_values_are_drawn_inside(values: list[float]) -> None:
    root = drawn(chart(list(range(1, len(values) + 1)), values, mark=1))
    width, height = (float(number) for number in root.get("viewBox").split()[2:])
    for circle in root.iter("circle"):
        assert 0 < float(circle.get("cx")) < width
        assert 0 < float(circle.get("cy")) < height


def test_perfect_calibration_lies_on_the_diagonal() -> None:
    root = drawn(reliability_chart([0.1, 0.5, 0.9], [0.1, 0.5, 0.9], [400, 100, 25], title="r"))
    dots = [(float(dot.get("cx")), float(dot.get("cy")), float(dot.get("r"))) for dot in root.iter("circle")]
    slopes = np.diff([y for _, y, _ in dots]) / np.diff([x for x, _, _ in dots])
    guide = next(path.get("d") for path in root.iter("path") if path.get("class") == "guide")
    (ax, ay), (bx, by) = (tuple(map(float, end.split())) for end in guide[1:].split("L"))
    np.testing.assert_allclose(slopes, (by - ay) / (bx - ax), atol=0.01)
    assert [r for *_, r in dots] == [8.0, 5.0, 3.5]


def test_the_label_graph_escapes_names_and_keeps_links() -> None:
    names = ["a<b", '"quoted"', "plain", "x" * 40]
    links = [Link(0, 2, 0.25), Link(3, 1, 0.75)]
    svg = label_graph(names, [5, 10, 0, 2], links, np.array([2, 0, 1, 3]), title="A & B")
    root = drawn(svg)
    assert root.get("aria-label") == root.find("title").text == "A & B"
    assert texts(svg) == ["a<b", '"quoted"', "plain", "x" * 21 + "…"]
    about = [path.find("title").text for path in root.iter("path")]
    assert about == ["plain where a<b: 25.0\u00a0%", '"quoted" where ' + "x" * 40 + ": 75.0\u00a0%"]
    assert [path.get("stroke-width") for path in root.iter("path")] == ["1.85", "3.95"]


@pytest.mark.parametrize("labels", [1, 2, 20, 60])
def test_dots_of_the_label_graph_do_not_touch(labels: int) -> None:
    names = [f"label {number}" for number in range(labels)]
    root = drawn(label_graph(names, [7] * labels, [], np.arange(labels), title="graph"))
    dots = [(float(dot.get("cx")), float(dot.get("cy")), float(dot.get("r"))) for dot in root.iter("circle")]
    for i, (ax, ay, ar) in enumerate(dots):
        assert all(math.hypot(ax - bx, ay - by) > ar + br for bx, by, br in dots[:i])
