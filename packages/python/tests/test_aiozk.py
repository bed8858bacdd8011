"""Tests as a user writes them, with aiozk and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiozk
import pytest
import pytest_asyncio
from zk_mini import ZkMini

PATIENCE = 20

# aiozk finds out that a connection is closed when its heartbeat fails, so sessions are short here.
pytestmark = pytest.mark.zk(fast=True)


@asynccontextmanager
async def connected(zk: ZkMini) -> AsyncIterator[aiozk.ZKClient]:
    client = aiozk.ZKClient(zk.hosts, session_timeout=0.6)
    await asyncio.wait_for(client.start(), PATIENCE)
    yield client
    # `close` waits for a server to say goodbye to.
    await exists(client, "/")
    await asyncio.wait_for(client.close(), PATIENCE)


async def exists(client: aiozk.ZKClient, path: str) -> bool:
    """Asks until there is an answer: a call on a connection that was closed fails."""
    while True:
        try:
            return bool(await asyncio.wait_for(client.exists(path), PATIENCE))
        except aiozk.exc.TimeoutError:
            continue


@pytest_asyncio.fixture
async def client(zk: ZkMini) -> AsyncIterator[aiozk.ZKClient]:
    async with connected(zk) as client:
        yield client


async def test_a_client_hears_of_the_expiry_of_another(zk: ZkMini, client: aiozk.ZKClient) -> None:
    async with connected(zk) as worker:
        await worker.create("/worker", ephemeral=True)
        gone = client.wait_for_events([aiozk.WatchEvent.DELETED], "/worker")
        assert await client.exists("/worker", watch=True)

        zk.expire("/worker")

        await asyncio.wait_for(gone, PATIENCE)
        assert not await client.exists("/worker"), zk.explain("/worker")
        # The worker gets a new session, and has no node any more.
        assert not await exists(worker, "/worker")


async def test_a_lost_reply_is_an_order_that_was_placed(zk: ZkMini, client: aiozk.ZKClient) -> None:
    await client.create("/orders")
    lost = zk.fault("create", "/orders/*", drop="after_apply", times=1)

    with pytest.raises(aiozk.exc.TimeoutError):
        await asyncio.wait_for(client.create("/orders/1", b"tea"), PATIENCE)

    assert lost.fired == 1
    assert await exists(client, "/orders/1"), zk.explain("/orders/1")
    assert zk.get("/orders/1") == b"tea"
