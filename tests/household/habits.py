"""The habits: what people do with a title, and with which titles it can be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.household.catalogue import Durations, Kind, Title, following, season_of
from tests.household.senders.mediabrowser import SHORTEST
from tests.household.story import DAY, Act, Device, Ending, Sitting, Stretch, Tick, Whole
from tests.household.truth import Diary


class Habit(StrEnum):
    WATCH = "watch"
    PAUSE = "pause in between"
    JUMP = "jump over a part"
    SKIP_CREDITS = "skip the credits"
    CLIENT_DIES = "client dies after the end"
    HALF = "half of it"
    NEARLY = "all but the last seventh"
    ABANDON = "a minute of it"
    CARRY_ON = "carry on"
    REWATCH = "watch again"
    HALF_AGAIN = "half of it again"
    PEEK = "look at the end again"
    BINGE = "several in a row"
    REPEAT = "on repeat"
    SKIP_SONG = "skip a song"
    TICK = "tick"
    TICK_WHOLE = "tick a season or a show"
    UNTICK = "untick"
    TOOL = "a tool's tick"


@dataclass(frozen=True)
class Scene:
    """All that a habit needs: who, what, where and when; `detail` (0-99) varies it."""

    diary: Diary
    at: int
    who: str
    title: Title
    device: Device
    detail: int

    def part(self, low: float, high: float) -> int:
        """A position between these parts of the item."""
        return int(self.title.runtime * (low + (high - low) * self.detail / 99))

    def play(self, *pieces: tuple[int, int, int], ending: Ending = Ending.STOP, after: int = 0) -> Sitting:
        stretches = tuple(Stretch(*piece) for piece in pieces)
        return Sitting(self.at + after, self.who, self.title, self.device, stretches, ending)


def watch(scene: Scene) -> Iterator[Act]:
    yield scene.play((0, scene.part(0.93, 1), 0))


def pause(scene: Scene) -> Iterator[Act]:
    rest = [40, 300, 2400, 5 * 3600][scene.detail % 4]
    middle = scene.part(0.2, 0.88)
    yield scene.play((0, middle, rest), (middle, scene.part(0.95, 1), 0))


def jump(scene: Scene) -> Iterator[Act]:
    away = scene.part(0.1, 0.6)
    over = int(scene.title.runtime * 0.1)
    yield scene.play(
        (0, away, 0), (away + over * (-1 if scene.detail % 3 == 0 else 1), scene.title.runtime, 0)
    )


def skip_credits(scene: Scene) -> Iterator[Act]:
    if scene.detail % 2:
        yield scene.play((0, scene.part(0.905, 0.94), 0))
    else:
        yield scene.play((0, scene.part(0.85, 0.89), 0), (scene.part(0.97, 0.98), scene.title.runtime, 0))


def client_dies(scene: Scene) -> Iterator[Act]:
    yield scene.play((0, scene.part(0.93, 1), 0), ending=Ending.NONE)


def half(scene: Scene) -> Iterator[Act]:
    middle = scene.part(0.3, 0.6)
    yield scene.play((0, middle, 0), ending=Ending.NONE if scene.detail % 10 == 0 else Ending.STOP)


def nearly(scene: Scene) -> Iterator[Act]:
    """Past Watchmark's mark and short of the server's own, with or without a rest before it is left."""
    yield scene.play((0, scene.part(0.83, 0.88), 5 if scene.detail % 2 else 0))


def abandon(scene: Scene) -> Iterator[Act]:
    yield scene.play((0, scene.part(0.01, 0.04) + 2, 0))


def carry_on(scene: Scene) -> Iterator[Act]:
    left = scene.diary.left_at(scene.who, scene.title) or 0
    yield scene.play((max(0, left - scene.detail % 9), scene.part(0.93, 1), 0))


def peek(scene: Scene) -> Iterator[Act]:
    end = scene.title.runtime
    start = scene.part(0.9, 0.97)
    match scene.detail % 3:
        case 0:
            yield scene.play((start, end, 0))
        case 1:
            yield scene.play((0, 3, 0), (start, end, 0))
        case _:
            yield scene.play((start, start + 5, 1800), (start + 5, end, 0))


def binge(scene: Scene) -> Iterator[Act]:
    """Several in a row: the player plays the next before it reports the end of this one."""
    title: Title | None = scene.title
    after = 0
    for _ in range(2 + scene.detail % 4):
        if title is None:
            return
        here = Scene(scene.diary, scene.at, scene.who, title, scene.device, scene.detail)
        yield here.play((0, title.runtime, 0), ending=Ending.LATE, after=after)
        after += title.runtime + 1
        title = following(title)


def repeat(scene: Scene) -> Iterator[Act]:
    times = 2 + scene.detail % 3
    for time in range(times):
        ending = Ending.NONE if time < times - 1 else Ending.STOP
        yield scene.play((0, scene.title.runtime, 0), ending=ending, after=time * (scene.title.runtime + 1))


def skip_song(scene: Scene) -> Iterator[Act]:
    yield scene.play((0, max(3, scene.part(0, 0.3)), 0))


def tick(scene: Scene) -> Iterator[Act]:
    yield Tick(scene.at, scene.who, scene.title, scene.device.server)


def tick_whole(scene: Scene) -> Iterator[Act]:
    """All episodes of a season of which nothing was watched, the first of them with the whole."""
    whole: Whole | None = Whole.SHOW if scene.detail % 2 else Whole.SEASON
    for title in season_of(scene.title):
        if tickable(scene.diary, scene.who, title, scene.device.server):
            yield Tick(scene.at, scene.who, title, scene.device.server, whole=whole)
            whole = None


def untick(scene: Scene) -> Iterator[Act]:
    yield Tick(scene.at, scene.who, scene.title, scene.device.server, watched=False)


def tool(scene: Scene) -> Iterator[Act]:
    seen = scene.at - (100 + scene.detail) * DAY
    yield Tick(scene.at, scene.who, scene.title, scene.device.server, seen=seen)


HABITS: Mapping[Habit, Callable[[Scene], Iterator[Act]]] = {
    Habit.WATCH: watch, Habit.PAUSE: pause, Habit.JUMP: jump, Habit.SKIP_CREDITS: skip_credits,
    Habit.CLIENT_DIES: client_dies, Habit.HALF: half, Habit.NEARLY: nearly, Habit.ABANDON: abandon,
    Habit.CARRY_ON: carry_on, Habit.REWATCH: watch, Habit.HALF_AGAIN: half, Habit.PEEK: peek,
    Habit.BINGE: binge, Habit.REPEAT: repeat, Habit.SKIP_SONG: skip_song, Habit.TICK: tick,
    Habit.TICK_WHOLE: tick_whole, Habit.UNTICK: untick, Habit.TOOL: tool,
}  # fmt: skip


# --- what a habit can be had with

Fits = Callable[[Diary, str, Title, str], bool]


def fresh(diary: Diary, who: str, title: Title, server: str) -> bool:
    return not diary.viewings[who, title]


def fresh_video(diary: Diary, who: str, title: Title, server: str) -> bool:
    return fresh(diary, who, title, server) and title.kind is not Kind.TRACK


def fresh_half(diary: Diary, who: str, title: Title, server: str) -> bool:
    return fresh_video(diary, who, title, server) and tells_halves(title, server)


def tells_halves(title: Title, server: str) -> bool:
    """Whether the server can say that something was left unfinished."""
    return server == "plex" or (title.runtime >= SHORTEST and title.durations is not Durations.NEVER)


def left(diary: Diary, who: str, title: Title, server: str) -> bool:
    return diary.left_at(who, title) is not None and title.kind is not Kind.TRACK


def seen(diary: Diary, who: str, title: Title, server: str) -> bool:
    return diary.counted(who, title) > 0 and not diary.is_half_way(who, title)


def seen_video(diary: Diary, who: str, title: Title, server: str) -> bool:
    return seen(diary, who, title, server) and title.kind is not Kind.TRACK


def seen_half(diary: Diary, who: str, title: Title, server: str) -> bool:
    return seen_video(diary, who, title, server) and tells_halves(title, server)


def song(diary: Diary, who: str, title: Title, server: str) -> bool:
    return title.kind is Kind.TRACK


def plex_track(diary: Diary, who: str, title: Title, server: str) -> bool:
    return title.kind is Kind.TRACK and server == "plex"


def tickable(diary: Diary, who: str, title: Title, server: str) -> bool:
    video = title.kind is not Kind.TRACK and server != "plex"
    return video and not diary.counted(who, title) and len(diary.viewings[who, title]) < 2


def tickable_whole(diary: Diary, who: str, title: Title, server: str) -> bool:
    return server == "jellyfin" and title.show is not None and tickable(diary, who, title, server)


def untickable(diary: Diary, who: str, title: Title, server: str) -> bool:
    video = title.kind is not Kind.TRACK and server != "plex"
    known = any(act.server == server for viewing in diary.viewings[who, title] for act in viewing.acts)
    return video and known and diary.counted(who, title) == 1 and not diary.is_half_way(who, title)


def told_by_tool(diary: Diary, who: str, title: Title, server: str) -> bool:
    return server == "jellyfin" and fresh_video(diary, who, title, server)


FITS: Mapping[Habit, Fits] = {
    Habit.WATCH: fresh, Habit.PAUSE: fresh_video, Habit.JUMP: fresh_video, Habit.SKIP_CREDITS: fresh_video,
    Habit.CLIENT_DIES: fresh_video, Habit.HALF: fresh_half, Habit.NEARLY: fresh_half, Habit.ABANDON: fresh_half,
    Habit.CARRY_ON: left, Habit.REWATCH: seen, Habit.HALF_AGAIN: seen_half, Habit.PEEK: seen_video,
    Habit.BINGE: fresh_video, Habit.REPEAT: plex_track, Habit.SKIP_SONG: song, Habit.TICK: tickable,
    Habit.TICK_WHOLE: tickable_whole, Habit.UNTICK: untickable,
    Habit.TOOL: told_by_tool,
}  # fmt: skip
