"""The methods of the VideoScrobbler API, over a person's own history and library."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import not_

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from webhook import clock
from webhook.compat.videoscrobbler import apps, remote_ids, scrobbles, videos
from webhook.compat.videoscrobbler.apps import Person, User
from webhook.compat.videoscrobbler.endpoint import Call, Method, anonymous
from webhook.compat.videoscrobbler.remote_ids import Remote
from webhook.compat.videoscrobbler.responses import Fault
from webhook.compat.videoscrobbler.scrobbles import Scrobble
from webhook.compat.videoscrobbler.video_lookup import NoSuchVideo, VideoLookup
from webhook.compat.videoscrobbler.videos import NO_ID, Facts, Tops, Video, WantedVideo
from webhook.domain import values
from webhook.domain.event import Action, Event
from webhook.service import Service

INTERPRET_TIMEOUT = 3.0
"""Seconds that a response waits for the interpreter; the scrobble itself is stored before."""

MAX_POSITION = 7 * 24 * 3600  # seconds into a video; nothing is longer
FRIENDS_PER_PAGE = 100
MAX_ORIGIN = 100
MAX_VIDEOS = 200
LOVES = {"true": True, "1": True, "false": False, "0": False}
ALL = "all"


class Tokens:
    """Request tokens of apps: signed, so that none is stored until a person agrees."""

    def __init__(self, signing_key: str) -> None:
        self.signer = URLSafeTimedSerializer(signing_key, salt="watchmark videoscrobbler")

    def new(self, app_key: str) -> str:
        return str(self.signer.dumps({"a": app_key, "n": secrets.token_urlsafe(12)}))

    def check(self, token: str, app_key: str) -> None:
        """Raise Fault if the token is not this app's or is older than an hour."""
        try:
            asked = self.signer.loads(token, max_age=int(apps.TOKEN_LASTS.total_seconds()))
        except SignatureExpired as error:
            raise Fault(15, "ask for another with auth.getToken") from error
        except BadData as error:
            raise Fault(4, "this is no token of ours") from error
        if not isinstance(asked, dict) or asked.get("a") != app_key:
            raise Fault(4, "this token was given to another app")


class Methods:
    def __init__(self, service: Service, tokens: Tokens) -> None:
        self.service = service
        self.database = service.database
        self.tokens = tokens
        self.tops = Tops()
        self.lookup = VideoLookup(service.identity.lookups)

    def table(self) -> dict[str, Method]:
        return {
            "auth.getToken": self.get_token,
            "auth.getSession": self.get_session,
            "video.getInfo": self.get_video,
            "video.love": self.love,
            "video.scrobble": self.scrobble,
            "user.getInfo": self.get_user,
            "user.getLovedVideos": self.get_loved_videos,
            "user.getRecentVideos": self.get_recent,
            "user.getFriends": self.get_friends,
        }

    # --- auth

    async def get_token(self, call: Call) -> Mapping[str, object]:
        return {"token": self.tokens.new(call.app.key)}

    async def get_session(self, call: Call) -> Mapping[str, object]:
        token = call.params.get("token", "")
        if not token:
            return {"user": None, "sk": anonymous(self.service.seal.signing, call.app)}
        self.tokens.check(token, call.app.key)
        redeeming = apps.Redeeming(token, call.app.id, call.app.name, clock.now())
        try:
            redeemed = await self.database.write(redeem, redeeming)
        except apps.Spent as error:
            raise Fault(4, "this token has given its session already") from error
        if redeemed is None:
            raise Fault(14, "the person has to agree at /api/auth first")
        name, key = redeemed
        return {"user": name, "sk": key}

    # --- videos

    async def get_video(self, call: Call) -> Mapping[str, object]:
        video = await self.video(call)
        name = call.params.get("username", "")
        about = await self.database.read(lambda connection: visible(connection, call.person, name))
        (told,) = await self.to_json(call.person, [video], about)
        return told

    async def love(self, call: Call) -> Mapping[str, object]:
        whose, video = call.require_person(), await self.video(call)
        love = LOVES[call.choice("love", tuple(LOVES))]
        now = clock.now()
        if video.type == remote_ids.URL:
            await self.database.write(love_streams, (whose.id, video, love, now))
            return {"id": video.id, "love": love}
        action = Action.FAVOURITE if love else Action.UNFAVOURITE
        event = videos.video_event(video, action, now, user=whose.name, player=call.app.name)
        webhook_id = await self.database.write(submit_events, (event, whose.id, whose.token_id))
        if not await self.await_interpretation(call, webhook_id):
            return {"id": video.id, "love": love}
        is_loved = await self.database.read(lambda connection: videos.is_loved(connection, whose.id, video))
        return {"id": video.id, "love": is_loved}

    async def scrobble(self, call: Call) -> Mapping[str, object]:
        whose, video = call.require_person(), await self.video(call)
        position = values.decimal(call.text("position"))
        if position is None or not 0 <= position <= MAX_POSITION:
            raise Fault(6, f"position is a number of seconds from 0 to {MAX_POSITION}")
        state = call.choice("state", tuple(scrobbles.ACTIONS_BY_STATE))
        origin = values.text(call.params.get("origin", ""))
        if origin is not None and len(origin) > MAX_ORIGIN:
            raise Fault(6, f"origin has at most {MAX_ORIGIN} characters")
        await self.catch_up(whose)
        one = Scrobble(
            token_id=whose.token_id,
            app_name=call.app.name,
            person_id=whose.id,
            person_name=whose.name,
            video=video,
            position_ms=round(position * 1000),
            state=state,
            origin=origin,
            at=clock.now(),
        )
        kept = await self.database.write(scrobbles.store_scrobbles, one)
        await self.await_interpretation(call, kept.webhook_id)
        after = await self.database.read(lambda connection: videos.latest(connection, whose.id, video))
        stored = scrobbles.stored_state(after[1] if after else None, one)
        return {"id": video.id, **stored, "origin": origin, "continued": kept.continued}

    async def catch_up(self, whose: Person) -> None:
        """Wait a little until every earlier webhook of this session is interpreted."""
        await self.database.read_until(
            lambda connection: scrobbles.waits(connection, whose.token_id), not_, INTERPRET_TIMEOUT
        )

    async def await_interpretation(self, call: Call, webhook_id: int) -> bool:
        """Wait for the webhook to be interpreted, except for a HEAD; True if it was in time."""
        self.service.interpreter.news.set()
        if call.silent:
            return False

        return await self.database.read_until(
            lambda connection: scrobbles.is_read(connection, webhook_id), bool, INTERPRET_TIMEOUT
        )

    async def video(self, call: Call) -> Video:
        """The video that `id` names, with a local id if a person asks; raises Fault."""
        wanted = call.text("id")
        if wanted.isascii() and wanted.isdigit():
            if len(wanted) > 18:
                raise Fault(7, "there is no video of this id")
            found = await self.database.read(
                lambda connection: visible_video(connection, call.person, int(wanted))
            )
            if found is None:
                raise Fault(7, f"there is no video {wanted}")
            return await self.with_title(call, found)
        try:
            remote = remote_ids.parse_remote_id(wanted)
        except remote_ids.Improper as error:
            raise Fault(6, str(error)) from error
        remote = await self.describe_by_lookups(remote)
        if call.person is None:
            return await self.database.read(
                lambda connection: public(connection, videos.wanted_video(remote))
            )
        (named,) = await self.ensure_videos([videos.video_wanted_by(remote, call.person.id)])
        return named

    async def describe_by_lookups(self, remote: Remote) -> Remote:
        """The remote id with its title if a lookup lists it; raises Fault if it does not exist."""
        if remote.type == remote_ids.URL:
            return remote
        known = await self.database.read(lambda connection: videos.find_earlier(connection, remote))
        try:
            return await self.lookup.describe(known or remote)
        except NoSuchVideo as error:
            if known is not None:
                return known  # a known video stays valid even if the service drops it
            raise Fault(7, str(error)) from error

    async def with_title(self, call: Call, video: Video) -> Video:
        """A video that is known here, with its title looked up if it was missing."""
        written = None if video.item.title else video.remote_id
        if written is None or call.person is None:
            return video
        remote = await self.describe_by_lookups(remote_ids.parse_remote_id(written))
        if remote.item.title is None:
            return video
        (named,) = await self.ensure_videos([videos.video_wanted_by(remote, call.person.id)])
        return named

    async def ensure_videos(self, wanted: Sequence[WantedVideo]) -> list[Video]:
        """The video of each item, created if missing; written only if something is new."""
        found = await self.database.read(lambda connection: videos.find_videos(connection, wanted))
        if all(found):
            return [one for one in found if one is not None]
        try:
            return await self.database.write(videos.ensure, (wanted, clock.now()))
        except IntegrityError:  # another process was faster with one of them
            return await self.database.write(videos.ensure, (wanted, clock.now()))

    async def to_json(
        self, asker: Person | None, wanted: Sequence[Video], about: User | None
    ) -> list[dict[str, object]]:
        """Videos as video.getInfo gives them, with the state of one person's viewing if `about` is given."""
        asker_id = asker.id if asker else None
        about_id = about.id if about is not None else None

        def look(connection: Connection) -> tuple[dict[int, Facts], dict[str, int]]:
            people = apps.visible_people(connection, asker_id)
            found = videos.facts(connection, wanted, people, about_id)
            types = {one.type for one in wanted}
            return found, {kind: self.tops.top_plays(connection, kind, people) for kind in types}

        found, tops = await self.database.read(look)
        return [one_video(one, found[one.id], tops[one.type], about) for one in wanted]

    # --- users

    async def get_user(self, call: Call) -> Mapping[str, object]:
        row = await self.database.read(lambda connection: user(connection, call.text("username")))
        (told,) = await self.users(call.person, [row])
        return told

    async def users(self, asker: Person | None, rows: Sequence[User]) -> list[dict[str, object]]:
        """People as user.getInfo gives them, with current videos for those whom the asker may see."""
        asker_id = asker.id if asker else None

        def look(connection: Connection) -> dict[int, list[WantedVideo]]:
            seen = [row.id for row in rows if apps.may_see(connection, asker_id, row.id)]
            return {person_id: videos.playing_items(connection, person_id) for person_id in seen}

        watching = await self.database.read(look)
        named = await self.ensure_videos([one for found in watching.values() for one in found])
        at = 0
        told = []
        for row in rows:
            entry: dict[str, object] = {"username": row.name, "since": int(row.created_at.timestamp())}
            if row.id in watching:
                mine = named[at : at + len(watching[row.id])]
                at += len(mine)
                entry["watching"] = ",".join(dict.fromkeys(str(one.id) for one in mine))
            told.append(entry)
        return told

    async def get_loved_videos(self, call: Call) -> Mapping[str, object]:
        kind = type_of(call)
        row = await self.visible_person(call, "user")
        found = await self.database.read(lambda connection: videos.loved_items(connection, row.id, kind))
        told = await self.to_json(call.person, await self.ensure_videos(found), row)
        return {"user": row.name, "type": kind or ALL, "videos": told}

    async def get_recent(self, call: Call) -> Mapping[str, object]:
        kind, count = type_of(call), call.whole("n", 1, MAX_VIDEOS)
        row = await self.visible_person(call, "user")
        found = await self.database.read(lambda connection: videos.recent(connection, row.id, kind, count))
        told = await self.to_json(call.person, await self.ensure_videos([one for one, _ in found]), row)
        dated = [
            {"finished": int(at.timestamp()), **entry} for entry, (_, at) in zip(told, found, strict=True)
        ]
        return {"user": row.name, "type": kind or ALL, "videos": dated}

    async def get_friends(self, call: Call) -> Mapping[str, object]:
        page = call.whole("page", 1, 10**6) if call.params.get("page") else 1
        if call.params.get("username"):
            row = await self.visible_person(call, "username")
        else:
            mine = call.require_person().name
            row = await self.database.read(lambda connection: user(connection, mine))
        count, rows = await self.database.read(
            lambda connection: apps.friends(
                connection, row.id, (page - 1) * FRIENDS_PER_PAGE, FRIENDS_PER_PAGE
            )
        )
        told = await self.users(call.person, rows)
        return {"user": row.name, "page": page, "count": count, "friends": told}

    async def visible_person(self, call: Call, param: str) -> User:
        """The person that a parameter names, if the caller may see their lists; raises Fault."""
        name, asker = call.text(param), call.person.id if call.person else None

        def look(connection: Connection) -> User:
            row = user(connection, name)
            if not apps.may_see(connection, asker, row.id):
                raise Fault(4, f"{row.name} does not show this to you")
            return row

        return await self.database.read(look)


def one_video(video: Video, facts: Facts, top: int, about: User | None) -> dict[str, object]:
    told: dict[str, object] = {
        "id": video.remote_id if video.id == NO_ID else video.id,
        "type": video.type,
        "remote_id": video.remote_id,
        "plays": facts.plays,
        "active": facts.active,
        "popularity": round(facts.plays / max(top, facts.plays), 4) if facts.plays else 0.0,
    }
    if about is not None:
        playing = facts.latest is not None and facts.latest.state.value == scrobbles.PLAYING
        position = facts.latest.position_ms if facts.latest else None
        told["user"] = {
            "username": about.name,
            "loved": facts.loved,
            "state": scrobbles.PLAYING if playing else scrobbles.STOPPED,
            "position": scrobbles.seconds(position or 0),
            "plays": facts.own_plays,
        }
    return told


def type_of(call: Call) -> str | None:
    """The requested type, or None for all types."""
    if call.params.get("type", "") in ("", ALL):
        return None
    return call.choice("type", remote_ids.TYPES)


def user(connection: Connection, name: str) -> User:
    """The person of this name; raises Fault."""
    row = apps.find_user(connection, name)
    if row is None:
        raise Fault(7, "there is nobody of this name")
    return row


def visible(connection: Connection, asker: Person | None, name: str) -> User | None:
    """The person of this name, if they exist and the asker may see their data; None otherwise."""
    row = apps.find_user(connection, name)
    if row is None or not apps.may_see(connection, asker.id if asker else None, row.id):
        return None
    return row


def visible_video(connection: Connection, asker: Person | None, video_id: int) -> Video | None:
    """The video of this local id, if it exists and the asker may see it; None otherwise."""
    one = videos.find_video(connection, video_id)
    if one is None:
        return None
    people = apps.visible_people(connection, asker.id if asker else None)
    name = videos.person_key(one.item, asker.id) if asker and one.type == remote_ids.URL else None
    return one if videos.is_shown(connection, one, people, name) else None


def public(connection: Connection, wanted: WantedVideo) -> Video:
    """The video for an anonymous session, which creates no local ids and gets none that is not public."""
    (one,) = videos.find_videos(connection, [wanted])
    if one is not None and videos.is_shown(connection, one, apps.visible_people(connection, None), None):
        return one
    return videos.without_id(wanted)


# --- batched writes


def redeem(connection: Connection, waiting: list[apps.Redeeming]) -> list[tuple[str, str] | None]:
    return [apps.redeem(connection, one) for one in waiting]


def submit_events(connection: Connection, waiting: list[tuple[Event, int, int]]) -> list[int]:
    return [scrobbles.submit(connection, *entry)[0] for entry in waiting]


def love_streams(connection: Connection, waiting: list[tuple[int, Video, bool, datetime]]) -> list[None]:
    for person_id, video, love, at in waiting:
        videos.love_stream(connection, person_id, video, love, at)
    return [None] * len(waiting)
