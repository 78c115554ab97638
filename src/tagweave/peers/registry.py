"""Every head by name.

A head is an ``nn.Module`` that maps L raw stage maps (B, channels, H, W) and raw pooled features (B, D) to a
``HeadOutput`` with logits (B, C). It also has

- ``pooled``: the module from raw pooled features to x̄;
- ``fold()``: replaces what is constant after training by plain tensors, and may be called twice;

and may have

- ``objective(maps, feature, targets, weights) -> Tensor``: its own loss, where the task's loss on its logits is not the
  one it is trained with;
- ``begin_epoch(epoch, epochs)``: called before each epoch, from 0, where its training has stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from tagweave.config import ModelConfig
from tagweave.encoders.backbones import Layout
from tagweave.model.build import build_mscnn_lce
from tagweave.model.inputs import HeadInputs
from tagweave.model.joint import JointHead
from tagweave.model.local_ridge import LocalRidge
from tagweave.model.propagated import PropagatedScore
from tagweave.peers.a_gcn import build_a_gcn
from tagweave.peers.cnn_rnn import build_cnn_rnn
from tagweave.peers.f_gcn import build_f_gcn
from tagweave.peers.ml_decoder import build_ml_decoder
from tagweave.peers.ml_gcn import build_ml_gcn
from tagweave.peers.order_free_rnn import build_order_free_rnn
from tagweave.peers.pooling import build_asl_linear, build_average_pool, build_both_pool, build_max_pool
from tagweave.peers.rarl import build_rarl
from tagweave.peers.rdar import build_rdar
from tagweave.peers.srn import build_srn
from tagweave.peers.very_deep import build_very_deep

INDUCTIVE, LOCAL = "propagated.", "local."  # where a joint head keeps what propagation says, and the ridge of places

Build = Callable[[ModelConfig, HeadInputs], nn.Module]

HEADS: dict[str, Build] = {
    "mscnn_lce": build_mscnn_lce,
    "average_pool": build_average_pool,
    "max_pool": build_max_pool,
    "both_pool": build_both_pool,
    "asl_linear": build_asl_linear,
    "very_deep": build_very_deep,
    "ml_gcn": build_ml_gcn,
    "a_gcn": build_a_gcn,
    "f_gcn": build_f_gcn,
    "srn": build_srn,
    "ml_decoder": build_ml_decoder,
    "cnn_rnn": build_cnn_rnn,
    "order_free_rnn": build_order_free_rnn,
    "rdar": build_rdar,
    "rarl": build_rarl,
}
EMBEDDING = ("ml_gcn", "a_gcn", "f_gcn")  # heads that start from label vectors


def needs_vectors(config: ModelConfig) -> bool:
    """Return whether the head is built from label vectors; others are content with none (C, 0)."""
    return config.head in EMBEDDING or (config.head == "mscnn_lce" and config.embeds_labels)


def build_head(config: ModelConfig, inputs: HeadInputs) -> nn.Module:
    """Build the untrained head that ``config.head`` names.

    Raises:
        InputError: switches that do not go together.
    """
    return HEADS[config.head](config, inputs)


def empty_head(config: ModelConfig, layout: Layout, labels: int) -> nn.Module:
    """Build a folded head of the right shapes for a state to be loaded into."""
    head = build_head(config, HeadInputs.blank(layout, labels))
    head.fold()  # type: ignore[operator]
    return head


def restore_head(config: ModelConfig, layout: Layout, labels: int, state: Mapping[str, Tensor]) -> nn.Module:
    """Build the folded head, alone or joined with others, that ``state`` was saved from."""
    head = empty_head(config, layout, labels)
    if "shares" in state:
        local, inductive = LocalRidge(**_part(state, LOCAL)), PropagatedScore(_part(state, INDUCTIVE))
        head = JointHead(head, local, inductive, *(state[name] for name in ("slope", "offset", "shares", "untaught")))
    head.load_state_dict(dict(state))
    return head.eval()


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
