"""The composition root: builds the service and the application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from webhook import client, clock, servers, sources, trackers
from webhook import settings as environment
from webhook.accounts import accounts, keys, oidc, proxy_sign_in, sealed_secrets, settings_store
from webhook.accounts.credentials import Credentials
from webhook.domain.anime import Lists, Unusable
from webhook.domain.anime_index import AnimeIndex, load_anime
from webhook.history.shows import Episodes
from webhook.history.stats_worker import StatsWorker
from webhook.identity.lookup_setup import build_lookups, lookup_settings
from webhook.identity.resolver import Identity
from webhook.maintenance import updates
from webhook.maintenance.backup_schedule import BackupSchedule
from webhook.maintenance.integrity import Integrity
from webhook.maintenance.pruner import Pruner
from webhook.network.asgi import ForwardedHeaders
from webhook.people import people, tokens
from webhook.pictures.pictures import Pictures
from webhook.pictures.store import PictureStore
from webhook.pipeline.body import Form
from webhook.pipeline.dispatcher import Dispatcher
from webhook.pipeline.intake import Intake
from webhook.pipeline.interpreter import Interpreter
from webhook.pipeline.listener import Listeners
from webhook.pipeline.receiver import Receiver, TokenCache
from webhook.pipeline.shared_reads import Capabilities
from webhook.queues import leases
from webhook.service import Service
from webhook.settings import Environ, Settings
from webhook.storage import migrate
from webhook.storage.db import Database, Unavailable
from webhook.storage.tables import person
from webhook.system.loop_lag import collect_garbage
from webhook.trackers import Tracker
from webhook.transfer import lookup_queue
from webhook.transfer.backfill import Backfills
from webhook.transfer.catch_up import CatchUp
from webhook.transfer.import_queue import Imports
from webhook.transfer.limits import Limits
from webhook.transfer.lookup_queue import Resolver
from webhook.transfer.server_lists import ServerLists
from webhook.transfer.show_ids import ShowIds
from webhook.transfer.sources import Feeds
from webhook.transfer.watchlists import Watchlists
from webhook.web import health
from webhook.web.http import errors
from webhook.web.late import LateApp

if TYPE_CHECKING:
    from webhook.web.http.operations import Operation

log = structlog.get_logger()

SWEEP_INTERVAL = 30.0
WAKE_INTERVAL = 5.0
COMMIT_TIMEOUT = 1.0
MIN_WAKE_INTERVAL = 0.05
"""Seconds within which several commits of other processes wake the interpreter once."""

Chore = Callable[[asyncio.Event], Awaitable[None]]
"""A background task that runs until the event is set."""


def open_service(environ: Environ) -> Service:
    """Open all resources without running anything, after migrating the database; raises SettingsError."""
    given = environ
    settings = environment.load(given)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database)
    updates.update_database(settings, database)
    sealed = keys.load_seal(settings, database)
    sealed_secrets.park_unreadable(database, sealed)
    environ, left_out = settings_store.complete_settings(given, database, sealed)
    settings = environment.load(environ)
    http = client.client(ca_file=settings.ca_file)
    built = trackers.build(environ, http)
    credentials = Credentials(database, sealed)
    identity = Identity(database, build_lookups(environ, http), *anime_lists(settings))
    doorkeeper = TokenCache(database)
    interpreter = build_interpreter(database, built, settings)
    dispatcher = Dispatcher(database, built, credentials, identity)
    interpreter.claim_due = dispatcher.claim_due
    intake = Intake(database, interpreter, dispatcher)
    receiver = Receiver(intake, doorkeeper, forms(), settings.max_body_bytes)
    intake.is_busy = receiver.is_busy
    asked = servers.build(environ, http)
    episodes = Episodes(database, identity.lookups)
    pictures = Pictures(database, picture_store(settings), asked, identity.lookups)
    pictures.is_busy, receiver.offer_picture = receiver.is_busy, pictures.offer
    catch_up = CatchUp(database, asked, interpreter.news, settings.catch_up_minutes)
    service = Service(
        settings=settings,
        environ=environ,
        given=given,
        left_out=left_out,
        database=database,
        seal=sealed,
        http=http,
        trackers=built,
        servers=asked,
        credentials=credentials,
        identity=identity,
        doorkeeper=doorkeeper,
        receiver=receiver,
        interpreter=interpreter,
        dispatcher=dispatcher,
        catch_up=catch_up,
        listeners=Listeners(database, asked, intake.keep, catch_up.asked.set, sealed),
        backfills=Backfills(database, built, credentials, interpreter.told),
        server_lists=ServerLists(database, built, credentials, interpreter.added, interpreter.told),
        watchlists=Watchlists(database, built, credentials, interpreter.told, settings.watchlist_minutes),
        imports=Imports(
            database,
            settings.data_dir / "imports",
            Feeds(database, credentials, built, asked).open_feed,
            limits(settings),
        ),
        resolver=Resolver(database, identity),
        show_ids=ShowIds(database, identity, asked, episodes.news),
        episodes=episodes,
        integrity=Integrity(database),
        pictures=pictures,
        oidc=oidc.open_provider(given, http),
        proxy_sign_in=proxy_sign_in.open_reader(given),
    )
    database.do(lambda connection: first_start(connection, service))
    return service


def build_interpreter(database: Database, built: Mapping[str, Tracker], settings: Settings) -> Interpreter:
    return Interpreter(
        database,
        sources.read_webhook,
        capabilities(built),
        settings.watched_mark,
        claim_first=settings.claim_first_user,
        collection_of=settings.collection_of,
    )


def anime_lists(settings: Settings) -> tuple[Lists, AnimeIndex]:
    """The mapping lists that ANIME_LISTS points to; raises SettingsError."""
    try:
        return load_anime(settings.anime_lists)
    except Unusable as error:
        raise environment.SettingsError(f"ANIME_LISTS: {error}") from error


def limits(settings: Settings) -> Limits:
    return Limits(
        size=settings.import_max_bytes,
        rows=settings.import_max_rows,
        minutes=settings.import_max_minutes,
        per_person=settings.imports_per_person,
        reserve=settings.disk_reserve_bytes,
    )


def picture_store(settings: Settings) -> PictureStore:
    return PictureStore(
        settings.data_dir / "pictures", settings.pictures_max_bytes, settings.disk_reserve_bytes
    )


def forms() -> dict[str, Form]:
    modules = sources.modules()
    return {
        name: Form(module.FIELDS, module.FORM_IS_PAYLOAD, getattr(module, "PICTURE_FIELD", None))
        for name, module in modules.items()
    }


def capabilities(built: Mapping[str, Tracker]) -> dict[str, Capabilities]:
    return {name: Capabilities(tracker.kinds, tracker.tells) for name, tracker in built.items()}


# --- first start


def first_start(connection: Connection, service: Service) -> None:
    """Create the first person, their library's account and a webhook token if there are none yet."""
    now = clock.now()
    migrate.take_turn(connection)
    if not people.count_people(connection):
        people.add_person(connection, people.FIRST_PERSON, now, owner=True)
    if not tokens.valid_tokens(connection, "webhook", now):
        secret = tokens.new_secret()
        tokens.add_token(connection, "webhook", secret, service.seal.seal(secret), now, name="first")
    for row in connection.execute(select(person.c.id)).all():
        accounts.add_builtin_accounts(connection, service.trackers, row.id, now)


# --- running


@asynccontextmanager
async def run_service(service: Service) -> AsyncIterator[Service]:
    """Run the service: interpret and deliver until the end, then drain."""
    if service.settings.worker:
        service.database.do(lambda connection: pick_up(connection, service))
    interpreter, dispatcher = service.interpreter, service.dispatcher
    lag = asyncio.gather(service.loop_lag.run(service.stop), collect_garbage(service.stop))
    if service.settings.worker:
        begin = asyncio.create_task
        service.tasks = [
            begin(interpreter.run(service.stop, service.receiver.is_busy), name="interpreter"),
            begin(dispatcher.run(service.stop, interpreter.told), name="dispatcher"),
            begin(sweep_regularly(service), name="sweeper"),
            *([] if service.database.sqlite else wakers(service)),
            *background_tasks(service),
        ]
    if service.database.sqlite:
        service.tasks.append(begin_chore("integrity", service.integrity.run, service.stop))
        if service.settings.backup_hours:
            schedule = BackupSchedule(service.settings, service.database)
            service.tasks.append(begin_chore("backups", schedule.run, service.stop))
    service.tasks.append(begin_chore("pictures", service.pictures.run, service.stop))
    if service.reopen is not None:
        service.tasks.append(begin_chore("settings", watch_settings(service, service.reopen), service.stop))
    for task in service.tasks:
        task.add_done_callback(exit_on_crash)
    try:
        yield service
    finally:
        service.stop.set()
        await service.sign_ins.close()
        if service.tasks:
            await asyncio.wait(service.tasks, timeout=20)
        await lag
        await service.http.aclose()
        service.database.close()


def pick_up(connection: Connection, service: Service) -> None:
    """Recover at startup: free interrupted deliveries, and retry lookups if a new one was configured."""
    now = clock.now()
    if service.database.sqlite:  # no other process can run here: see migrate.hold_lock
        leases.drop_leases(connection, now)
    if again := lookup_queue.retry_unknown(connection, lookup_settings(service.environ), now):
        log.info(
            "A lookup is new; items without a result are looked up again.",
            action="lookup_retry",
            entries=again,
        )


def watch_settings(service: Service, reopen: Callable[[], None]) -> Chore:
    """The chore that reopens the service where its settings were changed elsewhere."""

    async def watch(stop: asyncio.Event) -> None:
        await settings_store.watch_settings(
            service.database, service.seal, service.given, lambda: service.environ, reopen, stop
        )

    return watch


def exit_on_crash(task: asyncio.Task[Any]) -> None:
    """End the process when a task dies, so that it is restarted as a whole."""
    if not task.cancelled() and (error := task.exception()):
        log.critical(
            f"The {task.get_name()} failed; the service exits so that it can be restarted.",
            action="crash",
            exc_info=error,
        )
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)


def background_tasks(service: Service) -> list[asyncio.Task[Any]]:
    """Start the background tasks: pruning, jobs, lookups, statistics, catch-up and notifications."""
    settings, database = service.settings, service.database
    chores: dict[str, Chore] = {
        "pruner": Pruner(database, settings.retention_days).run,
        "backfills": service.backfills.run,
        "server lists": service.server_lists.run,
        "watchlists": service.watchlists.run,
        "imports": service.imports.run,
        "resolver": service.resolver.run,
        "shows' ids": service.show_ids.run,
        "episodes": service.episodes.run,
        "tallier": StatsWorker(database).run,
    }
    if service.servers:
        chores["catch-up"] = service.catch_up.run
        chores["listeners"] = service.listeners.run
    if settings.notify_urls.get_secret_value():
        from webhook.maintenance.notifications import Notifier, Watcher

        chores["watcher"] = Watcher(database, Notifier(settings), settings.silence_days).run
    if settings.mqtt_url.get_secret_value():
        from webhook.web.now.mqtt import Publisher  # late: most have no broker

        chores["MQTT"] = Publisher(database, settings).run
    return [begin_chore(name, chore, service.stop) for name, chore in chores.items()]


def begin_chore(name: str, chore: Chore, stop: asyncio.Event) -> asyncio.Task[None]:
    return asyncio.create_task(supervise(name, chore, stop), name=name)


async def supervise(name: str, chore: Chore, stop: asyncio.Event) -> None:
    """Run a background task, and restart it after a failure without affecting the others."""
    while not stop.is_set():
        try:
            await chore(stop)
        except Unavailable as error:
            log.warning(
                f"The database is unavailable; the {name} restarts in a minute.",
                action="chore_unavailable",
                why=str(error),
            )
            await clock.awaken(asyncio.Event(), stop, 60)
        except Exception:
            log.exception(
                f"The {name} failed with an unexpected error; it restarts in a minute.", action="chore_fault"
            )
            await clock.awaken(asyncio.Event(), stop, 60)


async def sweep_regularly(service: Service) -> None:
    """Sweep regularly: close plays without a stop and expire live deliveries that are too old."""
    while not service.stop.is_set():
        with contextlib.suppress(Unavailable):
            if await service.database.write(service.interpreter.sweep, clock.now()):
                service.interpreter.told.set()
        await clock.awaken(asyncio.Event(), service.stop, SWEEP_INTERVAL)


def wakers(service: Service) -> list[asyncio.Task[Any]]:
    """Start the tasks that wake this process for what others do."""
    return [
        asyncio.create_task(wake_regularly(service), name="lane waker"),
        begin_chore("commit waker", lambda _: wake_on_commits(service), service.stop),
    ]


async def wake_on_commits(service: Service) -> None:
    """Wake the interpreter when another process commits, which may have received a webhook."""
    database = service.database
    while not service.stop.is_set():
        seen = database.committed.count
        await database.wait_for_commit(seen, COMMIT_TIMEOUT)
        if database.committed.count != seen:
            service.interpreter.news.set()
            await clock.awaken(asyncio.Event(), service.stop, MIN_WAKE_INTERVAL)


async def wake_regularly(service: Service) -> None:
    """Wake the lanes that several processes left asleep."""
    while not service.stop.is_set():
        with contextlib.suppress(Unavailable):
            if await service.database.write(leases.wake_forgotten, clock.now()):
                service.interpreter.told.set()
        await clock.awaken(asyncio.Event(), service.stop, WAKE_INTERVAL)


def api_operations() -> Sequence[Operation[Any, Any]]:
    """The operations of the whole JSON API."""
    from webhook import compat
    from webhook.web import api

    return (*api.OPERATIONS, *compat.OPERATIONS)


def web_app(service: Service) -> Starlette:
    """The ASGI application: the webhook receiver and the health checks, and the API and the pages once asked for."""
    door = service.receiver
    methods = [
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    ]  # the receiver itself answers 405, after checking the token
    routes = [
        Route("/webhooks/{source}/{token}", endpoint=Door(door), methods=methods),
        Route("/webhooks/{source}", endpoint=Door(door), methods=methods),
        *health.routes(service),
        Mount("", LateApp(lambda: late_routes(service))),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with run_service(service):
            yield

    inner = [Mount(service.settings.root_path, routes=routes)] if service.settings.root_path else []
    forwarded = Middleware(ForwardedHeaders, proxies=service.settings.proxies)
    application = Starlette(routes=[*inner, *routes], lifespan=lifespan, middleware=[forwarded])
    # What no route matches is a path with a line break, or one beside ROOT_PATH's.
    application.router.default = errors.web([], errors.problem_page)
    return application


def late_routes(service: Service) -> list[BaseRoute]:
    """The routes of the API and the pages; their modules are loaded here."""
    from webhook import compat
    from webhook.web import routes as web

    return [*compat.compat_routes(service), *web.routes(service, api_operations())]


class Door:
    """Routes to the receiver without creating a Starlette Request."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.receiver(scope, receive, send)
