"""What each label looks like: several pictures per label, with their size and pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from tagweave.data.demo import furniture, people, vehicles
from tagweave.data.demo.easel import choose
from tagweave.data.demo.glyphs import Colour, painted_glyph

Art = Callable[[np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Figure:
    """Say how one kind of thing is drawn and placed.

    Attributes:
        art: draws it.
        size: its longer side as a share of the picture's longer side, when it is near.
        pose: ``stand`` on the ground, ``fly``, ``float`` where there is water, or ``peek`` in from the lower edge.
        tilt: the most it leans, in degrees.
    """

    art: Art
    size: float
    pose: str = "stand"
    tilt: float = 7.0


_COATS: dict[str, tuple[Colour, ...]] = {
    "horse": ((165, 121, 57), (124, 76, 44), (70, 58, 54), (206, 198, 188), (190, 134, 84)),
    "cow": ((165, 121, 57), (106, 74, 52), (72, 66, 66), (196, 130, 80)),
    "dog": ((244, 170, 65), (178, 122, 72), (118, 88, 68), (232, 214, 184), (92, 88, 92)),
    "cat": ((244, 170, 65), (150, 146, 146), (88, 84, 90), (234, 220, 194), (172, 120, 80)),
    "poodle": ((208, 207, 206), (240, 232, 220), (178, 140, 108), (110, 100, 100)),
    "sheep": ((255, 255, 255), (250, 240, 220), (222, 204, 180), (124, 108, 100)),
    "bird": ((165, 121, 57), (92, 92, 100), (90, 130, 178), (190, 96, 70), (120, 140, 80)),
}
_LIVERIES: tuple[Colour, ...] = (
    (206, 62, 54), (66, 134, 196), (240, 178, 60), (92, 158, 90), (236, 236, 232), (76, 80, 92), (232, 122, 60),
    (126, 196, 206), (150, 100, 160),
)  # fmt: skip

_ROWER = "🚣"
_DOG_WALKER = "\ue182"


def _paint(char: str, families: str, colours: tuple[Colour, ...], rng: np.random.Generator) -> Image.Image:
    """Draw a glyph, each of the ``families`` (words of the palette) in a colour drawn from ``colours``."""
    return painted_glyph(char, tuple((family, choose(rng, colours)) for family in families.split()))


def _afloat(char: str, cut: tuple[float, float, float], rng: np.random.Generator) -> Image.Image:
    """Draw a boat's glyph without the water that it brings along.

    ``cut`` holds the left, right and lower edges of what is kept, as shares of the glyph's size.
    """
    picture = _paint(char, "red brown grey dark", _LIVERIES, rng)
    left, right, lower = cut
    return _visible(
        picture.crop((round(left * picture.width), 0, round(right * picture.width), round(lower * picture.height)))
    )


def _visible(picture: Image.Image) -> Image.Image:
    return picture.crop(picture.getbbox())


def _rower(rng: np.random.Generator) -> Image.Image:
    picture = people.dressed(rng, _ROWER, 0.17, 1.0)
    return _visible(picture.crop((0, 0, picture.width, round(picture.height * 0.56))))


def _dog_walker(rng: np.random.Generator) -> Image.Image:
    """Draw somebody who walks a dog, without the white that fills the space beneath the lead."""
    pixels = np.array(people.dressed(rng, _DOG_WALKER, 0.2, 0.5))
    pixels[(pixels[..., :3] > 240).all(axis=-1), 3] = 0
    return Image.fromarray(pixels, "RGBA")


def _dressed(char: str, neck: float, waist: float, rng: np.random.Generator) -> Image.Image:
    return people.dressed(rng, char, neck, waist)


def _glyphs(
    chars: str,
    size: float,
    families: str = "",
    colours: tuple[Colour, ...] = (),
    pose: str = "stand",
    tilt: float = 7.0,
) -> tuple[Figure, ...]:
    """Return one figure per character."""
    return tuple(Figure(partial(_paint, char, families, colours), size, pose, tilt) for char in chars)


def _drawn(size: float, *arts: Art, pose: str = "stand", tilt: float = 2.0) -> tuple[Figure, ...]:
    """Return one figure per drawing."""
    return tuple(Figure(art, size, pose, tilt) for art in arts)


def _boats(*cuts: tuple[str, tuple[float, float, float]]) -> tuple[Figure, ...]:
    return tuple(Figure(partial(_afloat, char, cut), 0.45, "float", 5.0) for char, cut in cuts)


# A figure that is listed twice is drawn twice as often.
FIGURES: dict[str, tuple[Figure, ...]] = {
    "aeroplane": _glyphs("🛩", 0.5, "orange", _LIVERIES, "fly", 20)
    + _glyphs("🛫🛬✈", 0.55, "grey", ((208, 207, 206), (236, 238, 242), (190, 206, 222)), "fly", 14)
    + _drawn(0.58, vehicles.airliner, vehicles.propeller_plane, vehicles.airliner, pose="fly", tilt=12),
    "bicycle": _glyphs("🚲🚲", 0.42, "red", _LIVERIES) + _drawn(0.44, vehicles.city_bicycle),
    "bird": _glyphs("🐦", 0.3, "brown", _COATS["bird"])
    + _glyphs("🦆🦉🦜🦢🦩\U0001fabf🐓🐧🦚🦃🐥\ue010", 0.32, "brown", ((165, 121, 57), (130, 96, 60), (150, 140, 130)))
    + _glyphs("🦅🕊\ue009", 0.36, "grey", ((208, 207, 206), (246, 246, 246), (160, 170, 190)), "fly", 18),
    "boat": _boats(
        ("⛵", (0.15, 0.89, 0.69)),
        ("🚤", (0.02, 0.95, 0.4)),
        ("🛥", (0.14, 1.0, 0.38)),
        ("🛳", (0.1, 0.9, 0.63)),
        ("🛶", (0.0, 1.0, 0.58)),
    )
    + _drawn(0.46, vehicles.sailing_boat, vehicles.fishing_boat, vehicles.rowing_boat, pose="float", tilt=5),
    "bottle": _glyphs("\ue0cb\ue0cc", 0.34, "blue", furniture.GLASSES)
    + _glyphs("🍾🍼", 0.3, tilt=8)
    + _drawn(0.36, furniture.wine_bottle, furniture.wine_bottle, furniture.soda_bottle),
    "bus": _glyphs("🚌", 0.6, "red", _LIVERIES, tilt=3)
    + _glyphs("🚍", 0.5, "yellow", _LIVERIES, tilt=3)
    + _glyphs("🚎", 0.56, "blue", _LIVERIES, tilt=3),
    "car": _glyphs("🚗🚘🛻🏎🚗", 0.46, "red", _LIVERIES, tilt=3)
    + _glyphs("🚕🚖", 0.44, "yellow", _LIVERIES, tilt=3)
    + _glyphs("🚙", 0.44, "blue", _LIVERIES, tilt=3)
    + _glyphs("🚐🚓🚔", 0.46, "grey", _LIVERIES, tilt=3),
    "cat": _glyphs("🐈🐈🐈", 0.34, "orange", _COATS["cat"]) + _glyphs("🐱", 0.4, "orange", _COATS["cat"], "peek"),
    "chair": _glyphs("🪑", 0.36, "yellow", furniture.CLOTHS + furniture.WOODS, tilt=3)
    + _glyphs("\ue141", 0.38, "blue", furniture.CLOTHS, tilt=3)
    + _drawn(0.38, furniture.slat_chair, furniture.office_chair),
    "cow": _glyphs("🐄🐄🐂", 0.44, "brown", _COATS["cow"])
    + _glyphs("🐃", 0.44)
    + _glyphs("🐮", 0.4, "brown", _COATS["cow"], "peek"),
    "diningtable": _drawn(0.58, furniture.plain_table, furniture.laid_table, furniture.round_table),
    "dog": _glyphs("🐕🐕🐕", 0.36, "orange", _COATS["dog"])
    + _glyphs("🐩", 0.34, "grey", _COATS["poodle"])
    + _glyphs("🐶", 0.4, "orange", _COATS["dog"], "peek"),
    "horse": _glyphs("🐎🐎🐎", 0.5, "brown", _COATS["horse"]) + _glyphs("🐴", 0.46, "brown", _COATS["horse"], "peek"),
    "motorbike": _glyphs("🏍🏍🛵", 0.42, "red", _LIVERIES),
    "person": _drawn(0.52, people.standing, people.standing, people.standing, people.figure)
    + _drawn(0.48, people.bust, pose="peek"),
    "pottedplant": _glyphs("\U0001fab4", 0.34, "orange", furniture.POTS)
    + _drawn(0.38, furniture.cactus, furniture.leafy_plant, furniture.flower_pot),
    "sheep": _glyphs("🐑🐑🐏", 0.36, "white", _COATS["sheep"]),
    "sofa": _drawn(0.6, furniture.settee, furniture.long_sofa, furniture.corner_sofa)
    + _glyphs("🛋", 0.6, "blue", furniture.CLOTHS, tilt=2),
    "train": _glyphs("🚂🚃🚄🚅🚈🚊", 0.62, "red", _LIVERIES, tilt=1),
    "tvmonitor": _drawn(0.42, furniture.flat_screen, furniture.old_television) + _glyphs("📺🖥", 0.38, tilt=2),
}  # fmt: skip

# Two labels in one picture: somebody rides, rows or walks the dog.
TOGETHER: dict[tuple[str, str], Figure] = {
    ("bicycle", "person"): Figure(partial(_dressed, "🚴", 0.25, 0.55), 0.5),
    ("horse", "person"): Figure(partial(_dressed, "\ue184", 0.2, 0.36), 0.54),
    ("boat", "person"): Figure(_rower, 0.45, "float"),
    ("dog", "person"): Figure(_dog_walker, 0.5),
}

OUTDOOR_CLUTTER = _glyphs("⚽🏀🎈🪁☂🍄🚦📫🪣🧺🛴🦋🐿🪵🚧⛱🌂🏐🎾", 0.13)
INDOOR_CLUTTER = _glyphs("📚🎸🧸🍎🍌🎁🧶📦🏆🎺🪀🧹🥁🍉👟🪆🎒🧺🪣", 0.13)
