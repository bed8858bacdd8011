"""Tests as a user writes them, with aiozk and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiozk
import pytest
import pytest_asyncio
from zk_mini import ZkMini

PATIENCE = 20
# aiozk finds out that a connection is closed when its heartbeat fails, so sessions are short here.
SESSION = {"session_timeout": 0.6}

pytestmark = pytest.mark.zk(fast=True)


@pytest_asyncio.fixture
async def client(zk: ZkMini) -> AsyncIterator[aiozk.ZKClient]:
    """A client that ends with the test."""
    client = aiozk.ZKClient(zk.hosts, **SESSION)
    await asyncio.wait_for(client.start(), PATIENCE)
    yield client
    await asyncio.wait_for(client.close(), PATIENCE)


async def test_an_async_client_hears_of_an_expiry(zk: ZkMini, client: aiozk.ZKClient) -> None:
    await client.create("/workers")
    worker = aiozk.ZKClient(zk.hosts, **SESSION)
    await asyncio.wait_for(worker.start(), PATIENCE)
    try:
        await worker.create("/workers/a", ephemeral=True)
        gone = client.wait_for_events([aiozk.WatchEvent.DELETED], "/workers/a")
        assert await client.exists("/workers/a", watch=True)

        zk.expire("/workers/a")

        await asyncio.wait_for(gone, PATIENCE)
        assert not await client.exists("/workers/a"), zk.explain("/workers/a")
        # The worker has a new session, and no node.
        assert not await asyncio.wait_for(worker.exists("/workers/a"), PATIENCE)
    finally:
        await asyncio.wait_for(worker.close(), PATIENCE)


async def test_a_lost_reply_is_an_order_that_was_placed(zk: ZkMini, client: aiozk.ZKClient) -> None:
    await client.create("/orders")
    lost = zk.fault("create", "/orders/*", drop="after_apply", times=1)

    with pytest.raises(aiozk.exc.TimeoutError):
        await asyncio.wait_for(client.create("/orders/1", b"tea"), PATIENCE)

    assert lost.fired == 1
    assert zk.get("/orders/1") == b"tea", zk.explain("/orders/1")
