"""Drawn faces with known expressions, so that everything runs with no data at all.

An expression is a set of facial action units (FACS, Ekman & Friesen 1978), with the combinations
of EMFACS for each emotion; person, pose, light and strength vary from face to face. Numbers
measured on these faces say nothing about real ones: the source is marked not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fer_bench.data.cache import pixel_hashes
from fer_bench.data.dataset import SourceData
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError, suggest

#: Faces are drawn this many times larger and averaged down, which smooths their edges.
OVERSAMPLING = 4
Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Strength of each action unit, about 0 to 1; in parentheses its FACS number."""

    inner_brow_up: float = 0.0  # (1)
    outer_brow_up: float = 0.0  # (2)
    brow_down: float = 0.0  # (4), also draws the brows together
    eyes_wide: float = 0.0  # (5)
    cheeks_up: float = 0.0  # (6)
    eyes_narrow: float = 0.0  # (7)
    nose_wrinkled: float = 0.0  # (9)
    upper_lip_up: float = 0.0  # (10)
    corners_up: float = 0.0  # (12)
    corners_down: float = 0.0  # (15)
    mouth_stretched: float = 0.0  # (20)
    lips_tight: float = 0.0  # (23)
    mouth_open: float = 0.0  # (25 to 27)


EXPRESSIONS: dict[str, Expression] = {
    "angry": Expression(brow_down=1, eyes_narrow=0.5, lips_tight=1, corners_down=0.25),
    "disgust": Expression(
        brow_down=0.3, eyes_narrow=0.8, nose_wrinkled=1, upper_lip_up=1, corners_down=0.5
    ),
    "fear": Expression(
        inner_brow_up=1,
        outer_brow_up=0.25,
        brow_down=0.3,
        eyes_wide=1,
        mouth_stretched=1,
        mouth_open=0.45,
    ),
    "happy": Expression(corners_up=1, cheeks_up=1, eyes_narrow=0.35),
    "sad": Expression(inner_brow_up=0.9, brow_down=0.15, eyes_narrow=0.45, corners_down=1),
    "surprise": Expression(inner_brow_up=0.9, outer_brow_up=1, eyes_wide=0.9, mouth_open=1),
    "neutral": Expression(),
}


def read_synthetic(*, n_per_class: int = 40, size: int = 48, seed: int = 0) -> SourceData:
    """Draws `n_per_class` faces of each of FER2013's 7 emotions; the same bytes for a seed.

    Images are uint8 `(N, size, size)` gray. Of each class 80 / 10 / 10 % (at least one) are
    `Training` / `PublicTest` / `PrivateTest`.

    Raises:
        FerBenchError: fewer than 3 faces per class, or a size below 16 pixels.
    """
    if n_per_class < 3 or size < 16:
        raise FerBenchError(
            f"expected at least 3 faces per class of 16 or more pixels, got {n_per_class} of "
            f"{size}: ask for more"
        )
    held_out = max(1, round(n_per_class / 10))
    part_of_one = np.repeat(
        ["Training", "PublicTest", "PrivateTest"],
        [n_per_class - 2 * held_out, held_out, held_out],
    )
    images = np.stack(
        [
            draw_face(emotion, size=size, rng=np.random.default_rng([seed, label, i]))
            for label, emotion in enumerate(FER2013)
            for i in range(n_per_class)
        ]
    )
    return SourceData(
        name="synthetic",
        source=f"synthetic:{seed}",  # what `load_dataset` takes to draw the same again
        images=images,
        labels=np.repeat(np.arange(len(FER2013)), n_per_class),
        ids=np.array([f"synthetic/{e}/{i:05}" for e in FER2013 for i in range(n_per_class)]),
        parts=np.tile(part_of_one, len(FER2013)),
        hashes=pixel_hashes(images),
        emotions=FER2013,
        comparable=False,
    )


def draw_face(emotion: str, *, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One gray face showing a FER2013 emotion, uint8 `(size, size)`; all chance is from `rng`.

    Raises:
        FerBenchError: no drawn emotion of that name.
    """
    if emotion not in EXPRESSIONS:
        raise FerBenchError(f"cannot draw {emotion!r}: {suggest(emotion, EXPRESSIONS)}")
    expression = _vary(EXPRESSIONS[emotion], rng)
    person = Person.draw(rng)
    side = size * OVERSAMPLING
    canvas = Image.new("L", (side, side), int(rng.integers(20, 225)))
    pen = Pen(canvas, rng)
    _draw_head(pen, person)
    _draw_eyes(pen, person, expression)
    _draw_brows(pen, person, expression)
    _draw_nose(pen, person, expression)
    _draw_mouth(pen, person, expression, teeth=bool(rng.random() < 0.6))
    return _expose(np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float64), rng)


def _vary(expression: Expression, rng: np.random.Generator) -> Expression:
    """The expression at a random strength, with some play in every unit."""
    strength = rng.uniform(0.55, 1.1)
    return Expression(
        **{
            unit.name: max(0.0, getattr(expression, unit.name) * strength * rng.uniform(0.75, 1.25))
            + abs(rng.normal(0, 0.06))
            for unit in fields(expression)
        }
    )


@dataclass(frozen=True, kw_only=True)
class Person:
    """What differs between people; lengths in half head heights, shades 0 (black) to 255."""

    skin: int
    hair: int
    hair_style: int  # 0 bald, 1 short, 2 fringe, 3 long
    head_width: float
    eye_apart: float
    eye_size: float
    brow_weight: float
    nose_length: float
    mouth_width: float
    mouth_height: float  # its place on the face, downwards

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Person:
        """A person at random."""
        skin = int(rng.integers(110, 225))
        return cls(
            skin=skin,
            hair=skin - 45 if rng.random() < 0.3 else int(rng.integers(10, 70)),
            hair_style=int(rng.choice(4, p=[0.1, 0.3, 0.3, 0.3])),
            head_width=rng.uniform(0.72, 0.86),
            eye_apart=rng.uniform(0.32, 0.38),
            eye_size=rng.uniform(0.15, 0.19),
            brow_weight=rng.uniform(0.06, 0.1),
            nose_length=rng.uniform(0.26, 0.36),
            mouth_width=rng.uniform(0.28, 0.36),
            mouth_height=rng.uniform(0.5, 0.56),
        )

    def shade(self, share: float) -> int:
        """The skin's shade darkened to a share of itself."""
        return int(self.skin * share)


class Pen:
    """Draws in face coordinates: origin mid-face, x right, y down, half a head high = 1."""

    def __init__(self, canvas: Image.Image, rng: np.random.Generator) -> None:
        self._draw = ImageDraw.Draw(canvas)
        side = canvas.width
        self.unit = side * rng.uniform(0.41, 0.47)
        tilt = np.radians(rng.normal(0, 5))
        self._turn = self.unit * np.array(
            [[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]
        )
        self._centre = side * (0.5 + rng.uniform(-0.035, 0.035, 2)) + [0, side * 0.02]

    def _flat(self, points: Points) -> list[float]:
        flat: list[float] = (points @ self._turn + self._centre).ravel().tolist()
        return flat

    def fill(self, points: Points, shade: int) -> None:
        """A filled polygon through `(n, 2)` points."""
        self._draw.polygon(self._flat(points), fill=shade)

    def stroke(self, points: Points, shade: int, width: float) -> None:
        """A line of a width in face units through `(n, 2)` points."""
        pixels = max(1, round(width * self.unit))
        self._draw.line(self._flat(points), fill=shade, width=pixels, joint="curve")


def _ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    angle = np.linspace(0, 2 * np.pi, 33)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)


def _curve(*points: tuple[float, float]) -> Points:
    """A smooth curve through three points (the parabola in their parameter), or a straight line."""
    t = np.linspace(0, 1, 13)[:, None]
    knots = np.array(points, dtype=np.float64)
    if len(knots) == 2:
        return knots
    a, b, c = knots
    curve: Points = a * (1 - t) * (1 - 2 * t) + b * 4 * t * (1 - t) + c * t * (2 * t - 1)
    return curve


def _draw_head(pen: Pen, person: Person) -> None:
    width, hair = person.head_width, person.hair
    if person.hair_style == 3:
        pen.fill(_ellipse(0, 0.02, width + 0.17, 1.12), hair)
    pen.fill(np.array([(-0.3, 0.6), (0.3, 0.6), (0.42, 1.6), (-0.42, 1.6)]), person.shade(0.75))
    for side in (-1, 1):
        pen.fill(_ellipse(side * width, 0.0, 0.1, 0.17), person.shade(0.85))
    if person.hair_style:
        pen.fill(_ellipse(0, -0.24, width + 0.08, 0.86), hair)
    pen.fill(_ellipse(0, 0.02, width, 0.98), person.skin)
    if person.hair_style:
        line = -0.64 if person.hair_style == 2 else -0.74
        top = _ellipse(0, 0.0, width + 0.02, 1.0)
        edge = _curve((width, line + 0.12), (0.1, line - 0.12), (-width, line + 0.12))
        pen.fill(np.concatenate([top[top[:, 1] < line + 0.12], edge]), hair)


def _draw_eyes(pen: Pen, person: Person, expression: Expression) -> None:
    opening = 0.62 + 0.5 * expression.eyes_wide - 0.42 * expression.eyes_narrow
    height = person.eye_size * float(np.clip(opening, 0.14, 1.25))
    y = -0.16
    for side in (-1, 1):
        x = side * person.eye_apart
        pen.fill(_ellipse(x, y, person.eye_size, height), 245)
        iris = person.eye_size * 0.55
        pen.fill(_ellipse(x, y, iris, min(iris, height)), 25)
        droop = 0.06 * expression.inner_brow_up * expression.corners_down
        inner, outer = (x - side * person.eye_size, y), (x + side * person.eye_size, y + droop)
        pen.stroke(_curve(inner, (x, y - height), outer), person.shade(0.3), 0.045)
        bag = 0.3 + 0.7 * min(1.0, expression.cheeks_up)
        below = (x, y + height + 0.03 - 0.05 * expression.cheeks_up)
        pen.stroke(_curve(inner, below, outer), person.shade(1 - 0.4 * bag), 0.03)


def _draw_brows(pen: Pen, person: Person, expression: Expression) -> None:
    shade = min(person.hair, person.shade(0.5))
    lowered = expression.brow_down
    inner_y = -0.39 - 0.18 * expression.inner_brow_up + 0.2 * lowered
    outer_y = -0.38 - 0.16 * expression.outer_brow_up - 0.04 * lowered
    if expression.inner_brow_up > expression.outer_brow_up:
        outer_y += 0.1 * (expression.inner_brow_up - expression.outer_brow_up)
    middle_y = (inner_y + outer_y) / 2 - 0.05 - 0.06 * expression.outer_brow_up
    for side in (-1, 1):
        inner = side * (person.eye_apart - 0.2 - 0.07 * lowered)
        outer = side * (person.eye_apart + 0.22)
        points = _curve((inner, inner_y), ((inner + outer) / 2, middle_y), (outer, outer_y))
        pen.stroke(points, shade, person.brow_weight)
        if lowered > 0.5:
            furrow = _curve((side * 0.05, -0.42), (side * 0.04, -0.24))
            pen.stroke(furrow, person.shade(0.6), 0.03)


def _draw_nose(pen: Pen, person: Person, expression: Expression) -> None:
    lift = 0.07 * expression.nose_wrinkled
    tip = -0.08 + person.nose_length - lift
    shade = person.shade(0.62)
    width = 0.11 + 0.05 * expression.nose_wrinkled
    pen.stroke(_curve((-width, tip), (0, tip + 0.07), (width, tip)), shade, 0.04)
    pen.stroke(_curve((0.05, -0.1), (0.075, tip - 0.06)), person.shade(0.8), 0.035)
    if expression.nose_wrinkled > 0.35:
        for y in (-0.16, -0.06, 0.04):
            pen.stroke(_curve((-0.1, y), (0, y + 0.05), (0.1, y)), person.shade(0.5), 0.03)
    folds = max(expression.nose_wrinkled, expression.upper_lip_up, expression.cheeks_up)
    if folds > 0.35:
        for side in (-1, 1):
            start, end = (side * (width + 0.04), tip - 0.02), (side * 0.4, person.mouth_height)
            bend = (side * 0.3, tip + 0.06)
            pen.stroke(_curve(start, bend, end), person.shade(0.68), 0.03)


def _draw_mouth(pen: Pen, person: Person, expression: Expression, *, teeth: bool) -> None:
    """Two lip lines between the corners, what shows between them, and the lips themselves."""
    smile = expression.corners_up - expression.corners_down
    opening = expression.mouth_open
    roundness = max(0.0, opening - expression.mouth_stretched)
    width = person.mouth_width * (
        1
        + 0.35 * max(0.0, smile)
        + 0.35 * expression.mouth_stretched
        - 0.22 * expression.lips_tight
        - 0.4 * roundness
    )
    x = np.linspace(-1, 1, 25)
    # The line where closed lips meet: corners above the middle in a smile, below it when sad.
    line = person.mouth_height - 0.18 * smile * (x**2 - 0.4)
    bow = (1 - x**2) ** 0.5 * roundness + (1 - x**4) * (1 - min(1.0, roundness))
    raised = 0.13 * expression.upper_lip_up * (1 - x**4)
    gape = 0.18 * max(0.0, expression.corners_up - 0.45) * teeth * (1 - x**2)
    upper = line - raised - 0.13 * opening * bow
    lower = line + 0.21 * opening * bow + 1.6 * gape + 0.2 * raised
    thick = 0.07 * (1 - 0.7 * min(1.0, expression.lips_tight))
    lips = person.shade(0.55)
    across = width * x
    outline = _between(across, upper, lower)
    if float((lower - upper).max()) > 0.06:
        pen.fill(outline, 25)
        bite = np.minimum(lower, upper + 0.5 * (lower - upper) + 0.01)
        if (teeth and roundness < 0.3) or expression.upper_lip_up > 0.4:
            pen.fill(_between(across, upper, bite), 240)
        pen.stroke(np.concatenate([outline, outline[:1]]), lips, thick)
    else:
        pen.stroke(np.stack([across, line - raised], 1), person.shade(0.3), 0.045)
        pen.stroke(np.stack([across * 0.6, lower + 0.09], 1), lips, thick)
    if expression.lips_tight > 0.4:
        for side in (-1, 1):
            x_end = side * (width + 0.06)
            mark = _curve((x_end, person.mouth_height - 0.06), (x_end, person.mouth_height + 0.08))
            pen.stroke(mark, person.shade(0.65), 0.03)


def _between(x: Points, upper: Points, lower: Points) -> Points:
    """The outline `(2n, 2)` of what lies between two lines over the same `(n,)` places."""
    return np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])


def _expose(gray: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light from a side, contrast and grain."""
    size = len(gray)
    ramp = np.linspace(-1, 1, size)
    slope = rng.normal(0, 0.12, 2)
    light = rng.uniform(0.8, 1.1) * (1 + slope[0] * ramp[:, None] + slope[1] * ramp)
    noisy = gray * light + rng.normal(0, rng.uniform(2, 9), gray.shape)
    exposed: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return exposed
