"""The switches of the ablation: which configuration turns each part of the method on and off."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from tagweave.benchmark.contenders import changed
from tagweave.config import NETWORK_ALONE, Config
from tagweave.errors import InputError

Sections = Mapping[str, Mapping[str, Any]]

SWITCHES: dict[str, dict[bool, Sections]] = {
    "LP": {True: {"train": {"targets": "soft"}}, False: {"train": {"targets": "labelled"}}},
    "multi-stage": {True: {"model": {"stages": None}}, False: {"model": {"stages": (-1,)}}},
    "attention": {True: {"model": {"attention": True}}, False: {"model": {"attention": False}}},
    "GCN": {True: {"model": {"gcn": True}}, False: {"model": {"gcn": False}}},
    "MFB": {True: {"model": {"fusion": "mfb"}}, False: {"model": {"fusion": "dot"}}},
}
"""Without MFB the image meets the label embeddings by their inner product; see ``PLAIN`` for those without a GCN."""

PLAIN: Sections = {"model": {"gcn": False, "fusion": "linear"}}
"""Neither GCN nor MFB: one linear layer on the image's feature."""

Setting = dict[str, bool]


def settings() -> list[Setting]:
    """Return all on/off combinations, everything off first, everything on last."""
    return [dict(zip(SWITCHES, chosen, strict=True)) for chosen in product((False, True), repeat=len(SWITCHES))]


def configured(base: Config, setting: Setting, seed: int) -> Config | str:
    """Return the configuration of a combination of switches, or why there is none."""
    chosen = [SWITCHES[name][on] for name, on in setting.items()]
    if not setting["GCN"] and not setting["MFB"]:
        chosen.append(PLAIN)
    sections: dict[str, dict[str, Any]] = {"train": {"shares": NETWORK_ALONE}, "model": {"head": "mscnn_lce"}}
    for part in chosen:
        for section, values in part.items():
            sections[section] = sections.get(section, {}) | dict(values)
    try:
        return changed(base, seed, **sections)
    except InputError as error:
        return "; ".join(error.problems)
