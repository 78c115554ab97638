"""The run folder: whole files or none, steps that run once, provenance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tagweave import __version__
from tagweave.errors import InputError
from tagweave.runs import PACKAGES, Steps, atomic, key_of, read_json, write_json, write_provenance


def test_atomic_shows_the_file_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        assert partial.parent == path.parent  # a rename must not cross file systems
        assert partial.suffix == path.suffix
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_both_ways_and_no_nan(tmp_path: Path) -> None:
    content = {"name": "Straße", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert "Straße" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == content


def test_keys_depend_on_the_content_alone() -> None:
    assert key_of({"a": 1, "b": [2, "c"]}) == key_of({"b": [2, "c"], "a": 1})
    assert len({key_of(1), key_of("1"), key_of([1]), key_of(1, 2), key_of([1, 2]), key_of(2, 1), key_of()}) == 7


def test_keys_are_the_same_in_every_process() -> None:
    code = "from tagweave.runs import key_of; print(key_of({'a': ('x', 1.5), 'b': None}))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == key_of({"a": ("x", 1.5), "b": None})


def test_a_step_runs_once_per_key(tmp_path: Path) -> None:
    steps, done = Steps(tmp_path), []
    assert steps.key("a") is None
    assert steps.run("a", "1", lambda: done.append(1))
    assert not steps.run("a", "1", lambda: done.append(2))
    assert steps.run("a", "2", lambda: done.append(3))
    assert steps.run("b", "2", lambda: {"images": 5})
    assert done == [1, 3]
    assert Steps(tmp_path).key("a") == "2"
    record = read_json(tmp_path / "steps" / "b.json")
    assert record.keys() == {"key", "after", "started", "seconds", "images"}
    assert record["images"] == 5


def test_a_step_that_failed_is_not_done(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.run("a", "1", lambda: None)

    def fail() -> None:
        assert steps.key("a") is None, "the old record must be gone before the files change"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        steps.run("a", "2", fail)
    assert steps.key("a") is None
    assert steps.run("a", "1", lambda: None)


def test_bad_input_leaves_the_old_record(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.run("a", "1", lambda: {"images": 5})
    before = (tmp_path / "steps" / "a.json").read_bytes()

    def refuse() -> None:
        raise InputError("Expected more.")

    with pytest.raises(InputError):
        steps.run("a", "2", refuse)
    assert (tmp_path / "steps" / "a.json").read_bytes() == before
    with pytest.raises(InputError):
        steps.run("b", "2", refuse)
    assert steps.key("b") is None


def test_a_step_whose_file_is_gone_runs_again(tmp_path: Path) -> None:
    def work() -> dict[str, list[str]]:
        write_json(tmp_path / "part" / "a.json", {})
        return {"outputs": ["part/a.json"]}

    steps = Steps(tmp_path)
    assert steps.run("a", "1", work)
    assert not steps.run("a", "1", work)
    (tmp_path / "part" / "a.json").unlink()
    assert not steps.is_done("a", "1")
    assert steps.run("a", "1", work)
    steps.forget("a")
    assert steps.run("a", "1", work)


def test_steps_stand_while_each_is_made_from_the_one_before(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.run("a", "1", lambda: None, "input")
    assert steps.stand(["a"])
    assert not steps.stand(["a", "b"])
    steps.run("b", "2", lambda: {"outputs": ["b.txt"]}, "1")
    assert not steps.stand(["a", "b"]), "its file is missing"
    (tmp_path / "b.txt").touch()
    assert steps.stand(["a", "b"])
    steps.run("a", "3", lambda: None, "input")
    assert not steps.stand(["a", "b"])


def test_records_come_in_the_order_of_the_steps(tmp_path: Path) -> None:
    assert Steps(tmp_path / "none").records() == {}
    steps = Steps(tmp_path)
    for name, started in (("z", "2024-01-01"), ("a", "2024-01-03"), ("m", "2024-01-02")):
        write_json(tmp_path / "steps" / f"{name}.json", {"key": "1", "started": started})
    assert list(steps.records()) == ["z", "m", "a"]


def test_provenance(tmp_path: Path) -> None:
    Steps(tmp_path).run("check", "1", lambda: {"images": 5})
    write_provenance(tmp_path, 7, ["a note"], "tagweave fit x")
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert (found["tagweave"], found["seed"], found["notes"]) == (__version__, 7, ["a note"])
    assert found["command"] == "tagweave fit x"
    assert found["packages"].keys() == set(PACKAGES)
    assert found["started"] == found["steps"]["check"]["started"]
    assert found["steps"]["check"]["images"] == 5
