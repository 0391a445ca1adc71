"""A service that tells its servers what they lack, and is killed like with kill -9 at one of the things that it does.

A step is a commit, the return of a connection after it, and each request to a server: before it leaves, and once it is
answered.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Connection, event, select, update

from webhook import app, clock
from webhook.domain.states import DeliveryState
from webhook.queues import jobs
from webhook.queues.jobs import JobState
from webhook.service import Service
from webhook.storage.tables import account, delivery

MAX_ROUNDS = 40


class Killer:
    """Kills this process when it comes to the `step`-th thing that it does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def come(self, *given: Any) -> None:
        self.step -= 1
        if not self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, service: Service) -> None:
        event.listen(service.database.engine, "commit", self.come)
        event.listen(service.database.engine, "checkin", self.come)
        send = httpx.AsyncClient.send

        async def send_and_come(
            client: httpx.AsyncClient, request: httpx.Request, **more: Any
        ) -> httpx.Response:
            self.come()
            answer = await send(client, request, **more)
            await answer.aread()
            self.come()
            return answer

        httpx.AsyncClient.send = send_and_come  # type: ignore[method-assign,assignment]


def tell(environ: dict[str, str], step: int) -> None:
    """Work until nothing is left to tell, and exit with 0; or die at that step."""
    service = app.open_service(environ)
    service.database.do(expire_leases)  # as they are once another process may go on
    Killer(step).watch(service)
    with asyncio.Runner() as runner:
        runner.run(work(service))
    os._exit(0)


def expire_leases(connection: Connection) -> None:
    """Let another process go on at once, as it may some seconds after one has died."""
    past = clock.now() - timedelta(seconds=1)
    connection.execute(update(account).where(account.c.leased_until.is_not(None)).values(leased_until=past))
    connection.execute(update(account).values(held_until=None, due_at=past))
    waiting = delivery.c.state == DeliveryState.WAITING
    connection.execute(update(delivery).where(waiting).values(due_at=past))


async def work(service: Service) -> None:
    """Work until nothing waits; what is to wait for its time is given it."""
    dispatcher = service.dispatcher
    for _ in range(MAX_ROUNDS):
        await service.backfills.run_once()
        while await dispatcher.claim() or dispatcher._lanes:
            await asyncio.gather(*dispatcher._lanes)
        if not await service.database.read(has_work):
            return
        await service.database.run(expire_leases)


def has_work(connection: Connection) -> bool:
    waiting = select(delivery.c.id).where(delivery.c.state == DeliveryState.WAITING).limit(1)
    return is_running(connection) or connection.execute(waiting).first() is not None


def is_running(connection: Connection) -> bool:
    return any(one["state"] == JobState.RUNNING for one in jobs.list_jobs(connection))
