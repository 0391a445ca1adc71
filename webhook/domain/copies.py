"""The copies of an item on a media server: which of what it lists is the item. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from webhook.domain.event import Action, Episode, Item
from webhook.domain.items import id_keys, numbered_keys, same_item
from webhook.domain.outcome import Unmatched

NUMBERS_DIFFER = (
    "this show has another episode under the same numbers on this server, so it may be counted in another order: "
    "choose the episode by hand"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """An item as a media server has it: its key there, and its show's. Two libraries may hold the same one."""

    item: Item
    item_key: str
    show_key: str | None = None
    library: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """A change that is about to be made to an item on a media server, which reports it like any other.

    `value` is a rating.
    """

    delivery_id: int
    item_key: str
    action: Action
    value: int | None = None


def copy_keys(item: Item) -> tuple[str, ...]:
    """The keys by which copies are found: ids, and numbers under a show's ids; no title is sure enough."""
    return tuple(dict.fromkeys((*id_keys(item), *numbered_keys(item))))


def choose_copies(item: Item, listed: Iterable[Copy]) -> list[Copy]:
    """The copies that are the item: by its own ids, else by its show's ids and numbers.

    Raises Unmatched where only the numbers agree and the ids do not.
    """
    near = [copy for copy in listed if not set(copy_keys(copy.item)).isdisjoint(copy_keys(item))]
    own = set(id_keys(item))
    sure = [copy for copy in near if not own.isdisjoint(id_keys(copy.item)) and same_item(copy.item, item)]
    if sure:
        return with_parts(sure, near, item)
    right = [copy for copy in near if is_aired(item) and is_aired(copy.item) and same_item(copy.item, item)]
    if near and not right:
        raise Unmatched(NUMBERS_DIFFER)
    return right


def with_parts(sure: list[Copy], near: list[Copy], item: Item) -> list[Copy]:
    """The sure ones, with copies in other libraries that bear no ids of their own and are not another item."""
    known = {copy.item_key for copy in sure}
    more = [
        copy
        for copy in near
        if copy.item_key not in known and not copy.item.ids and same_item(copy.item, item)
    ]
    return [*sure, *more]


def is_aired(item: Item) -> bool:
    """True where season and number are counted as they aired."""
    return not isinstance(item, Episode) or item.numbering == "aired"
