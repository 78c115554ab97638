"""Which ground goes with which labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tagweave.data.demo import country, rooms, shores, town
from tagweave.data.demo.brush import Canvas, Ground

Painter = Callable[[Canvas], Ground]

GROUNDS: dict[str, Painter] = {
    "open_sky": shores.open_sky,
    "runway": country.runway,
    "sea": shores.sea,
    "beach": shores.beach,
    "harbour": shores.harbour,
    "lake": shores.lake,
    "street": town.street,
    "country_road": country.country_road,
    "railway": country.railway,
    "station": town.station,
    "meadow": country.meadow,
    "farmyard": country.farmyard,
    "garden": town.garden,
    "foliage": country.foliage,
    "highland": country.highland,
    "paddock": country.paddock,
    "park": town.park,
    "mountain_road": country.mountain_road,
    "bus_stop": town.bus_stop,
    "balcony": town.balcony,
    "living_room": rooms.living_room,
    "dining_room": rooms.dining_room,
    "kitchen": rooms.kitchen,
    "study": rooms.study,
    "bedroom": rooms.bedroom,
}

SURPRISE = 0.15
_ELSEWHERE = 0.02  # weight of a ground that a label does not name

_PLACES = """
aeroplane: open_sky 6 runway 4
bicycle: park 7 street 1 country_road 1
bird: foliage 6 lake 2 open_sky 1
boat: sea 4 harbour 3 lake 3
bottle: kitchen 7 dining_room 2
bus: bus_stop 8 street 1
car: street 6 country_road 3 bus_stop 0.5
cat: bedroom 6 living_room 2 garden 1
chair: dining_room 3 living_room 2 study 3 kitchen 1 balcony 1
cow: farmyard 7 meadow 2
diningtable: dining_room 7 kitchen 2 balcony 1
dog: garden 7 living_room 1 beach 1 bedroom 0.5
horse: paddock 6 meadow 2 beach 0.5
motorbike: mountain_road 6 country_road 1 street 1
person: street 2 garden 1 beach 3 park 1 country_road 1 living_room 1 bedroom 1 dining_room 1 kitchen 1 study 1 \
station 1 balcony 1 lake 1 paddock 1 mountain_road 1 bus_stop 1 harbour 1
pottedplant: balcony 6 living_room 2 study 1 garden 1
sheep: highland 7 meadow 2
sofa: living_room 8 study 1
train: railway 6 station 4
tvmonitor: study 5 living_room 4
"""


def _places() -> dict[str, dict[str, float]]:
    """Return the weight of each ground that a label names."""
    table = {}
    for line in _PLACES.strip().splitlines():
        label, words = line.split(": ")
        parts = words.split()
        table[label] = dict(zip(parts[::2], map(float, parts[1::2]), strict=True))
    return table


PLACES = _places()


def choose_ground(rng: np.random.Generator, labels: tuple[str, ...]) -> Painter:
    """Draw the ground of a scene.

    A ground's chance is proportional to the product over labels of its weight with each; with the chance ``SURPRISE``
    every ground is equally likely instead.
    """
    names = list(GROUNDS)
    weights = np.ones(len(names))
    if rng.random() >= SURPRISE:
        for label in labels:
            weights *= [PLACES[label].get(name, _ELSEWHERE) for name in names]
    return GROUNDS[names[int(rng.choice(len(names), p=weights / weights.sum()))]]
