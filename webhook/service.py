"""The service: the resources open while Watchmark runs; app.py builds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from webhook import clock
from webhook.accounts.credentials import Credentials
from webhook.accounts.oidc import OpenIDProvider
from webhook.accounts.proxy_sign_in import ProxySignIn
from webhook.accounts.seal import Seal
from webhook.accounts.sign_ins import SignIns
from webhook.history.shows import Episodes
from webhook.identity.resolver import Identity
from webhook.maintenance.integrity import Integrity
from webhook.network.throttle import LoginThrottle
from webhook.pictures.pictures import Pictures
from webhook.pipeline.dispatcher import Dispatcher
from webhook.pipeline.interpreter import Interpreter
from webhook.pipeline.listener import Listeners
from webhook.pipeline.receiver import Receiver, TokenCache
from webhook.servers import Server
from webhook.settings import Environ, Settings
from webhook.storage.db import Database
from webhook.system.loop_lag import LoopLag
from webhook.trackers import Tracker
from webhook.transfer.backfill import Backfills
from webhook.transfer.catch_up import CatchUp
from webhook.transfer.import_queue import Imports
from webhook.transfer.lookup_queue import Resolver
from webhook.transfer.server_lists import ServerLists
from webhook.transfer.show_ids import ShowIds
from webhook.transfer.watchlists import Watchlists


@dataclass(slots=True)
class Service:
    """The resources open while Watchmark runs, handed to the web, the commands and the tests."""

    settings: Settings
    environ: Environ
    """The environment, over the settings made in the browser."""
    given: Environ
    """The environment alone, whose settings cannot be changed in the browser."""
    left_out: Mapping[str, str]
    """Invalid settings made in the browser, each with the reason."""
    database: Database
    seal: Seal
    http: httpx.AsyncClient
    trackers: Mapping[str, Tracker]
    servers: Mapping[str, Server]
    credentials: Credentials
    identity: Identity
    doorkeeper: TokenCache
    receiver: Receiver
    interpreter: Interpreter
    dispatcher: Dispatcher
    catch_up: CatchUp
    listeners: Listeners
    backfills: Backfills
    server_lists: ServerLists
    watchlists: Watchlists
    imports: Imports
    resolver: Resolver
    integrity: Integrity
    show_ids: ShowIds
    episodes: Episodes
    pictures: Pictures
    login_throttle: LoginThrottle = field(default_factory=LoginThrottle)
    """Shared by every way of signing in with a password."""
    oidc: OpenIDProvider | None = None
    """The OpenID provider to sign in at, if one is set up."""
    proxy_sign_in: ProxySignIn | None = None
    """Reads whom a reverse proxy says to have signed in, if that is set up."""
    sign_ins: SignIns = field(init=False)
    loop_lag: LoopLag = field(default_factory=LoopLag)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    started_at: datetime = field(default_factory=clock.now)
    reopen: Callable[[], None] | None = None
    """Reloads the service with new settings behind the same socket; None if that is not possible."""
    leaving: Callable[[], bool] = field(default=lambda: False)
    """Returns True while the service is closing, so that streams end."""

    def __post_init__(self) -> None:
        self.sign_ins = SignIns(self)
