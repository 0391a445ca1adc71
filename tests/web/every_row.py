"""Rows of every state and every shape, each kind of row with each of its values missing, in one database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from itertools import count, cycle, product
from typing import Any, get_args

from sqlalchemy import Connection, insert, select

from tests.web.conftest import HASHED
from webhook import clock, sources, trackers
from webhook.accounts import sign_ins
from webhook.accounts.sign_ins import SignIn
from webhook.compat.videoscrobbler import apps
from webhook.domain.event import ITEMS, REASONS, Action, Episode, Event, Ids, Item, Kind, Season, item_to_json
from webhook.domain.items import keys
from webhook.domain.outcome import Park
from webhook.domain.play import Dated, Play, State
from webhook.domain.rules import DRY_RUN
from webhook.history import library, shows
from webhook.history.play_store import save_play, store_keys
from webhook.identity import matches
from webhook.identity.resolver import candidate_json
from webhook.lookups import Candidate, ListedEpisode
from webhook.people import identities, passwords, people, tokens
from webhook.people.scopes import Scope
from webhook.pipeline.planning import event_json
from webhook.queues import jobs
from webhook.queues.inbox import CATCH_UP, EVENT_CONTENT_TYPE
from webhook.service import Service
from webhook.storage import tables
from webhook.trackers import DeviceCode
from webhook.transfer.records import ARCHIVED, FOLLOWING, Relation
from webhook.web.visible import DELIVERY_STATES, WEBHOOK_STATES

NOW = clock.now()
OWNER, MEMBER, GONE = "me", "ben", "cat"
"""Who is there, and who was removed again."""

BEFORE = "of before"
"""A source, and a tracker, that an earlier version had."""

NOWHERE = 9_999_999
"""An id of nothing."""

IDS = Ids(tvdb=9001, tmdb=77, imdb="tt0903747", trakt=5, plex="plex://x/5d9c1280ba6eb9001fb6de4f")
VALUES: Mapping[str, Any] = {
    "title": "Pilot", "show": "Harbour Street", "season": 1, "number": 2, "year": 2001, "artist": "The Tides",
    "album": "Low Water", "album_artist": "The Tides", "ids": IDS, "show_ids": Ids(tvdb=81189, tmdb=1396),
}  # fmt: skip

# --- items and events, each with each value missing


def items() -> Iterator[Item]:
    """Every kind of item: whole, without each of its values, and without any."""
    for kind in ITEMS.values():
        whole = {entry.name: VALUES[entry.name] for entry in fields(kind) if entry.name in VALUES}
        yield kind(**whole)
        yield from (
            kind(**{name: value for name, value in whole.items() if name != left_out}) for left_out in whole
        )
        yield kind()
    yield from (replace(WHOLE, numbering=order) for order in ("mapped", "absolute"))


WHOLE = Episode(**{name: VALUES[name] for name in VALUES.keys() & Episode.__dataclass_fields__.keys()})
ALL_ITEMS = list(items())
OPTIONAL: Mapping[str, Any] = {
    "user": "anna", "user_id": "17", "server": "attic-uuid", "server_name": "Attic", "player": "Sofa",
    "player_id": "sofa-uuid", "session": "9", "library": "TV Shows", "item_key": "4711", "position_ms": 600_000,
    "duration_ms": 2_700_000, "progress": 22.2, "completed": True, "rating": 7.5, "view_count": 2, "last_played_at": NOW,
    "show_key": "4700", "record": "2091",
}  # fmt: skip


def unknowable(kind: type[Event | Play]) -> set[str]:
    """The names of the values of which nothing may be known."""
    return {entry.name for entry in fields(kind) if entry.default is None}


def absent(name: str) -> dict[str, Any]:
    """Of this value, that nothing is known."""
    return {name: None}


def events() -> Iterator[Event]:
    """Every kind of event: of each action, without each value and without any."""
    whole = Event(action=Action.STOP, item=WHOLE, at=NOW, **OPTIONAL)
    yield whole
    yield from (replace(whole, action=action) for action in Action)
    yield from (replace(whole, **absent(name)) for name in OPTIONAL)
    yield replace(whole, manual=True, position_ms=None, duration_ms=0)
    yield Event(action=Action.ADD, item=WHOLE, at=NOW)


def kept(event: Event, person: str | None = None, play: int | None = None, **more: Any) -> dict[str, Any]:
    """An event as it is kept with its webhook once that is interpreted."""
    return {**event_json(event), "person": person, "play": play, **more}


def readings(plays: Sequence[int]) -> Iterator[list[dict[str, Any]] | None]:
    """What webhooks mean: nothing, one event, several, of nobody, of one person, of several, of who is gone."""
    of, whose = cycle([*plays, None, NOWHERE]), cycle([OWNER, MEMBER])
    yield None
    yield []
    for event in events():
        yield [kept(event, next(whose), next(of), how="claimed as plex:anna")]
    groups: list[list[str | None]] = [[None], [OWNER, MEMBER], [MEMBER], [GONE], [OWNER, None, GONE]]
    for user, people_ in product(("anna", None), groups):
        event = replace(next(events()), user=user)
        yield [kept(event, name, next(of), how=None) for name in people_]
        yield [kept(event, name, None, how="by a household rule", stopped="home_video") for name in people_]
    ticked = Event(action=Action.WATCHED, item=Season(show="Harbour Street", season=1), at=NOW)
    for said in ({"episodes": 0}, {"episodes": 26}, {"waits_for": "tvdb:81189"}, {"waits_for": None}):
        yield [{**event_json(ticked), **said}]
    yield [{"action": "watched", "kind": "movie", "at": clock.stamp(NOW)}]
    yield [{"action": "watched", "at": clock.stamp(NOW)}]


def readings_of_items(plays: Sequence[int]) -> Iterator[list[dict[str, Any]]]:
    """The same of every item, by somebody and by nobody, and of all of them at once."""
    for item, play_id in zip(ALL_ITEMS, cycle(plays), strict=False):
        yield [kept(Event(action=Action.STOP, item=item, at=NOW, **OPTIONAL), OWNER, play_id)]
        yield [kept(Event(action=Action.ADD, item=item, at=NOW))]
    yield [kept(Event(action=Action.RATE, item=item, at=NOW), MEMBER) for item in ALL_ITEMS]


# --- the rows


@dataclass
class Rows:
    """Fills a database, and knows what is in it."""

    service: Service
    connection: Connection

    def fill(self) -> Rows:
        self.people()
        self.accounts()
        self.jobs()
        self.plays()
        self.webhooks()
        self.deliveries()
        self.library()
        self.tokens()
        self.apps()
        self.passkeys()
        self.sign_ins()
        return self

    def add(self, table: Any, **values: Any) -> int:
        key = self.connection.execute(insert(table).values(**values)).inserted_primary_key
        return int(key[0]) if key is not None and "id" in table.c else 0

    def people(self) -> None:
        """The owner, a member, one of each parked account, and somebody who is removed again at the end."""
        me = tables.person.c.name == OWNER
        self.connection.execute(
            tables.person.update().where(me).values(password=HASHED, timezone="Asia/Tokyo")
        )
        self.members = [people.add_person(self.connection, MEMBER, NOW)]
        self.connection.execute(
            tables.person.update().where(tables.person.c.name == MEMBER).values(password=HASHED)
        )
        self.members += [people.add_person(self.connection, f"of {park}", NOW) for park in Park]
        self.owner = people.find_person(self.connection, OWNER).id
        gone = people.add_person(self.connection, GONE, NOW)
        whose = cycle([None, self.owner, *self.members, gone])
        self.identities = [
            self.add(
                tables.identity, source=source, server=server, user=f"{user}{number}", label=user,
                server_name=named, person_id=None if ignored else next(whose), ignored=ignored, last_seen=at,
                first_seen=at,
            )
            for number, (source, server, user, named, ignored, at) in enumerate(product(
                ("plex", "tautulli", *identities.BUILTIN_APIS, BEFORE), ("", "attic-uuid"), ("anna",), (None, "Attic"),
                (False, True), (None, NOW, NOW - timedelta(days=40)),
            ))
        ]  # fmt: skip
        for names in ([self.owner, gone], [gone], [], self.members):
            self.add(tables.household, players=["Sofa"], libraries=[], people=names, created_at=NOW)
        people.remove_person(self.connection, people.find_person(self.connection, GONE))

    def accounts(self) -> None:
        """Of every tracker, working and parked for each reason; of a tracker that there is no more, too."""
        self.connection.execute(tables.account.delete())
        names = [*trackers.modules(), BEFORE]
        parks: list[Park | None] = [None, *Park]
        for whose, person_id in enumerate([self.owner, *self.members]):
            for number, name in enumerate(names):
                park = parks[(whose + number) % len(parks)]
                filled = number % 2 == 0
                self.add(
                    tables.account, person_id=person_id, tracker=name, name="anna" if filled else None,
                    tokens=None, tells=[*Action] if filled else [], created_at=NOW, failures=3 * filled,
                    rules={"dry_run": True, "watched_mark": 90.0, "kinds": ["movie"]} if filled else {},
                    parked=park and park.value, parked_at=NOW if park else None,
                    parked_why="it said so" if park and filled else None,
                    last_done_at=NOW if filled else None, held_until=NOW + timedelta(hours=1) if filled else None,
                )  # fmt: skip
        self.account_ids = list(self.connection.execute(select(tables.account.c.id)).scalars())

    def jobs(self) -> None:
        counts = [{}, {"added": 3, "known": 0, "bad": 2}, {"sent": 2, "done": 1, "waiting": 1}]
        for kind, state, error, person_id in product(
            jobs.JobKind,
            jobs.JobState,
            (None, "", "It broke off", "It ends."),
            (None, self.owner, self.members[0]),
        ):
            made = jobs.begin_job(
                self.connection, kind, "trakt" if error else BEFORE, NOW, person_id=person_id
            )
            values: dict[str, Any] = {"state": state.value, "error": error, "counts": counts[made % 3]}
            values |= {"name": "history.json" if made % 2 else None, "finished_at": NOW if error else None}
            values["account_id"] = self.account_ids[0] if made % 4 == 0 else None
            self.connection.execute(tables.job.update().where(tables.job.c.id == made).values(values))

    # --- what was played

    def plays(self) -> None:
        self.play_ids = [self.play(number, play) for number, play in enumerate(plays())]
        said: dict[str, Any] = {"by": None, "at": NOW}
        shown = {
            "item": item_to_json(WHOLE),
            "watched_at": None,
            "started_at": clock.stamp(NOW),
            "dated": "exact",
        }
        for play_id, what in zip(
            cycle(self.play_ids), ("removed", "redated", "corrected", "merged", "added")
        ):
            before = None if what == "added" else shown
            self.add(tables.edit, play_id=play_id, what=what, before=before, after=None, **said)

    def play(self, number: int, play: Play) -> int:
        person_id = (self.owner, self.members[0])[number % 2]
        made = save_play(self.connection, person_id, play, None)
        store_keys(self.connection, person_id, made, keys(play.item, "attic", "4711"))
        if number % 7 == 6:
            gone = tables.play.c.id == made
            self.connection.execute(tables.play.update().where(gone).values(removed_at=NOW, job_id=1))
        return made

    def webhooks(self) -> None:
        """Every reading in every state, with every reason and every kind of body."""
        reasons = cycle([None, "", "KeyError: 'x'", "filter: never the player Sofa", *REASONS])
        bodies = cycle([None, b"{}", b"", b"no JSON", b"\xff\xfe\x00", b'{"Account": {"title": "anna"}}'])
        types = cycle([
            None, "application/json", "multipart/form-data; boundary=x", f"{EVENT_CONTENT_TYPE}; by={CATCH_UP}",
            f"{EVENT_CONTENT_TYPE}; by=tvtime; for={NOWHERE}",
        ])  # fmt: skip
        of = cycle([*sources.modules(), *identities.BUILTIN_APIS, BEFORE])
        whose = cycle([None, *self.identities])
        known = [
            *product(WEBHOOK_STATES, readings(self.play_ids)),
            *zip(cycle(WEBHOOK_STATES), readings_of_items(self.play_ids)),
        ]
        self.webhook_ids = [
            self.add(
                tables.webhook, source=next(of), token_id=None, received_at=NOW - timedelta(seconds=number),
                content_type=next(types), raw=next(bodies), state=state, reason=next(reasons),
                identity_id=next(whose), events=events, interpreted_at=NOW if number % 3 else None,
            )
            for number, (state, events) in enumerate(known)
        ]  # fmt: skip

    def deliveries(self) -> None:
        """Every state with every reason, of every item, with what is known of them and without."""
        item, of, play_id = cycle(ALL_ITEMS), cycle(self.account_ids), cycle([None, *self.play_ids])
        webhook_id, action = cycle([None, *self.webhook_ids]), cycle(Action)
        reasons = [None, "", "It said no", DRY_RUN, *(park.value for park in Park)]
        known = {"progress": 40.0, "estimated": True, "duration_ms": None, "started_at": 0, "rewatch": True}
        found = candidate_json(
            Candidate(kind=Kind.SHOW, title="Harbour Street", year=2001, ids=IDS, via="tmdb")
        )
        unknown = candidate_json(Candidate(kind=Kind.MOVIE))
        candidates, details = cycle([None, [], [found, unknown]]), cycle([{}, known, {"rating": 7.5}])
        number, answers = count(), cycle([None, "would send GET https://x.example", "", "OK"])
        self.delivery_ids = []
        for state, reason, mark in product(DELIVERY_STATES, reasons, (False, True)):
            answer = next(answers)
            at = next(number)
            self.delivery_ids.append(self.add(
                tables.delivery, account_id=next(of), webhook_id=next(webhook_id), play_id=next(play_id),
                key=f"{at}", action=next(action).value, mark=mark, happened_at=NOW, item=item_to_json(next(item)),
                details=next(details), state=state, reason=reason, attempts=at % 3, due_at=NOW if at % 2 else None,
                answer=answer, remote_id="12" if answer else None, candidates=next(candidates), created_at=NOW,
                settled_at=NOW if at % 5 == 0 else None, job_id=1 if at % 4 == 0 else None,
            ))  # fmt: skip
        for entry in ALL_ITEMS:
            at = next(number)
            self.delivery_ids.append(self.add(
                tables.delivery, account_id=self.account_ids[0], key=f"{at}", action="stop", mark=True,
                happened_at=NOW, item=item_to_json(entry), details={}, state="unmatched", reason="nobody knows it",
                created_at=NOW,
            ))  # fmt: skip
        unmatched = select(tables.delivery.c.id).where(tables.delivery.c.state == "unmatched")
        self.unmatched = list(self.connection.execute(unmatched).scalars())
        for delivery_id, (outcome, calls) in zip(
            cycle(self.delivery_ids), product(("done", "retry", "snooze", "dead", BEFORE), exchanges())
        ):
            took = 12 if calls else None
            self.add(
                tables.attempt, delivery_id=delivery_id, at=NOW, took_ms=took, outcome=outcome,
                reason="busy" if took else None, exchanges=calls,
            )  # fmt: skip

    # --- beside what was played

    def library(self) -> None:
        for whose, relation, item in product(
            (self.owner, self.members[0]), [one for one in Relation if one is not Relation.FOLLOW], ALL_ITEMS
        ):
            value = 7.5 if relation is Relation.RATING else None
            library.store_entry(self.connection, whose, relation.value, item, NOW, value)
        listed = [
            ListedEpisode(season=1, number=1),
            ListedEpisode(season=0, number=1, title="Extra", aired="2001-01-01"),
        ]
        listed += [ListedEpisode(season=1, number=2, title="Two", aired="2999-01-01", ids=IDS)]
        for number, (title, ids, state, list_) in enumerate(
            product(
                (None, "Harbour Street"),
                (Ids(), Ids(tvdb=81189)),
                (FOLLOWING, ARCHIVED, BEFORE),
                (None, [], listed),
            )
        ):
            key = f"tvdb:{number}" if ids else f"title:harbour{number}"
            self.add(
                tables.follow, person_id=(self.owner, self.members[0])[number % 2], show_key=key, show=title,
                ids=ids.by_namespace(), state=state, followed_at=NOW,
            )  # fmt: skip
            if list_ is not None:
                self.add(
                    tables.episode_list, show_key=key, via="tvdb" if list_ else shows.NOWHERE, asked_at=NOW,
                    episodes=[one.to_json() for one in list_],
                )  # fmt: skip
        for item in ALL_ITEMS:
            for key in matches.match_keys(item)[:1]:
                self.add_once(
                    tables.match, key=f"{key}:chosen", kind=item.kind, ids=IDS.by_namespace(), chosen_at=NOW
                )
        found = candidate_json(Candidate(kind=Kind.SHOW, title=None, ids=Ids(tmdb=7)))
        for number, item in enumerate(ALL_ITEMS):
            state = ("waiting", "unmatched", "unmatched", "dismissed")[number % 4]
            for key in matches.match_keys(replace(item, ids=Ids(), **SHOWLESS.get(item.kind, {})))[:1]:
                self.add_once(
                    tables.unresolved, key=key, kind=item.kind, item=item_to_json(item), state=state,
                    reason=(None, "nobody knows it")[number % 2], candidates=(None, [], [found])[number % 3],
                    due_at=None, created_at=NOW,
                )  # fmt: skip

        self.questions = list(self.connection.execute(select(tables.unresolved.c.key)).scalars())

    def add_once(self, table: Any, *, key: str, **values: Any) -> None:
        if self.connection.execute(select(table.c.key).where(table.c.key == key)).first() is None:
            self.add(table, key=key, **values)

    def tokens(self) -> None:
        for number, (kind, name, person_id, revoked) in enumerate(product(
            ("api", "webhook", "app", "videoscrobbler"), (None, "mine"),
            (None, self.owner, self.members[0]), (None, NOW),
        )):  # fmt: skip
            secret = f"secret-{number}"
            made = tokens.add_token(
                self.connection,
                kind,
                secret,
                self.service.seal.seal(secret),
                NOW,
                name=name,
                person_id=person_id,
            )
            mine = tables.token.c.id == made
            self.connection.execute(tables.token.update().where(mine).values(revoked_at=revoked))
        self.secrets = {OWNER: "of the owner", MEMBER: "of the member"}
        for name, secret in self.secrets.items():
            whose = people.find_person(self.connection, name).id
            sealed = self.service.seal.seal(secret)
            tokens.add_token(self.connection, "api", secret, sealed, NOW, person_id=whose)
        for number, (granted, days) in enumerate(product(([], [*Scope], ["of tomorrow"]), (-1, 1))):
            limits: dict[str, Any] = {"scopes": granted, "expires_at": clock.now() + timedelta(days=days)}
            tokens.add_token(self.connection, "api", f"limited-{number}", "", NOW, **limits)
        self.welcome = "welcome"
        passwords.invite(self.connection, self.welcome, NOW, timedelta(hours=1))

    def apps(self) -> None:
        for name, person_id in product(("player", "other"), (None, self.owner, self.members[0])):
            made = apps.create_app(self.connection, self.service.seal, name, person_id, NOW)
            if name == "other":
                apps.suspend_app(self.connection, made.id, NOW)
            self.connection.execute(insert(tables.app_session), {"token_id": 2 + made.id, "app_id": made.id})
        self.app = apps.create_app(self.connection, self.service.seal, "reader", None, NOW)
        session = tokens.add_token(
            self.connection, apps.KIND, "of the reader", "", NOW, name="reader", person_id=self.owner
        )
        self.connection.execute(insert(tables.app_session), {"token_id": session, "app_id": self.app.id})
        for whom, person_id in zip(apps.SEEN_BY, (self.owner, *self.members), strict=False):
            apps.set_seen_by(self.connection, person_id, whom)

    def passkeys(self) -> None:
        """Used and not used yet, for an address and for one that it was before."""
        made = product((self.owner, self.members[0]), ("watchmark.test", "before.test"), (None, NOW))
        for number, (person_id, rp_id, used) in enumerate(made):
            self.add(
                tables.passkey, person_id=person_id, name=f"Key {number}", rp_id=rp_id, credential_id=f"id{number}",
                public_key="", user_handle="", sign_count=number, created_at=NOW, last_used=used,
            )  # fmt: skip

    def sign_ins(self) -> None:
        held = self.service.sign_ins.held
        code = DeviceCode(
            user_code="ABCD", url="https://x.example/activate", interval=timedelta(seconds=5),
            expires_in=timedelta(minutes=5), device_code="d",
        )  # fmt: skip
        codes = [code, replace(code, user_code=""), replace(code, url="no address")]
        for number, (name, state, whose) in enumerate(
            product(
                trackers.modules(), get_args(sign_ins.SignInState), (self.owner, self.members[0], NOWHERE)
            )
        ):
            ended = state not in sign_ins.UNDER_WAY
            held[f"sign-in-{number}"] = SignIn(
                id=f"sign-in-{number}", person_id=whose, tracker=name, code=codes[number % 3],
                ends_at=NOW + timedelta(minutes=1), state=state, says="It said so" if ended else None,
                works=(None, True, False)[number % 3], account_id=self.account_ids[0] if ended else None,
                ended_at=NOW if ended else None,
            )  # fmt: skip


SHOWLESS: Mapping[str, Mapping[str, Any]] = {
    Kind.EPISODE: {"show_ids": Ids()}, Kind.SEASON: {"show_ids": Ids()}
}  # fmt: skip


def plays() -> Iterator[Play]:
    """Every kind of play: of each item, in each state, dated in each way, without each value and without any."""
    bare = Play(item=WHOLE, state=State.STOPPED, started_at=NOW, last_at=NOW)
    whole = replace(
        bare, source="plex", server="attic-uuid", player="Sofa", player_id="sofa-uuid", library="TV Shows",
        position_ms=600_000, position_at=NOW, known_percent=22.2, duration_ms=2_700_000, watched_at=NOW,
    )  # fmt: skip
    for item, play in zip(ALL_ITEMS, cycle([whole, bare]), strict=False):
        yield replace(play, item=item)
    for state, dated, watched_at in product(State, Dated, (None, NOW)):
        yield replace(whole, state=state, dated=dated, watched_at=watched_at)
        yield replace(bare, state=state, dated=dated, watched_at=watched_at, position_ms=0, position_at=NOW)
    for name in unknowable(Play):
        yield replace(whole, state=State.PLAYING, **absent(name))
    yield replace(whole, unwatched_at=NOW)
    yield replace(whole, manual=True, estimated=True, resumed_at=NOW, source=BEFORE)
    yield replace(whole, state=State.PAUSED, duration_ms=0, watched_at=None)


def exchanges() -> list[list[dict[str, Any]] | None]:
    """What was called at a tracker, as `remote` writes it down."""
    call = {"method": "POST", "url": "https://x.example/mark"}
    return [
        None,
        [],
        [{**call, "sent": {"title": "x"}, "status": 500, "took_ms": 3, "answer": "no"}],
        [{**call, "sent": "a=b", "error": "broke off"}, {**call, "withheld": True, "sent": None}],
        [call],
    ]
