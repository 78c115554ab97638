"""The trained systems of the comparison tables, by name: a head and what it learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from tagweave.config import NETWORK_ALONE, Config, TrainConfig, parse_config
from tagweave.data.annotations import did_you_mean
from tagweave.encoders.backbones import Layout
from tagweave.errors import InputError

OURS = "mscnn_lce"
DEFAULT = "default"
LABELLED = "labelled"
PLAIN_TARGETS = ("soft", "decided", LABELLED)
PIXEL_TARGETS = ("fixmatch",)  # need the pixels; the tables train on maps computed once
POLICY_HEAD = "asl_linear"  # what the published policies train: a linear layer with the asymmetric loss


@dataclass(frozen=True)
class Contender:
    """Name one system.

    Attributes:
        name: HEAD, HEAD+TARGETS, or ``default``.
        head: see ``HEADS``. targets: of ``train.targets``.
        default: what ``fit`` does with the configuration as it is, all its parts joined; nothing is searched.
    """

    name: str
    head: str
    targets: str
    default: bool = False

    def config(self, base: Config, seed: int) -> Config:
        """Return the configuration of one run: the head alone, but for ``default``."""
        if self.default:
            return base.model_copy(update={"seed": seed})
        train = {"targets": self.targets, "shares": NETWORK_ALONE}
        return changed(base, seed=seed, model={"head": self.head}, train=train)


def changed(config: Config, seed: int, **sections: dict[str, Any]) -> Config:
    """Return a configuration with another seed and other values in some sections, validated.

    Raises:
        InputError: a key that is not there, or values that do not go together.
    """
    content = config.model_dump()
    return parse_config({**content, "seed": seed, **{name: content[name] | new for name, new in sections.items()}})


def policies() -> tuple[str, ...]:
    """Return the published ways to use unlabelled images on frozen maps."""
    others = (*PLAIN_TARGETS, *PIXEL_TARGETS)
    return tuple(name for name in get_args(TrainConfig.model_fields["targets"].annotation) if name not in others)


def parse_contenders(text: str, unlabelled: bool) -> tuple[Contender, ...]:
    """Return the systems of a list with commas; ``all`` is every head on the given labels and ``default``.

    A bare head learns from the given labels only. Where images without labels are in the pool, ``all`` also has every
    system with its own way of using them: ours with propagated labels, and the published policies.

    Raises:
        InputError: a name that is not there, or none at all; the choices are listed.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    whole = _all(unlabelled)
    chosen = [one for name in names for one in (whole if name == "all" else [name])]
    if not chosen:
        raise InputError(f"Expected heads among all, {', '.join(whole)}, but got none.")
    return tuple(_contender(name) for name in dict.fromkeys(chosen))


def _all(unlabelled: bool) -> list[str]:
    from tagweave.peers.registry import HEADS

    own = [f"{OURS}+soft"]
    if POLICY_HEAD in HEADS:
        own += [f"{POLICY_HEAD}+{policy}" for policy in policies()]
    return [*HEADS, *(own if unlabelled else []), DEFAULT]


def _contender(name: str) -> Contender:
    from tagweave.peers.registry import HEADS

    if name == DEFAULT:
        return Contender(name, OURS, "", default=True)
    head, plus, targets = name.partition("+")
    ways = (*PLAIN_TARGETS, *policies())
    if head not in HEADS:
        raise InputError(
            f"Expected heads among all, default, {', '.join(HEADS)}, each alone or with +TARGETS, "
            f"but got '{head}'{did_you_mean(head, HEADS)}."
        )
    if plus and targets not in ways:
        hint = did_you_mean(targets, ways)
        raise InputError(f"Expected +TARGETS among {', '.join(ways)}, but got '{targets}'{hint}.")
    return Contender(name, head, targets or LABELLED)


def has_own_loss(contender: Contender, config: Config, layout: Layout, labels: int) -> bool:
    """Tell whether the head brings its own loss."""
    from tagweave.model.inputs import HeadInputs
    from tagweave.peers.registry import build_head

    return hasattr(build_head(contender.config(config, 0).model, HeadInputs.blank(layout, labels)), "objective")
