"""The configuration: presets, TOML both ways, changes, and errors that name the way out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagweave.config import PRESETS, Config, ModelConfig, Section, build_config, parse_config, read_toml, to_toml
from tagweave.errors import InputError

SECTIONS = {name: type(part) for name, part in Config() if isinstance(part, Section)}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_toml(preset: str, tmp_path: Path) -> None:
    config = build_config(preset, seed=7)
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")
    assert parse_config(read_toml(tmp_path / "config.toml")) == config


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_change_only_what_they_name(preset: str) -> None:
    config, default = build_config(preset).model_dump(), Config().model_dump()
    for section, parts in config.items():
        changed = {key for key in parts if parts[key] != default[section][key]} if section in SECTIONS else set()
        assert changed <= set(PRESETS[preset].get(section, {}))


def test_the_written_file_names_every_key_with_its_default_and_what_it_means() -> None:
    lines = to_toml(Config()).splitlines()
    for section, kind in SECTIONS.items():
        start = lines.index(f"[{section}]")
        assert lines[start - 1] == f"# {kind.__doc__}"
        for number, (key, field) in enumerate(kind.model_fields.items(), start=1):
            line = lines[start + number]
            written = re.match(r"(# )?(\w+) = ", line)
            assert written
            assert written[2] == key
            if field.default is None:
                assert line.startswith(f"# {key} = (absent)")
            else:
                value = tomllib.loads(line)[key]
                assert (tuple(value) if isinstance(value, list) else value) == field.default
            assert not field.description or line.endswith(f"  # {field.description}")


awkward = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(awkward, awkward, max_size=3))
def test_label_words_of_any_characters_survive(words: dict[str, str]) -> None:
    config = build_config(model={"label_words": words})
    assert parse_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("word", ['"', "\\", "a\nb\tc\r", "\x00\x1f\x7f", "Straße 🚲", "a = [1] # no", ""])
def test_label_words_that_toml_would_misread_survive(word: str) -> None:
    config = build_config(model={"label_words": {word: word}})
    assert parse_config(tomllib.loads(to_toml(config))).model.label_words == {word: word}


def test_file_goes_over_preset_and_changes_over_file(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("seed = 3\n[train]\nepochs = 4\nbatch = 5\n[model.label_words]\na = 'b'\n")
    config = build_config(
        "tiny", tmp_path / "my.toml", ["train.batch=6", "seed=8"], model={"label_words": {"c": "d"}}, graph={"k": 9}
    )
    assert (config.train.epochs, config.train.batch, config.seed, config.graph.k) == (4, 6, 8, 9)
    assert config.model.label_words == {"a": "b", "c": "d"}
    assert config.model.width == build_config("tiny").model.width


@pytest.mark.parametrize(
    ("change", "section", "key", "value"),
    [
        ("train.epochs=3", "train", "epochs", 3),
        (" model.gcn_widths = [8, 16]", "model", "gcn_widths", (8, 16)),
        ("model.word_vectors=one-hot", "model", "word_vectors", "one-hot"),
        ("model.word_vectors=my vectors.txt", "model", "word_vectors", "my vectors.txt"),
        ('encoder.weights="a=b"', "encoder", "weights", "a=b"),
        ("graph.teacher=false", "graph", "teacher", False),
    ],
)
def test_set(change: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(build_config(changes=[change]), section), key) == value


def problems_of(**arguments: object) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        build_config(**arguments)  # type: ignore[arg-type]
    return caught.value.problems


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"preset": "fats"}, f"Expected preset to be one of {', '.join(PRESETS)}, but got 'fats'."),
        ({"changes": ["train.epoch=3"]}, "train.epoch: there is no such key; did you mean 'train.epochs'?"),
        ({"trian": {}}, "trian: there is no such key; did you mean 'train'?"),
        ({"xyz": 1}, "xyz: there is no such key; known are: seed, log_to, data, encoder, graph, model, train."),
        ({"changes": ["train.epochs"]}, "Expected --set section.key=value, but got 'train.epochs'."),
        ({"changes": ["a.b.c=1"]}, "Expected --set section.key=value, but got 'a.b.c=1'."),
        ({"changes": ["=1"]}, "Expected --set section.key=value, but got '=1'."),
        ({"train": {"epochs": 0}}, "train.epochs: input should be greater than or equal to 1, but got 0."),
        ({"train": {"labelled_share": 1}}, "train.labelled_share: input should be less than 1, but got 1."),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, but got -1."),
        ({"model": {"m": 9, "g": 2}}, "model: expected g to divide m, but got g 2 and m 9."),
        (
            {"train": {"targets": "fixmatch"}},
            "train: expected regime finetune with targets fixmatch, which compares two views of an image's pixels, but "
            "got regime frozen, where the maps of one view are computed once; set train.regime=finetune, or "
            "train.targets=soft, lp_deepssl, cap or dicap.",
        ),
    ],
)
def test_errors_name_key_and_way_out(arguments: dict[str, object], problem: str) -> None:
    assert problems_of(**arguments) == (problem,)


def test_a_wrong_choice_lists_the_choices() -> None:
    (problem,) = problems_of(train={"optimiser": "adam"})
    assert problem == "train.optimiser: input should be 'adamw' or 'sgd', but got 'adam'."


def test_all_errors_are_told_at_once() -> None:
    assert len(problems_of(train={"epochs": "x", "bach": 1}, graph={"k": 0})) == 3


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^Expected a configuration file at .*no\.toml, but got: No such file"):
        read_toml(tmp_path / "no.toml")
    (tmp_path / "bad.toml").write_text("seed = = 3")
    with pytest.raises(InputError, match=r"^Expected TOML in .*bad\.toml, but got: Invalid value \(at line 1"):
        read_toml(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes("a = 'ß'".encode("latin-1"))
    with pytest.raises(InputError, match=r"^Expected TOML in .*latin\.toml, but got: 'utf-8' codec"):
        read_toml(tmp_path / "latin.toml")


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().train.epochs = 3  # type: ignore[misc]


def test_groups_need_to_divide_only_where_mfb_uses_them() -> None:
    assert ModelConfig(fusion="dot", m=9, g=2).m == 9
