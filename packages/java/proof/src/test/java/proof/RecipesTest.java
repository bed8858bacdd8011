package proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.RetryPolicy;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import zkmini.Fault;
import zkmini.FaultRule;
import zkmini.ZkMini;
import zkmini.junit.ZkHosts;
import zkmini.junit.ZkMiniExtension;

/** Recipes of Curator on the server, with what goes wrong in production. */
@ExtendWith(ZkMiniExtension.class)
class RecipesTest {
    private final List<CuratorFramework> clients = new ArrayList<>();

    private CuratorFramework client(String hosts, RetryPolicy retry) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(hosts, 10_000, 5_000, retry);
        clients.add(client);
        client.start();
        assertTrue(client.blockUntilConnected(10, TimeUnit.SECONDS));
        return client;
    }

    private CuratorFramework client(String hosts) throws Exception {
        return client(hosts, new RetryNTimes(20, 20));
    }

    @AfterEach
    void close() {
        clients.forEach(CuratorFramework::close);
    }

    private static BlockingQueue<ConnectionState> states(CuratorFramework client) {
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
        return states;
    }

    @Test
    void aStandbyLeadsWhenTheSessionOfTheLeaderExpires(ZkMini zk) throws Exception {
        LeaderLatch a = new LeaderLatch(client(zk.hosts()), "/election", "a");
        LeaderLatch b = new LeaderLatch(client(zk.hosts()), "/election", "b");
        a.start();
        assertTrue(a.await(10, TimeUnit.SECONDS));
        b.start();
        Wait.until("both stand", () -> zk.children("/election").size() == 2);

        String leader = "/election/" + zk.children("/election").stream()
                .min((one, other) -> one.substring(one.length() - 10).compareTo(other.substring(other.length() - 10)))
                .get();
        assertEquals("a", new String(zk.get(leader), StandardCharsets.UTF_8));
        zk.expire(leader);

        assertTrue(b.await(10, TimeUnit.SECONDS), () -> zk.explain(leader));
        Wait.until("a has heard of it", () -> !a.hasLeadership());
        assertTrue(zk.explain(leader).contains("expired by the test"), zk.explain(leader));
        a.close();
        b.close();
    }

    @Test
    void aLockIsFreeWhenItsOwnerIsGone(ZkMini zk) throws Exception {
        CuratorFramework owner = client(zk.hosts());
        InterProcessMutex held = new InterProcessMutex(owner, "/lock");
        InterProcessMutex wanted = new InterProcessMutex(client(zk.hosts()), "/lock");
        assertTrue(held.acquire(10, TimeUnit.SECONDS));
        assertFalse(wanted.acquire(50, TimeUnit.MILLISECONDS));
        zk.expire(owner.getZookeeperClient().getZooKeeper().getSessionId());
        assertTrue(wanted.acquire(10, TimeUnit.SECONDS));
        wanted.release();
    }

    @Test
    void aCacheFollowsTheTree(ZkMini zk, @ZkHosts String hosts) throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        try (CuratorCache cache = CuratorCache.build(client(hosts), "/config")) {
            cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> seen.add("+" + node.getPath()))
                    .forDeletes(node -> seen.add("-" + node.getPath()))
                    .forChanges((before, after) -> seen.add(after.getPath() + "=" + new String(after.getData())))
                    .build());
            cache.start();
            zk.put("/config/colour", "green");
            Wait.untilTaken(seen, "+/config/colour");
            zk.put("/config/colour", "blue");
            Wait.untilTaken(seen, "/config/colour=blue");
            zk.restart();
            zk.deleteTree("/config");
            Wait.untilTaken(seen, "-/config/colour");
        }
    }

    @Test
    void aSessionThatExpiresIsLostAndANewOneConnects(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts());
        BlockingQueue<ConnectionState> states = states(client);
        client.create().creatingParentsIfNeeded().withMode(CreateMode.EPHEMERAL).forPath("/members/a");
        long before = client.getZookeeperClient().getZooKeeper().getSessionId();
        zk.expire("/members/a");
        Wait.untilTaken(states, ConnectionState.LOST);
        Wait.untilTaken(states, ConnectionState.RECONNECTED);
        assertNotEquals(before, client.getZookeeperClient().getZooKeeper().getSessionId());
        assertFalse(zk.exists("/members/a"));
    }

    @Test
    void aSessionExpiresByTheClockOfTheTest(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts());
        BlockingQueue<ConnectionState> states = states(client);
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/a");
        String session = zk.tree("/a").stat().ephemeralOwner().get();
        zk.manualClock();
        zk.freeze("/a");
        zk.advance(Duration.ofSeconds(30));
        assertFalse(zk.exists("/a"));
        zk.realClock();
        zk.thaw(session);
        Wait.untilTaken(states, ConnectionState.LOST);
    }

    @Test
    void aBrokenConnectionKeepsTheSession(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts());
        BlockingQueue<ConnectionState> states = states(client);
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/a");
        zk.disconnect("/a");
        Wait.untilTaken(states, ConnectionState.SUSPENDED);
        Wait.untilTaken(states, ConnectionState.RECONNECTED);
        assertTrue(zk.exists("/a"));
    }

    @Test
    void aProtectedCreateFindsItsNodeAfterALostReply(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts());
        client.create().forPath("/orders");
        FaultRule lost = zk.fault(Fault.on("create").path("/orders/*").once().dropReply());
        String path = client.create().withProtection().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/orders/order-");
        assertEquals(1, lost.fired());
        assertEquals(1, zk.children("/orders").size(), () -> zk.history().text());
        assertTrue(zk.exists(path));
    }

    @Test
    void aPlainCreateTakesItsOwnNodeForThatOfAnother(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts());
        client.create().forPath("/orders");
        try (FaultRule lost = zk.fault(Fault.on("create").path("/orders/*").once().dropReply())) {
            assertThrows(KeeperException.NodeExistsException.class, () -> client.create().forPath("/orders/1"));
            assertEquals("/orders/1", lost.hits().get(0).path().get());
        }
    }

    @Test
    void aClientWithoutRetriesSeesTheLoss(ZkMini zk) throws Exception {
        CuratorFramework client = client(zk.hosts(), new RetryOneTime(1));
        zk.fault(Fault.on("getData").fail("CONNECTIONLOSS"));
        zk.put("/a", "x");
        assertThrows(KeeperException.ConnectionLossException.class, () -> client.getData().forPath("/a"));
    }
}
