"""A scene of the demo: its labels, its ground, its cast, and the eye of the camera."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from tagweave.data.demo.brush import LAMPLIGHT, LIGHT_CHANCES, LIGHTS, Canvas
from tagweave.data.demo.catalogue import FIGURES, INDOOR_CLUTTER, OUTDOOR_CLUTTER, TOGETHER, Figure
from tagweave.data.demo.cooccurrence import draw_labels
from tagweave.data.demo.scenery import rain
from tagweave.data.demo.staging import arrange, set_sprite
from tagweave.data.demo.surroundings import choose_ground

SHORTEST, LONGEST = 192, 224
_COUNTS = (0.66, 0.23, 0.11)  # chances that a label is there once, twice, three times
_OVERSAMPLING = 2  # drawn larger and reduced, so that edges are smooth


def scene_labels(seed: int, index: int) -> tuple[str, ...]:
    """Return the labels of a scene without drawing it."""
    return draw_labels(np.random.default_rng([seed, index]))


def draw_scene(seed: int, index: int) -> Image.Image:
    """Draw scene number ``index``; what it shows depends on ``seed`` and ``index`` alone.

    Returns:
        An RGB picture with sides from 192 to 224 pixels, three of four in landscape format.
    """
    rng = np.random.default_rng([seed, index])
    labels = draw_labels(rng)
    paint = choose_ground(rng, labels)
    light = LIGHTS[int(rng.choice(len(LIGHTS), p=LIGHT_CHANCES))]
    canvas = Canvas(Image.new("RGB", _size(rng)), rng, light)
    ground = paint(canvas)
    cast = choose_cast(rng, labels)
    clutter = INDOOR_CLUTTER if ground.indoors else OUTDOOR_CLUTTER
    # Clutter carries no label: what is there is not always what is asked for.
    extras = [("", clutter[int(rng.integers(len(clutter)))]) for _ in range(int(rng.choice(3, p=(0.55, 0.33, 0.12))))]
    # Few things are shown large and many small, as photographers do.
    zoom = rng.uniform(0.9, 1.15) * {1: 1.14, 2: 1.02, 3: 0.92}.get(len(cast), 0.82)
    for sprite in arrange(canvas, ground, cast + extras, zoom):
        set_sprite(canvas, sprite)
    if not ground.indoors and light.cloudiness == 1.0 and canvas.chance(0.3):
        rain(canvas)
    tint = canvas.pick(LAMPLIGHT) if ground.indoors else light.tint
    return photograph(rng, canvas.image.reduce(_OVERSAMPLING), tint)


def _size(rng: np.random.Generator) -> tuple[int, int]:
    long, short = int(rng.integers(212, LONGEST + 1)), int(rng.integers(SHORTEST, 209))
    width, height = (long, short) if rng.random() < 0.75 else (short, long)
    return width * _OVERSAMPLING, height * _OVERSAMPLING


def choose_cast(rng: np.random.Generator, labels: tuple[str, ...]) -> list[tuple[str, Figure]]:
    """Draw the figures of a scene with what they show: a label, one to three times, or two labels in one figure."""
    cast: list[tuple[str, Figure]] = []
    rest = list(labels)
    for pair, figure in TOGETHER.items():
        if set(pair) <= set(rest) and rng.random() < 0.5:
            cast.append((" ".join(pair), figure))
            rest = [label for label in rest if label not in pair]
    for label in rest:
        figures = FIGURES[label]
        for _ in range(1 + int(rng.choice(3, p=_COUNTS))):
            cast.append((label, figures[int(rng.integers(len(figures)))]))
    return cast


def photograph(rng: np.random.Generator, picture: Image.Image, tint: tuple[float, float, float]) -> Image.Image:
    """Give a picture the light of the day, and at times a colour cast, a blur or noise, as cameras do."""
    if rng.random() < 0.1:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 0.8))))
    gain = np.array(tint) * rng.uniform(0.92, 1.06)
    if rng.random() < 0.3:
        gain = gain * rng.uniform(0.93, 1.07, 3)
    pixels = np.asarray(picture, dtype=np.float32) * gain.astype(np.float32)
    if rng.random() < 0.25:
        pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1.5, 5))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
