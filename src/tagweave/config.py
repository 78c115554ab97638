"""The configuration: one frozen section per step, presets, TOML in and out."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from tagweave.errors import InputError


class Section(BaseModel):
    """Refuse unknown keys and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataConfig(Section):
    """What is read, and how it is split."""

    val_fraction: float = Field(0.15, ge=0, lt=1, description="share of labelled images that choose the model")
    test_fraction: float = Field(0.2, ge=0, lt=1, description="share held out for scoring where no split is given")
    label_budget: float | None = Field(None, gt=0, description="labels kept, a share or a number; hides the rest")
    difficult: Literal["positive", "unknown"] = Field("positive", description="VOC objects marked difficult")
    strict: bool = Field(False, description="stop at the first file that would go to quarantine")


class EncoderConfig(Section):
    """Which frozen backbone turns images into stage maps."""

    name: str = Field(
        "efficientnet_lite0",
        description="efficientnet_lite0, efficientnet_lite2, vgg16_bn or any timm model; several with + between them",
    )
    size: int | None = Field(
        None,
        ge=32,
        description="input side in pixels; when absent 288 for efficientnet_lite0, 320 for efficientnet_lite2, the "
        "model's own for others, the largest of several",
    )
    weights: str | None = Field(None, min_length=1, description="a file, or random; the published weights when absent")
    map_side: int = Field(14, ge=1, description="larger stage maps are average-pooled to this side")


class GraphConfig(Section):
    """Label propagation (METHOD §1)."""

    features: Literal["stages", "average+max", "average"] = Field(
        "stages", description="pooled features that are compared: of several stages, or of the last map only"
    )
    pca: int = Field(256, ge=0, description="principal components that are compared; 0 compares the features")
    whiten: float = Field(0.5, ge=0, le=1, description="0: plain PCA; 1: all components count alike")
    k: int = Field(20, ge=1, description="neighbours of an image")
    affinity: Literal["cosine_power", "heat"] = Field(
        "cosine_power", description="max(s, 0)^gamma of the cosine s, or exp(-|x - x'|^2 / (4 tau))"
    )
    gamma: float = Field(3.0, gt=0, description="power of the cosine")
    tau: float = Field(0.25, gt=0, description="width of the heat affinity")
    strength: Literal["affinity", "wcn"] = Field("affinity", description="wcn: weighted common neighbours (eq. 1)")
    diffusion: Literal["heat", "spread"] = Field("heat", description="heat equation, or label spreading with alpha")
    t: float = Field(4.0, ge=0, description="heat diffusion time")
    alpha: float = Field(0.9, ge=0, lt=1, description="share of the neighbours in spread")
    kappa: float = Field(0.03, ge=0, description="weight of a label's rate in its total")
    rounds: int = Field(1, ge=1, description="rounds of dynamic link strength; 1 is static")
    eta: float = Field(1.0, ge=0, description="pull of agreeing labels on link strength")
    tol: float = Field(1e-3, ge=0, description="rounds stop when scores move less")
    teacher: bool = Field(True, description="blend with ridge regression, in the share that cross-fitting chooses")
    names: bool = Field(
        True, description="the teacher starts from the backbone's own classes whose names are like the labels'"
    )
    folds: int = Field(5, ge=2, description="folds of the cross-fit")
    exact_below: int = Field(200_000, ge=0, description="from this many images on neighbours are sought approximately")
    recall: float = Field(0.95, gt=0, le=1, description="share of the true neighbours wanted then")
    precision: float = Field(0.8, gt=0, lt=1, description="share of right ones that accepted positives must show")


class ModelConfig(Section):
    """The network (METHOD §2 to §4)."""

    head: Literal[
        "mscnn_lce",
        "average_pool",
        "max_pool",
        "both_pool",
        "asl_linear",
        "very_deep",
        "ml_gcn",
        "a_gcn",
        "f_gcn",
        "srn",
        "ml_decoder",
        "cnn_rnn",
        "order_free_rnn",
        "rdar",
        "rarl",
    ] = Field("mscnn_lce", description="which system maps stage maps to labels")
    width: int = Field(256, ge=1, description="width of g and of every attended vector")
    stages: tuple[int, ...] | None = Field(
        None, min_length=1, description="stages in use, 1 the finest, -1 the coarsest; all when absent"
    )
    global_vector: Literal["pooled", "convolutions"] = Field(
        "pooled", description="g from the pooled feature, or from two convolutions on the coarsest map (the paper's)"
    )
    attention: bool = Field(True, description="false: the positions of a stage are averaged")
    compatibility: Literal["additive", "dot"] = Field("additive", description="of a local vector and g (eq. 3)")
    normalisation: Literal["softmax", "sigmoid"] = Field("softmax", description="of attention over positions (eq. 4)")
    append: Literal["none", "g", "pooled"] = Field("pooled", description="what joins the attended vectors in F")
    gcn: bool = Field(True, description="label embeddings from the co-occurrence graph; mfb and dot need them")
    fusion: Literal["mfb", "dot", "linear", "none"] = Field(
        "mfb", description="linear: one layer on F, no GCN; none: averaged per-stage classifiers alone"
    )
    m: int = Field(358, ge=1, description="fusion width")
    g: int = Field(2, ge=1, description="group size of the sum-pooling; divides m")
    signed_sqrt: bool = Field(True, description="signed square root of the fused vector")
    l2: bool = Field(True, description="unit length of the fused vector")
    fusion_dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the sum-pooling")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout on F")
    prior: bool = Field(True, description="start every label at its known rate")
    gcn_widths: tuple[int, ...] = Field(
        (512, 1024), min_length=1, max_length=4, description="widths of the GCN's layers"
    )
    word_vectors: str = Field("glove50", description="glove50, one-hot, random, or a file")
    label_words: dict[str, str] = Field({}, description="other words for some labels")
    phi: float = Field(0.1, ge=0, le=1, description="smallest P(j | i) that links two labels")
    lam: float = Field(0.25, ge=0, description="total weight of a label's neighbours")
    theta: float = Field(1e-6, ge=0, description="keeps the normalisation of M from dividing by 0 (eq. 8)")
    normalise: Literal["rows", "columns"] = Field("rows", description="of M; columns as ML-GCN")
    beam: int = Field(4, ge=1, description="paths that cnn_rnn and order_free_rnn keep in their search")
    longest: int = Field(8, ge=1, description="most labels on a path of cnn_rnn and order_free_rnn")
    regions: int = Field(5, ge=1, description="regions that rdar and rarl look at")
    counts: Literal["given", "propagated"] = Field(
        "given", description="co-occurrence of given labels, or of calibrated propagated ones too"
    )

    @property
    def embeds_labels(self) -> bool:
        """Whether the network has a label GCN."""
        return self.gcn and self.fusion in ("mfb", "dot")

    @model_validator(mode="after")
    def _fusion_has_its_embeddings(self) -> ModelConfig:
        if self.head == "mscnn_lce" and not self.gcn and self.fusion in ("mfb", "dot"):
            raise ValueError(
                f"expected a GCN with fusion '{self.fusion}', which joins the image with the label embeddings that the "
                "GCN makes, but got gcn false; set model.fusion=linear (or none), or leave the GCN on"
            )
        return self

    @model_validator(mode="after")
    def _groups_fit(self) -> ModelConfig:
        if self.fusion == "mfb" and self.m % self.g:
            raise ValueError(f"expected g to divide m, but got g {self.g} and m {self.m}")
        return self


NETWORK_ALONE = (1.0, 0.0, 0.0)  # of ``train.shares``


class TrainConfig(Section):
    """How the network is trained: on the cached maps, or end to end."""

    regime: Literal["frozen", "finetune"] = Field(
        "frozen", description="finetune: the backbone learns too, from pixels; for a GPU, or patience"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is one")
    epochs: int = Field(12, ge=1, description="at most; see patience")
    updates: int = Field(
        400, ge=0, description="frozen: at least so many, over more epochs of a small collection; patience grows too"
    )
    batch: int = Field(64, ge=1, description="images of one update, over all processes together")
    accumulate: int = Field(1, ge=1, description="parts a batch is computed in: less memory, the same update")
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="sgd: with momentum 0.9")
    learning_rate: float = Field(2e-3, gt=0, description="its highest value")
    weight_decay: float = Field(1e-4, ge=0, description="of the optimiser")
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="of the rate; step: a tenth from 40 % of the steps on, a hundredth from 80 %"
    )
    warm_up: float = Field(0.15, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(10.0, gt=0, description="largest length of the gradient")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights; 0 uses the last ones")
    loss: Literal["bce", "weighted_bce", "soft_margin", "asymmetric", "focal"] = Field(
        "bce", description="over known cells; weighted_bce: by the batch's positives and negatives (eq. 9)"
    )
    auxiliary: float = Field(0.05, ge=0, description="weight of the per-stage classifiers' loss")
    targets: Literal["soft", "decided", "labelled", "lp_deepssl", "cap", "dicap", "fixmatch"] = Field(
        "soft",
        description="soft: calibrated probabilities; decided: accepted cells only; labelled: no propagation; "
        "lp_deepssl, cap, dicap: pseudo-labels of these systems; fixmatch: finetune only, what the network is sure of "
        "teaches it about a changed view",
    )
    labelled_share: float = Field(0.25, ge=0, lt=1, description="least share of labelled images in an epoch")
    patience: int = Field(5, ge=1, description="epochs without a better validation mAP before the stop")
    refit: bool = Field(True, description="train once more with the validation images")
    rounds: int = Field(
        1, ge=1, description="trainings; before each further one labels spread over the trained network's features"
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    backbone_rate: float = Field(0.1, gt=0, description="finetune: the backbone's learning rate as part of the head's")
    augment: Literal["none", "flip", "crop"] = Field("crop", description="finetune: crop also flips")
    precision: Literal["float32", "bf16", "fp16"] = Field("float32", description="finetune: of the backbone")
    batch_norm: Literal["frozen", "batch"] = Field(
        "frozen", description="finetune: statistics of the backbone's batch norms stay, or follow the batches"
    )
    checkpoint_gradients: bool = Field(False, description="finetune: compute maps twice instead of keeping them")
    checkpoint_minutes: float = Field(
        10.0, ge=0, description="finetune: between checkpoints within an epoch; 0: after every update"
    )
    shares: tuple[float, float, float] | None = Field(
        None,
        description="of network, ridge of places and propagation in the classifier, of sum 1; null: a third each, less "
        "for propagation where the graph has little say in it, or what the validation images speak for",
    )

    @field_validator("shares")
    @classmethod
    def _shares_make_a_whole(cls, shares: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if shares is not None and not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):  # NaN holds nowhere
            raise ValueError(f"expected three shares from 0 up, of sum 1, but got {shares}")
        return shares

    @model_validator(mode="after")
    def _views_have_pixels(self) -> TrainConfig:
        if self.targets == "fixmatch" and self.regime == "frozen":
            raise ValueError(
                "expected regime finetune with targets fixmatch, which compares two views of an image's pixels, but "
                "got regime frozen, where the maps of one view are computed once; set train.regime=finetune, or "
                "train.targets=soft, lp_deepssl, cap or dicap"
            )
        return self

    @model_validator(mode="after")
    def _rounds_are_read(self) -> TrainConfig:
        if self.rounds > 1 and self.targets not in ("soft", "decided"):
            raise ValueError(
                f"expected targets soft or decided with rounds {self.rounds}, as each round propagates anew, but got "
                f"targets {self.targets}, which no propagation reaches"
            )
        return self


class Config(Section):
    """Everything a run depends on, but its data."""

    seed: int = Field(0, ge=0, description="of every random draw")
    log_to: tuple[Literal["tensorboard", "mlflow", "trackio", "wandb"], ...] = Field(
        (), description="experiment trackers that get every epoch: tensorboard, mlflow, trackio, wandb"
    )
    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()


PAPER_GRAPH = {
    "features": "average",
    "pca": 0,
    "k": 50,
    "strength": "wcn",
    "rounds": 3,
    "teacher": False,
    "names": False,
}
PAPER_MODEL = {"width": 512, "append": "none", "prior": False, "gcn_widths": (1024, 2048), "dropout": 0.0}
PAPER_TRAIN = {
    "epochs": 25, "updates": 0, "batch": 32, "optimiser": "sgd", "learning_rate": 0.001, "weight_decay": 1e-4,
    "clip": 10.0, "ema": 0.0, "loss": "weighted_bce", "auxiliary": 1.0, "targets": "decided", "patience": 25,
    "shares": NETWORK_ALONE,
}  # fmt: skip

# Differences from the defaults.
# `best`: two backbones side by side: a larger cache and more time for better features.
# `paper`: VGG-16-BN at 448 px with all positions of its stages, two further convolutions, F of 3 x 512. Needs VGG's
# published weights (from a hub, or encoder.weights=FILE) and trains end to end, for a GPU. The cache holds the pooled
# features of the untrained backbone, 4 KB an image; with train.regime=frozen also its maps, 10 MB an image.
# `paper-frozen`: the paper's propagation, widths and losses on the installed default encoder, for a CPU; its rate is
# higher because only the head learns.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "best": {"encoder": {"name": "efficientnet_lite0+efficientnet_lite2"}},
    "tiny": {
        "model": {"width": 32, "m": 32, "gcn_widths": (32, 32)},
        "train": {"epochs": 2, "updates": 0, "batch": 32},
        "encoder": {"size": 96, "map_side": 7},
    },
    "paper": {
        "encoder": {"name": "vgg16_bn", "size": 448, "map_side": 112},
        "graph": PAPER_GRAPH,
        "model": {**PAPER_MODEL, "global_vector": "convolutions"},
        "train": {**PAPER_TRAIN, "regime": "finetune"},
    },
    "paper-frozen": {
        "graph": PAPER_GRAPH,
        "model": PAPER_MODEL,
        "train": {**PAPER_TRAIN, "learning_rate": 0.01},
    },
}


def build_config(
    preset: str = "fast", file: Path | None = None, changes: Sequence[str] = (), **sections: Any
) -> Config:
    """Build a configuration: the preset, then a TOML file over it, then ``section.key=value`` changes, then sections.

    Raises:
        InputError: unknown preset, key or value; every problem, with the nearest known key.
    """
    if preset not in PRESETS:
        raise InputError(f"Expected preset to be one of {', '.join(PRESETS)}, but got '{preset}'.")
    merged = _merge({}, PRESETS[preset])
    if file is not None:
        merged = _merge(merged, read_toml(file))
    for change in changes:
        merged = _merge(merged, _parse_change(change))
    return parse_config(_merge(merged, sections))


def parse_config(content: Mapping[str, Any]) -> Config:
    """Validate plain data as a configuration.

    Raises:
        InputError: every unknown key with the nearest known one, and every bad value.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise InputError([_explain(problem) for problem in error.errors()]) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        InputError: no file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Expected a configuration file at {path}, but got: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"Expected TOML in {path}, but got: {error}.") from error


def to_toml(config: Config) -> str:
    """Write a configuration as commented TOML that ``read_toml`` reads back."""
    lines = ["# What this run depends on. Use it again with --config FILE."]
    for name, about in Config.model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            lines += ["", f"# {(type(value).__doc__ or '').strip()}", f"[{name}]"]
            lines += [_line(key, getattr(value, key), field) for key, field in type(value).model_fields.items()]
        else:
            lines.append(_line(name, value, about))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, about: FieldInfo) -> str:
    comment = f"  # {about.description}" if about.description else ""
    return f"# {key} = (absent){comment}" if value is None else f"{key} = {_toml(value)}{comment}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # all else is escaped alike
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return repr(value)


def _parse_change(change: str) -> dict[str, Any]:
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) > 2 or not all(parts):
        raise InputError(f"Expected --set section.key=value, but got '{change}'.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    return {parts[0]: value} if len(parts) == 1 else {parts[0]: {parts[1]: value}}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Section):
            value = value.model_dump()
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(problem: Mapping[str, Any]) -> str:
    place = [str(part) for part in problem["loc"]]
    if problem["type"] == "value_error":
        return f"{'.'.join(place)}: {problem['ctx']['error']}."
    if problem["type"] == "tuple_type":
        return f"{'.'.join(place)}: expected a list in brackets, such as [1, 2], but got {problem['input']!r}."
    if problem["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {problem['msg'][0].lower()}{problem['msg'][1:]}, but got {problem['input']!r}."
    known = list(Config.model_fields)
    if len(place) > 1 and place[0] in Config.model_fields:
        known = list(type(getattr(Config(), place[0])).model_fields)
    near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
    hint = f"did you mean '{'.'.join([*place[:-1], near[0]])}'?" if near else f"known are: {', '.join(known)}."
    return f"{'.'.join(place)}: there is no such key; {hint}"
