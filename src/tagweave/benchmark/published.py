"""Published figures: what the paper and the systems of its tables reach, by their own account.

They stand beside measured figures, never in their place: backbone, image size, weights, data and the way an epoch is
chosen differ. What is not given here is not at hand, and is absent rather than guessed: of Tables IV, V, VI and VIII no
figure is, of Table III no single label's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

TABLES = {
    "I": "COCO 2014, all labels",
    "II": "COCO 2014, top three labels",
    "III": "VOC 2007, average precision by label",
    "IV": "ablation: propagation, multi-stage, attention, GCN, MFB",
    "V": "layers of the GCN",
    "VI": "group size g of MFB",
    "VII": "CIFAR-10, error by number of labels",
    "VIII": "VOC 2007, error by share of labels",
}

PAPER = "mscnn_lce"
FULL = "all labels; VOC 2007 trainval to test, COCO 2014 train to val"
HALF = "VOC 2012 train to val, COCO 2014, ResNet-50 at 224 px; best epoch chosen on the test set, one seed"
CIFAR = "CIFAR-10, a network trained on it"


@dataclass(frozen=True)
class PublishedSystem:
    """Name a system.

    Attributes:
        title: as people call it. source: where it was published. backbone: of its figures, where that is known.
    """

    title: str
    source: str
    backbone: str | None = None


SYSTEMS: dict[str, PublishedSystem] = {
    "cnn_rnn": PublishedSystem("CNN-RNN", "Wang et al., CVPR 2016", "VGG-16"),
    "very_deep": PublishedSystem("Very Deep", "Simonyan and Zisserman, ICLR 2015", "VGG-16 and VGG-19, several scales"),
    "rdar": PublishedSystem("RNN with attention (RDAR)", "Wang et al., ICCV 2017", "VGG-16, 512 px"),
    "rarl": PublishedSystem("attention-reinforce (RARL)", "Chen et al., AAAI 2018", "VGG-16"),
    "order_free_rnn": PublishedSystem("order-free RNN", "Chen et al., AAAI 2018"),
    "srn": PublishedSystem("SRN", "Zhu et al., CVPR 2017", "ResNet-101, 224 px"),
    "average_pool": PublishedSystem("ResNet-101, average-pooled", "He et al., CVPR 2016", "ResNet-101, 448 px"),
    "max_pool": PublishedSystem("ResNet-101, max-pooled", "Chen et al., CVPR 2019", "ResNet-101, 448 px"),
    "ml_gcn": PublishedSystem("ML-GCN", "Chen et al., CVPR 2019", "ResNet-101, 448 px"),
    "a_gcn": PublishedSystem("A-GCN", "Li et al., 2019", "ResNet-101"),
    "f_gcn": PublishedSystem("F-GCN", "Wang et al., CIKM 2020", "ResNet-101"),
    PAPER: PublishedSystem("MSCNN-LCE-MIC", "Joseph James S. and Lakshmi C."),
    "csra": PublishedSystem("CSRA", "Zhu and Wu, ICCV 2021"),
    "asl": PublishedSystem("ASL", "Ridnik et al., ICCV 2021", "TResNet-L"),
    "query2label": PublishedSystem("Query2Label", "Liu et al., 2021", "ResNet-101"),
    "query2label_swin": PublishedSystem("Query2Label", "Liu et al., 2021", "Swin-L, 384 px"),
    "ml_decoder": PublishedSystem("ML-Decoder", "Ridnik et al., WACV 2023", "TResNet-L"),
    "bce_labelled": PublishedSystem("BCE, labelled images only", "as the CAP papers report it", "ResNet-50, 224 px"),
    "asl_labelled": PublishedSystem("ASL, labelled images only", "as the CAP papers report it", "ResNet-50, 224 px"),
    "cap": PublishedSystem("CAP", "Xie et al., NeurIPS 2023", "ResNet-50, 224 px"),
    "bbam": PublishedSystem("BBAM", "2024", "ResNet-50, 224 px"),
    "d2l_mat": PublishedSystem("D2L + MAT", "ECCV 2024", "ResNet-50, 224 px"),
    "dicap": PublishedSystem("DiCaP", "AAAI 2026", "ResNet-50, 224 px"),
    "lp_deepssl": PublishedSystem("LP-DeepSSL", "Iscen et al., CVPR 2019"),
}
"""By the name of the head or of the policy that stands for it here, where there is one."""


@dataclass(frozen=True)
class Figure:
    """Hold one published figure, in percent.

    Attributes:
        table: of the paper, beside which it stands; None where the paper has none like it.
        system: of ``SYSTEMS``. data: ``VOC 2007``, ``VOC 2012``, ``COCO 2014`` or ``CIFAR-10``.
        measure: ``mAP`` or ``error``. labels: a share in (0, 1], or a number above 1. value: percent.
        note: the protocol it was measured under.
    """

    table: str | None
    system: str
    data: str
    measure: str
    labels: float
    value: float
    note: str


# System: VOC 2007, COCO 2014.
_ALL_LABELS: dict[str, tuple[float | None, float | None]] = {
    "cnn_rnn": (84.0, None), "very_deep": (89.7, None), "rdar": (91.9, None), "rarl": (92.0, None),
    "srn": (None, 77.1), "average_pool": (91.7, 77.3), "max_pool": (93.0, 81.9), "ml_gcn": (94.0, 83.0),
    "a_gcn": (94.0, 83.1), "f_gcn": (94.0, 83.2), PAPER: (95.8, 84.3), "csra": (95.2, 85.6), "asl": (None, 86.6),
    "query2label": (None, 84.9), "query2label_swin": (None, 90.5), "ml_decoder": (None, 90.1),
}  # fmt: skip

# System: VOC 2012 with 5 % and 10 % of the images labelled, COCO 2014 alike.
_FEW_LABELS: dict[str, tuple[float, float, float, float]] = {
    "bce_labelled": (65.4, 75.5, 57.1, 62.3), "asl_labelled": (71.4, 77.8, 57.9, 63.0),
    "cap": (75.9, 81.8, 62.9, 67.2), "bbam": (78.7, 83.5, 63.5, 67.4), "d2l_mat": (79.3, 84.1, 69.3, 73.1),
    "dicap": (83.5, 87.9, 70.1, 73.6),
}  # fmt: skip

# System: error with so many labels.
_CIFAR: dict[str, dict[int, float]] = {
    "lp_deepssl": {1000: 22.02, 2000: 15.66, 4000: 12.69},
    PAPER: {1000: 18.24, 2000: 11.78, 4000: 9.40},
}

ROW_MEAN = 94.83
"""What the paper's own 20 average precisions of Table III average to, where it prints an mAP of 95.8."""


def published(table: str | None) -> tuple[Figure, ...]:
    """Return the figures that stand beside a table; None for those beside none: few labelled images, mAP."""
    return tuple(figure for figure in FIGURES if figure.table == table)


def _figures() -> Iterator[Figure]:
    for system, (voc, coco) in _ALL_LABELS.items():
        if voc is not None:
            note = f"{FULL}; its own row averages {ROW_MEAN}" if system == PAPER else FULL
            yield Figure("III", system, "VOC 2007", "mAP", 1.0, voc, note)
        if coco is not None:
            yield Figure("I", system, "COCO 2014", "mAP", 1.0, coco, FULL)
    for system, values in _FEW_LABELS.items():
        settings = (("VOC 2012", 0.05), ("VOC 2012", 0.1), ("COCO 2014", 0.05), ("COCO 2014", 0.1))
        for (data, labels), value in zip(settings, values, strict=True):
            yield Figure(None, system, data, "mAP", labels, value, HALF)
    for system, errors in _CIFAR.items():
        yield from (Figure("VII", system, "CIFAR-10", "error", size, value, CIFAR) for size, value in errors.items())


FIGURES: tuple[Figure, ...] = tuple(_figures())
