"""Which labels share a scene: the most frequent label sets of VOC2007, and draws from them.

The counts are facts about the VOC2007 trainval split (5,011 photographs, objects not marked difficult): the 90 most
frequent sets of at most four labels, together 96 % of the photographs.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

# Frequent sets are tempered ("person" alone would crowd out the company that labels keep) and sets with a rare label
# are raised, so that the rarest label, sheep, has about 60 positives in 1,500 scenes instead of 27.
TEMPER = 0.65
RARITY = 0.6

_COUNTS = """
526 person; 403 car; 297 bird; 261 dog; 258 cat; 205 aeroplane; 203 train; 198 horse person; 139 car person
132 bicycle person; 128 boat; 128 motorbike person; 103 cow; 96 pottedplant; 88 bottle person; 86 chair person
84 dog person; 80 tvmonitor; 78 sheep; 73 bus; 69 chair; 69 motorbike; 61 bicycle; 60 horse; 59 bottle; 56 sofa
46 person tvmonitor; 45 person train; 43 chair diningtable; 42 bus person; 41 bus car; 40 person sofa
34 diningtable person; 34 boat person; 31 chair sofa; 29 chair tvmonitor; 27 person pottedplant; 25 aeroplane person
25 car motorbike person; 23 cow person; 21 bird person; 21 bottle diningtable person; 18 chair diningtable person
18 diningtable; 17 cat chair; 17 bus car person; 16 cat person; 14 chair sofa tvmonitor; 12 bottle diningtable
12 chair pottedplant; 10 chair person tvmonitor; 10 cat pottedplant; 9 car train; 9 sofa tvmonitor
9 car horse person; 8 pottedplant sofa; 8 bicycle car person; 8 person sheep; 8 bicycle car; 7 chair dog
7 bottle tvmonitor; 7 chair diningtable tvmonitor; 7 chair person sofa; 7 cat dog; 7 chair diningtable pottedplant
6 dog sofa; 6 dog person sofa; 6 chair person pottedplant; 6 bottle chair person; 6 cat tvmonitor; 5 car sofa
5 chair dog person; 5 bottle chair diningtable; 5 chair pottedplant sofa; 5 bicycle bus person
5 chair diningtable person pottedplant; 5 car motorbike; 5 bicycle motorbike person; 5 bottle person tvmonitor
5 dog horse person; 5 cow horse person; 4 bottle chair diningtable person; 4 chair diningtable sofa; 4 boat car
4 aeroplane car; 4 pottedplant sofa tvmonitor; 4 diningtable person pottedplant; 4 bottle person pottedplant
4 pottedplant tvmonitor; 4 chair pottedplant tvmonitor
"""


@cache
def label_sets() -> dict[tuple[str, ...], int]:
    """Return each label set with the number of VOC2007 trainval photographs that show exactly it."""
    entries = _COUNTS.strip().replace("\n", ";").split(";")
    words = [entry.split() for entry in entries]
    return {tuple(labels): int(count) for count, *labels in words}


@cache
def set_probabilities() -> NDArray[np.float64]:
    """Return each label set's chance, in the order of ``label_sets``; they sum to 1.

    p_s is proportional to n_s^TEMPER / (min over labels c in s of N_c)^RARITY, with n_s the set's count and N_c the
    count of all sets that hold label c.
    """
    sets = label_sets()
    totals = {name: sum(count for labels, count in sets.items() if name in labels) for name in NAMES}
    weights = [count**TEMPER / min(totals[name] for name in labels) ** RARITY for labels, count in sets.items()]
    return np.array(weights) / sum(weights)


def draw_labels(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw the labels of one scene: one to four names in alphabetical order."""
    sets = list(label_sets())
    return sets[int(rng.choice(len(sets), p=set_probabilities()))]
