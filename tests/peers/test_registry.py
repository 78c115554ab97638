"""Every head by name."""

from __future__ import annotations

from typing import get_args

import pytest

from tagweave.config import ModelConfig, build_config
from tagweave.errors import InputError
from tagweave.peers.registry import HEADS


def test_the_configuration_knows_every_head() -> None:
    assert set(get_args(ModelConfig.model_fields["head"].annotation)) == set(HEADS)


def test_an_unknown_head_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"model\.head: .*'mscnn_lce'.*but got 'resnet'"):
        build_config(model={"head": "resnet"})
