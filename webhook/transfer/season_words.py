"""The words by which services that give only titles name seasons and episodes, by language.

To add a language or a word, add it here; a person can add words of their own when a file is imported. A strong
word names nothing but a season. A weak one may as well begin an episode's title or end a film's (`Part Two`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class SeasonWords(NamedTuple):
    """The words of one language; those of `single` need no number, as the show has one season only."""

    strong: tuple[str, ...]
    weak: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    episode: tuple[str, ...] = ()


SEASON_WORDS: Mapping[str, SeasonWords] = {
    "en": SeasonWords(
        strong=("season", "series"),
        weak=("part", "volume", "vol.", "vol", "book", "chapter", "collection"),
        single=("limited series", "miniseries", "mini-series"),
        episode=("episode", "chapter", "part", "ep.", "ep"),
    ),
    "de": SeasonWords(
        strong=("staffel",), weak=("teil", "buch", "kapitel"), single=("miniserie",),
        episode=("folge", "kapitel", "teil"),
    ),
    "fr": SeasonWords(
        strong=("saison",), weak=("partie", "livre", "chapitre"), single=("mini-série", "minisérie"),
        episode=("épisode", "chapitre", "partie"),
    ),
    "es": SeasonWords(
        strong=("temporada",), weak=("parte", "libro", "capítulo", "volumen"), single=("miniserie", "serie limitada"),
        episode=("episodio", "capítulo", "parte"),
    ),
    "pt": SeasonWords(
        strong=("temporada",), weak=("parte", "livro", "capítulo"), single=("minissérie", "série limitada"),
        episode=("episódio", "capítulo", "parte"),
    ),
    "it": SeasonWords(
        strong=("stagione",), weak=("parte", "libro", "capitolo"), single=("miniserie",),
        episode=("episodio", "capitolo", "parte"),
    ),
    "nl": SeasonWords(
        strong=("seizoen",), weak=("deel", "boek"), single=("miniserie",),
        episode=("aflevering", "deel"),
    ),
    "pl": SeasonWords(
        strong=("sezon",), weak=("część", "księga"), single=("miniserial",),
        episode=("odcinek", "część"),
    ),
    "sv": SeasonWords(strong=("säsong",), weak=("del",), single=("miniserie",), episode=("avsnitt", "del")),
    "da": SeasonWords(strong=("sæson",), weak=("del",), single=("miniserie",), episode=("afsnit", "del")),
    "nb": SeasonWords(strong=("sesong",), weak=("del",), single=("miniserie",), episode=("episode", "del")),
    "fi": SeasonWords(strong=("kausi",), weak=("osa",), single=("minisarja",), episode=("jakso", "osa")),
    "cs": SeasonWords(strong=("série", "řada"), weak=("část",), single=("minisérie",), episode=("epizoda", "díl")),
    "tr": SeasonWords(strong=("sezon",), weak=("k\u0131s\u0131m",), single=("mini dizi",), episode=("bölüm",)),
    "ja": SeasonWords(strong=("シーズン", "シリーズ"), weak=("パート",), single=("リミテッドシリーズ",), episode=("エピソード",)),
    "ko": SeasonWords(strong=("시즌",), weak=("파트",), single=("리미티드 시리즈",), episode=("에피소드",)),
    "zh": SeasonWords(strong=("第 季", "季"), weak=("第 部分",), single=("限定剧", "限定劇"), episode=("第 集",)),
}  # fmt: skip
"""A blank in a word of Chinese stands where the number does."""

NUMBER_WORDS: Mapping[str, int] = {
    word: number
    for words in (
        "one two three four five six seven eight nine ten eleven twelve",
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "un deux trois quatre cinq six sept huit neuf dix onze douze",
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "um dois três quatro cinco seis sete oito nove dez onze doze",
        "uno due tre quattro cinque sei sette otto nove dieci undici dodici",
        "i ii iii iv v vi vii viii ix x xi xii",
        "一 二 三 四 五 六 七 八 九 十 十一 十二",
    )
    for number, word in enumerate(words.split(), start=1)
}

MAX_NUMBER = 999


class FoundSeason(NamedTuple):
    """A part of a title that names a season: its number, the language of the word, and whether it is a strong one."""

    number: int
    language: str | None
    strong: bool


def read_number(text: str) -> int | None:
    """A number in figures, in words from one to twelve, or in Roman figures; None for anything else."""
    bare = text.strip().rstrip(".").casefold()
    if bare.isascii() and bare.isdigit():
        return int(bare) if len(bare) < 4 and int(bare) <= MAX_NUMBER else None
    return NUMBER_WORDS.get(bare)


def number_after(part: str, words: Iterable[str]) -> int | None:
    """The number in a text that is one of the words and a number, in either order; None otherwise."""
    folded = part.strip().casefold()
    found = (read_number(rest) for word in words if (rest := beside_word(folded, word)) is not None)
    return next((number for number in found if number is not None), None)


def beside_word(folded: str, word: str) -> str | None:
    """What a text has beside the word, which is to be a number; None if the word is not there."""
    if word.startswith("第"):
        before, _, after = word.partition(" ")
        inside = folded.startswith(before) and folded.endswith(after)
        return folded[len(before) : len(folded) - len(after)] if inside else None
    if folded.startswith(word):
        rest = folded[len(word) :]
        return None if word.isascii() and word[-1].isalpha() and rest[:1].isalpha() else rest
    ordinal = folded.removesuffix(f" {word}")
    return ordinal if ordinal != folded and ordinal.endswith(".") else None  # “2. Staffel”


def read_season(part: str, own: Collection[str] = ()) -> FoundSeason | None:
    """The season that a part of a title names, by these words or by a person's own; None if it names none."""
    if (number := number_after(part, [word.casefold() for word in own])) is not None:
        return FoundSeason(number, None, True)
    folded = part.strip().casefold()
    for language, words in SEASON_WORDS.items():
        if (number := number_after(part, words.strong)) is not None:
            return FoundSeason(number, language, True)
        if folded in words.single:
            return FoundSeason(1, language, True)
    for language, words in SEASON_WORDS.items():
        if (number := number_after(part, words.weak)) is not None:
            return FoundSeason(number, language, False)
    return None


def read_episode_number(title: str) -> int | None:
    """The number in an episode's title that is nothing else, such as `Episode 4`; None for a real title."""
    every = (word for words in SEASON_WORDS.values() for word in words.episode)
    return number_after(title, every)
