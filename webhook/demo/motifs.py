"""The motifs of the demo's posters, and which of them a title gets."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageDraw

from webhook.demo.drawing import Scene

Motif = Callable[[Scene], None]


def draw_hills(scene: Scene) -> None:
    scene.light(0.34)
    for top, colour in scene.layers(0.52, 0.64, 0.78):
        scene.ridge(top, colour)


def draw_mountains(scene: Scene) -> None:
    scene.stars(35)
    scene.light(0.22, 7)
    for top, colour in scene.layers(0.42, 0.56, 0.74):
        line, x = [(0.0, top * scene.height)], 0.0
        while x < scene.width:
            x += scene.place(9, 20) * scene.unit
            line.append((x, (top + scene.place(-0.11, 0.02)) * scene.height))
            x += scene.place(7, 16) * scene.unit
            line.append((x, (top + scene.place(0.03, 0.09)) * scene.height))
        scene.pen.polygon([(0, scene.height), *line, (scene.width, scene.height)], fill=colour)


def draw_sea(scene: Scene) -> None:
    x, _ = scene.light(0.4, 13)
    horizon = 0.52 * scene.height
    scene.pen.rectangle((0, horizon, scene.width, scene.height), fill=scene.palette.far)
    for row in range(9):
        y, half = horizon + (1.2 + row * 1.9) * scene.unit, scene.place(3, 12 - row) * scene.unit
        scene.pen.rounded_rectangle((x - half, y, x + half, y + 0.7 * scene.unit), 4, scene.palette.light)
    for top, colour in scene.layers(0.66, 0.76, 0.87)[1:]:
        scene.ridge(top, colour, 0.35)
    draw_boat(scene, scene.place(0.25, 0.7) * scene.width, 0.6 * scene.height)


def draw_boat(scene: Scene, x: float, y: float) -> None:
    u = scene.unit
    scene.pen.polygon(
        [(x - 7 * u, y), (x + 7 * u, y), (x + 5 * u, y + 2.6 * u), (x - 5 * u, y + 2.6 * u)],
        scene.palette.near,
    )
    scene.pen.polygon([(x, y - 13 * u), (x, y - 0.8 * u), (x + 6 * u, y - 0.8 * u)], scene.palette.ink)
    scene.pen.polygon(
        [(x - 0.8 * u, y - 10 * u), (x - 0.8 * u, y - 0.8 * u), (x - 5 * u, y - 0.8 * u)], scene.palette.light
    )


def draw_lighthouse(scene: Scene) -> None:
    scene.stars(40)
    u, x, top = scene.unit, scene.place(0.3, 0.7) * scene.width, 0.3 * scene.height
    beam = Image.new("L", scene.image.size)
    side = -1 if x > scene.width / 2 else 1
    far = x + side * scene.width
    ImageDraw.Draw(beam).polygon([(x, top), (far, top - 24 * u), (far, top + 12 * u)], fill=70)
    scene.image.paste(scene.palette.light, mask=beam)
    scene.ridge(0.62, scene.palette.far, 0.5)
    base = 0.74 * scene.height
    scene.pen.polygon(
        [(x - 3 * u, top + 3 * u), (x + 3 * u, top + 3 * u), (x + 5.5 * u, base), (x - 5.5 * u, base)],
        scene.palette.ink,
    )
    for band in (0.38, 0.52, 0.66):
        y = band * scene.height
        scene.pen.rectangle((x - 4.4 * u, y, x + 4.4 * u, y + 4 * u), fill=scene.palette.middle)
    scene.pen.rectangle((x - 2.2 * u, top - 3 * u, x + 2.2 * u, top + 3 * u), fill=scene.palette.light)
    scene.pen.polygon(
        [(x - 3.4 * u, top - 3 * u), (x + 3.4 * u, top - 3 * u), (x, top - 8 * u)], scene.palette.near
    )
    for place, colour in scene.layers(0.7, 0.72, 0.84)[1:]:
        scene.ridge(place, colour, 0.6)


def draw_city(scene: Scene) -> None:
    scene.stars(20)
    scene.light(0.24, 8)
    for top, colour in scene.layers(0.46, 0.56, 0.7):
        x = 0.0
        while x < scene.width:
            wide, y = scene.place(7, 16) * scene.unit, (top + scene.place(-0.09, 0.08)) * scene.height
            scene.pen.rectangle((x, y, x + wide, scene.height), fill=colour)
            if colour != scene.palette.far:
                light_windows(scene, x, y, wide)
            x += wide + scene.place(0, 2) * scene.unit


def light_windows(scene: Scene, left: float, top: float, wide: float) -> None:
    u = scene.unit
    for column in range(int(wide / (3.4 * u))):
        for row in range(9):
            if scene.dice.random() < 0.3:
                x, y = left + (1.3 + column * 3.4) * u, top + (2.5 + row * 4.4) * u
                scene.pen.rectangle((x, y, x + 1.5 * u, y + 2.1 * u), fill=scene.palette.light)


def draw_forest(scene: Scene) -> None:
    scene.light(0.3, 10)
    for (top, colour), tall in zip(scene.layers(0.5, 0.6, 0.74), (9, 14, 22), strict=True):
        scene.ridge(top + 0.04, colour, 0.5)
        x = -4 * scene.unit
        while x < scene.width:
            high, y = (
                scene.place(0.7, 1.2) * tall * scene.unit,
                (top + scene.place(0.03, 0.08)) * scene.height,
            )
            for part in (0.0, 0.28, 0.56):
                half, tip = high * (0.14 + part * 0.28), y - high + part * high
                scene.pen.polygon(
                    [(x, tip), (x - half, tip + high * 0.46), (x + half, tip + high * 0.46)], colour
                )
            x += scene.place(0.35, 0.7) * tall * scene.unit


def draw_planets(scene: Scene) -> None:
    scene.stars(120)
    u, x, y = scene.unit, scene.place(0.35, 0.65) * scene.width, 0.36 * scene.height
    radius = scene.place(17, 23) * u
    scene.disc(x, y, radius, scene.palette.horizon)
    shadow = Image.new("L", scene.image.size)
    pen = ImageDraw.Draw(shadow)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=150)
    pen.ellipse((x - radius * 1.5, y - radius * 1.25, x + radius * 0.7, y + radius * 0.95), fill=0)
    scene.image.paste(scene.palette.sky, mask=shadow)
    scene.pen.arc(
        (x - radius * 1.8, y - radius * 0.34, x + radius * 1.8, y + radius * 0.34),
        -12,
        192,
        scene.palette.light,
        int(1.3 * u),
    )
    scene.disc(x + side_of(scene) * radius * 1.35, y - radius * 1.1, 4 * u, scene.palette.far)
    for top, colour in scene.layers(0.72, 0.78, 0.86)[1:]:
        scene.ridge(top, colour, 0.7)


def side_of(scene: Scene) -> int:
    return 1 if scene.dice.random() < 0.5 else -1


def draw_dunes(scene: Scene) -> None:
    scene.light(0.28, 15)
    for top, colour in scene.layers(0.5, 0.62, 0.76):
        bend = scene.place(-0.1, 0.1)
        curve = [
            (
                x * scene.width / 30,
                (top + bend * math.sin(x / 30 * math.pi) - 0.05 * math.cos(x / 30 * 5 + bend * 40))
                * scene.height,
            )
            for x in range(31)
        ]
        scene.pen.polygon([(0, scene.height), *curve, (scene.width, scene.height)], fill=colour)


def draw_house(scene: Scene) -> None:
    scene.stars(30)
    scene.light(0.22, 7)
    scene.ridge(0.56, scene.palette.far)
    u, x, y = scene.unit, scene.place(0.36, 0.64) * scene.width, 0.7 * scene.height
    scene.ridge(0.66, scene.palette.middle, 0.5)
    scene.pen.rectangle((x - 13 * u, y - 15 * u, x + 13 * u, y + 9 * u), fill=scene.palette.near)
    scene.pen.polygon(
        [
            (x - 17 * u, y - 14 * u),
            (x + 17 * u, y - 14 * u),
            (x + 2 * u, y - 31 * u),
            (x - 2 * u, y - 31 * u),
        ],
        scene.palette.near,
    )
    scene.pen.rectangle((x + 6 * u, y - 33 * u, x + 10 * u, y - 20 * u), fill=scene.palette.near)
    for column, row in ((-7, -10), (3, -10), (-7, 0)):
        left, top = x + column * u, y + row * u
        scene.pen.rectangle((left, top, left + 4.4 * u, top + 5.6 * u), fill=scene.palette.light)
    scene.ridge(0.79, scene.palette.near, 0.4)


def draw_clouds(scene: Scene) -> None:
    """A friendly sky for children: a sun, round clouds and round hills."""
    scene.light(0.26, 14)
    for _ in range(5):
        x, y, size = (
            scene.place(0, 1) * scene.width,
            scene.place(0.1, 0.5) * scene.height,
            scene.place(4, 8) * scene.unit,
        )
        for shift, share in ((-1.3, 0.7), (0, 1), (1.3, 0.75), (2.3, 0.5)):
            scene.disc(x + shift * size, y + (1 - share) * size, size * share, scene.palette.ink)
    for top, colour in scene.layers(0.6, 0.7, 0.8):
        middle, radius = scene.place(0.1, 0.9) * scene.width, scene.place(0.7, 1.1) * scene.width
        scene.disc(middle, top * scene.height + radius, radius, colour)
        scene.ridge(top + 0.07, colour, 0.8)


# --- things


def draw_arcs(scene: Scene) -> None:
    """Half rings that rise from the ground, one in the other."""
    p, x, y = scene.palette, scene.place(0.3, 0.7) * scene.width, 0.7 * scene.height
    for share, colour in ((0.62, p.far), (0.5, p.light), (0.38, p.middle), (0.26, p.horizon), (0.15, p.near)):
        scene.disc(x, y, share * scene.width * 0.9, colour)
    scene.pen.rectangle((0, y, scene.width, scene.height), p.near)


def draw_contours(scene: Scene) -> None:
    """The lines of a map around a summit."""
    p = scene.palette
    scene.pen.rectangle((0, 0, scene.width, scene.height), p.middle)
    x, y = scene.place(0.35, 0.65) * scene.width, scene.place(0.3, 0.42) * scene.height
    shifts = [scene.place(0, 6.3) for _ in range(3)]
    for ring in range(13, 0, -1):
        line = []
        for step in range(90):
            angle = step / 90 * 2 * math.pi
            swing = sum(
                math.sin(angle * (turn + 2) + shift + ring * 0.12) for turn, shift in enumerate(shifts)
            )
            reach = ring * 6.5 * scene.unit * (1 + 0.09 * swing)
            line.append((x + math.cos(angle) * reach, y + math.sin(angle) * reach * 1.25))
        scene.pen.polygon(line, p.far if ring % 4 else p.middle, p.ink, int(0.5 * scene.unit))
    scene.disc(x, y, 1.8 * scene.unit, p.light)


def draw_window(scene: Scene) -> None:
    """A landscape behind a window."""
    p, wide, high = scene.palette, scene.width / scene.unit, scene.height / scene.unit
    scene.light(0.28, 9)
    for top, colour in scene.layers(0.4, 0.47, 0.56)[:2]:
        scene.ridge(top, colour)
    left, right, top, bottom = wide * 0.16, wide * 0.84, high * 0.09, high * 0.6
    for box in ((0, 0, wide, top), (0, bottom, wide, high), (0, 0, left, high), (right, 0, wide, high)):
        scene.rectangle(p.near, *box)
    middle = (left + right) / 2
    scene.rectangle(p.near, middle - 1, top, middle + 1, bottom)
    scene.rectangle(p.near, left, (top + bottom) / 2 - 1, right, (top + bottom) / 2 + 1)
    scene.rectangle(p.light, left - 5, bottom, right + 5, bottom + 3)


def draw_umbrella(scene: Scene) -> None:
    p, u = scene.palette, scene.unit
    for _ in range(90):
        x, y = scene.place(0, 1) * scene.width, scene.place(0, 0.9) * scene.height
        scene.pen.line((x, y, x - 1.4 * u, y + 6 * u), p.far, int(0.5 * u))
    scene.ridge(0.78, p.middle, 0.4)
    x, y, radius = scene.width / 2, 0.44 * scene.height, 33 * u
    scene.pen.rectangle((x - 0.9 * u, y, x + 0.9 * u, y + 40 * u), p.near)
    scene.pen.pieslice((x - radius, y - radius, x + radius, y + radius), 180, 360, p.light)
    scene.pen.pieslice((x - radius * 0.55, y - radius, x + radius * 0.55, y + radius), 180, 360, p.near)
    scene.pen.pieslice((x - radius * 0.18, y - radius, x + radius * 0.18, y + radius), 180, 360, p.light)
    scene.pen.arc((x - 9 * u, y + 35 * u, x + 0.9 * u, y + 45 * u), 0, 180, p.near, int(1.8 * u))


def draw_railway(scene: Scene) -> None:
    p, u = scene.palette, scene.unit
    scene.light(0.3, 12)
    for top, colour in scene.layers(0.44, 0.5, 0.56):
        scene.ridge(top, colour, 0.5)
    x, y, foot = scene.width / 2, 0.53 * scene.height, scene.width * 0.4
    depth = scene.height - y
    for sleeper in range(1, 16):
        share = (sleeper / 15) ** 2
        half, row = foot * share * 1.25, y + depth * share
        scene.pen.rectangle((x - half, row, x + half, row + 3 * u * share), p.far)
    for side in (-1, 1):
        scene.pen.polygon(
            [(x, y), (x + side * foot, scene.height), (x + side * (foot - 3 * u), scene.height)], p.light
        )


def draw_fruit(scene: Scene) -> None:
    """A still life of one fruit and its shadow."""
    p, u = scene.palette, scene.unit
    ground, x = 0.6 * scene.height, scene.place(0.42, 0.58) * scene.width
    scene.pen.rectangle((0, ground, scene.width, scene.height), p.middle)
    radius = scene.place(21, 26) * u
    y = ground - radius * 0.72
    scene.pen.ellipse((x - radius * 0.9, ground - u, x + radius * 1.9, ground + 11 * u), p.near)
    for side in (-1, 1):
        scene.disc(x + side * radius * 0.28, y, radius * 0.86, p.light)
    scene.pen.polygon(
        [(x - u, y - radius * 0.7), (x + u, y - radius * 0.7), (x + 3 * u, y - radius * 1.25)], p.near
    )
    scene.pen.pieslice((x + 2 * u, y - radius * 1.5, x + 20 * u, y - radius * 0.8), 150, 330, p.far)


def draw_stairs(scene: Scene) -> None:
    """Steps that climb towards the light."""
    p, wide, high = scene.palette, scene.width / scene.unit, scene.height / scene.unit
    scene.disc(scene.width * 0.74, scene.height * 0.2, 11 * scene.unit, p.light)
    for shift, colour in ((-34, p.far), (-14, p.middle), (8, p.near)):
        for step in range(14):
            left, top = step * wide / 12 - 8, high * 0.86 + shift - step * high / 22
            scene.rectangle(colour, left, top, left + wide, high)


def draw_keys(scene: Scene) -> None:
    """The keys of a piano under the moon."""
    p, u, count = scene.palette, scene.unit, 8
    scene.stars(50)
    scene.light(0.25, 14)
    wide, top = scene.width / count, 0.5 * scene.height
    scene.pen.rectangle((0, top - 2.5 * u, scene.width, scene.height), p.near)
    for key in range(count):
        scene.pen.rectangle((key * wide + 0.5 * u, top, (key + 1) * wide - 0.5 * u, scene.height), p.ink)
    for key in (1, 2, 4, 5, 6):
        scene.pen.rectangle(
            (key * wide - 0.3 * wide, top, key * wide + 0.3 * wide, 0.72 * scene.height), p.near
        )


# --- which one


MOTIFS: Sequence[Motif] = (
    draw_hills, draw_mountains, draw_city, draw_forest, draw_dunes, draw_house, draw_sea, draw_arcs, draw_arcs,
    draw_contours, draw_window, draw_railway, draw_fruit, draw_stairs, draw_keys, draw_umbrella,
)  # fmt: skip
WORDS: Mapping[Motif, str] = {
    draw_lighthouse: "lighthouse signal",
    draw_planets: "planet telescope orbital astronomer moon",
    draw_umbrella: "umbrella rain 雨 المطر",
    draw_sea: "harbour sea ferry tide salt dock lake 海 البحر",
    draw_contours: "cartographer maps map vermesserin field country",
    draw_railway: "tram bus express platform kilometre linie runway 列车",
    draw_fruit: "apple pear fruit lemon marigold pepper plum breakfast crumb",
    draw_stairs: "ladders staircase heights lifts",
    draw_keys: "piano orchestra harmonica accordion song reel",
    draw_window: "room window tenant projectionist library letters",
    draw_city: "street lane department motel",
    draw_mountains: "winter snow glacier skodde 겨울",
    draw_forest: "pines understory north geese valley",
    draw_house: "house haus parish cabin cathedral",
    draw_dunes: "saffron red",
}


def motif_of(title: str, dice: random.Random) -> Motif:
    folded = title.casefold()
    spoken = (draw for draw, words in WORDS.items() if any(word in folded for word in words.split()))
    return next(spoken, dice.choice(MOTIFS))
