"""CVAT's exports for images."""

from __future__ import annotations

from pathlib import Path

from format_cases import cells, problems, write

from tagweave.data.formats import read_annotations

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><labels>
    <label><name>cat</name><color>#fa3253</color><type>tag</type><attributes></attributes></label>
    <label><name>dog</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
    <label><name>cow</name><type>any</type></label>
  </labels></job><dumped>2024-01-01</dumped></meta>
  <image id="0" name="d/a.jpg" width="6" height="4" subset="Train">
    <tag label="cat" source="manual"><attribute name="sure">true</attribute></tag>
    <box label="dog" source="manual" occluded="0" xtl="1" ytl="1" xbr="2" ybr="2" z_order="0"></box>
  </image>
  <image id="1" name="b.jpg" width="6" height="4" subset="default"></image>
</annotations>
"""


def test_cvat_tags_and_shapes_show_and_silence_is_unknown(tmp_path: Path) -> None:
    read = read_annotations(write(tmp_path / "annotations.xml", CVAT))
    assert cells(read) == {"d/a.jpg": {"cat": 1, "cow": 0, "dog": 1}, "b.jpg": {}}
    assert read.splits == ("train", "")


def test_cvat_problems(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><annotations><image name="&y;"/></annotations>'
    assert problems(write(path, bomb)) == ("a.xml: expected plain XML, but got a DOCTYPE; save it without",)
    path.write_bytes(bomb.encode("utf-16"))
    assert problems(path) == ("a.xml: expected plain XML, but got a DOCTYPE; save it without",)
    assert "no element found" in problems(write(path, "<annotations>"))[0]
    assert "expected <image> elements" in problems(write(path, "<annotations/>"))[0]
    video = '<annotations><track id="0" label="cat"></track></annotations>'
    assert "but got a track of 'CVAT for video'" in problems(write(path, video))[0]
    twice = '<annotations><image name="a.jpg"/><image name="a.jpg"/><image name="/etc/b.jpg" subset="x"/></annotations>'
    assert [told.split(",")[0] for told in problems(write(path, twice))] == [
        "a.xml image 2: image 'a.jpg' is listed again",
        "a.xml image 3: expected a path inside the image folder",
        "a.xml image 3: expected a split of train",
    ]
