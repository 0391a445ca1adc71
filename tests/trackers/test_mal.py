"""Signing in to MyAnimeList: the link, what the person pastes, and the renewal of what it brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes._server import Server
from tests.trackers._anna import anna_at
from webhook.trackers import SignInFailed


def link_of(tracker: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(tracker.token_page).query))


def test_the_address_that_she_is_sent_to_signs_her_in_once(loopbacks: Mapping[str, Server]) -> None:
    anna = anna_at("mal", loopbacks)

    async def sign_in(tracker: Any) -> Any:
        pasted = anna.fake.agree("anna", link_of(tracker))
        tokens = await tracker.accept_token(pasted)
        with pytest.raises(SignInFailed, match="Open the link again"):
            await tracker.accept_token(pasted)
        return tokens, await tracker.refresh(tokens)

    tokens, renewed = anna.run(sign_in)

    assert anna.fake.access[renewed["access_token"]] == "anna"
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert anna.fake.renewals == 1


def test_the_address_of_another_service_is_refused(loopbacks: Mapping[str, Server]) -> None:
    """A link of theirs, so that her plays would go to their account."""
    anna = anna_at("mal", loopbacks)
    theirs = {**anna.run(lambda tracker: as_result(link_of(tracker)))}

    async def accept(tracker: Any) -> Any:
        with pytest.raises(SignInFailed, match="Open the link again"):
            await tracker.accept_token(anna.fake.agree("ben", theirs))

    anna.run(accept)


async def as_result(value: Any) -> Any:
    return value
