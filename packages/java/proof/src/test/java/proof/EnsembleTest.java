package proof;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ServerSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.function.Executable;
import zkmini.NotFoundException;
import zkmini.RefusedException;
import zkmini.Server;
import zkmini.ServerInfo;
import zkmini.ZkMini;
import zkmini.curator.FailedServerStartException;
import zkmini.curator.InstanceSpec;
import zkmini.curator.TestingCluster;
import zkmini.junit.ZkMiniExtension;

/** Servers of an ensemble are broken and mended, with clients of ZooKeeper. */
class EnsembleTest {
    @RegisterExtension
    static final ZkMiniExtension extension = ZkMiniExtension.create().with(builder -> builder.servers(3));

    /** Client of ZooKeeper that keeps the states that it hears of. */
    private static final class Client implements AutoCloseable {
        private final BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        private final ZooKeeper zk;

        private Client(String servers, boolean canBeReadOnly) throws Exception {
            zk = new ZooKeeper(servers, 10_000, event -> states.add(event.getState()), canBeReadOnly);
        }

        private Client(String servers) throws Exception {
            this(servers, false);
            Wait.untilTaken(states, KeeperState.SyncConnected);
        }

        private void create(String path) throws Exception {
            zk.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }

        @Override
        public void close() throws Exception {
            zk.close();
        }
    }

    private static String address(ZkMini zk, int number) {
        return zk.servers().get(number - 1).address();
    }

    @Test
    void theServersAreListed(ZkMini zk) {
        List<ServerInfo> servers = zk.servers();
        assertEquals(Arrays.asList(1, 2, 3), servers.stream().map(ServerInfo::number).collect(Collectors.toList()));
        assertEquals(zk.hosts(), servers.stream().map(ServerInfo::address).collect(Collectors.joining(",")));
        assertEquals(1, servers.stream().filter(ServerInfo::isLeader).count());
        for (ServerInfo server : servers) {
            assertEquals("running", server.state());
            assertEquals(zk.status().lastZxid(), server.lastZxid());
            assertFalse(server.lagTime().isPresent() || server.lagTransactions().isPresent());
        }
        try (ZkMini single = ZkMini.start()) {
            assertEquals(Collections.emptyList(), single.servers());
            assertThrows(NotFoundException.class, () -> single.server(1).stop());
        }
    }

    @Test
    void allServersAreStoppedAndStarted(ZkMini zk) throws Exception {
        try (Client client = new Client(zk.hosts())) {
            client.create("/a");
            for (int number = 1; number <= 3; number++) {
                zk.server(number).stop();
                assertEquals("stopped", zk.server(number).info().state());
            }
            Wait.untilTaken(client.states, KeeperState.Disconnected);
            for (int number = 1; number <= 3; number++) {
                zk.server(number).start();
            }
            Wait.untilTaken(client.states, KeeperState.SyncConnected);
            assertNotNull(client.zk.exists("/a", false));
            zk.server(2).restart();
            assertEquals("running", zk.server(2).info().state());
        }
    }

    @Test
    void aServerThatLagsShowsThePast(ZkMini zk) throws Exception {
        // The extension resets between tests; the leader does not lag, so another one leads.
        zk.server(3).lead();
        try (Client reader = new Client(address(zk, 1)); Client writer = new Client(address(zk, 2))) {
            zk.server(1).lag(5);
            assertEquals(5, zk.server(1).info().lagTransactions().getAsLong());
            writer.create("/a");
            assertNull(reader.zk.exists("/a", false));
            assertEquals(1, zk.server(1).info().behind());
            zk.server(1).noLag();
            assertNotNull(reader.zk.exists("/a", false));
            zk.server(1).lag(Duration.ofMinutes(1));
            assertEquals(Duration.ofMinutes(1), zk.server(1).info().lagTime().get());
            zk.server(1).noLag();
        }
        RefusedException refused = assertThrows(RefusedException.class, () -> zk.server(3).lag(1));
        assertTrue(refused.getMessage().contains("leads"), refused.getMessage());
    }

    @Test
    void aServerIsCutOffAndFrozen(ZkMini zk) throws Exception {
        zk.server(3).lead();
        Server third = zk.server(3);
        third.partition();
        assertEquals("partitioned", third.info().state());
        assertEquals("leader", zk.server(2).info().role());
        third.heal();
        assertEquals("follower", third.info().role());
        third.freeze();
        assertEquals("frozen", third.info().state());
        third.thaw();
        assertEquals("running", third.info().state());
        assertThrows(NotFoundException.class, () -> zk.server(4).info());
        assertThrows(NotFoundException.class, () -> zk.server(4).stop());
    }

    @Test
    void withoutAQuorumOnlyReadOnlyClientsAreServed(ZkMini zk) throws Exception {
        zk.put("/a", "x");
        zk.loseQuorum();
        try (Client client = new Client(zk.hosts(), true)) {
            Wait.untilTaken(client.states, KeeperState.ConnectedReadOnly);
            assertEquals("x", new String(client.zk.getData("/a", false, null)));
            zk.regainQuorum();
            Wait.untilTaken(client.states, KeeperState.SyncConnected);
            client.create("/b");
        }
    }

    @Test
    void anAdministratorChangesTheMembers() throws Exception {
        try (ZkMini zk = ZkMini.builder().servers(3).options("--reconfig-enabled", "--skip-acl").start()) {
            zk.server(3).lead();
            BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
            // At a server that keeps its role: the others close their connections.
            try (ZooKeeperAdmin admin = new ZooKeeperAdmin(address(zk, 2), 10_000, event -> states.add(event.getState()))) {
                Wait.untilTaken(states, KeeperState.SyncConnected);
                Stat stat = new Stat();
                String first = "server.1=127.0.0.1:2888:3888:participant;" + address(zk, 1);
                assertTrue(new String(admin.getConfig(false, stat)).startsWith(first + "\n"));
                String without = new String(admin.reconfigure(null, "1", null, stat.getMzxid(), null));
                assertFalse(without.contains("server.1="), without);
                assertThrows(
                        KeeperException.BadVersionException.class,
                        () -> admin.reconfigure(null, "2", null, stat.getMzxid(), null));
                String observer = first.replace("participant", "observer");
                assertTrue(new String(admin.reconfigure(observer, null, null, -1, null)).startsWith(observer + "\n"));
                assertEquals("observer", zk.server(1).info().role());
                assertThrows(
                        KeeperException.NewConfigNoQuorum.class,
                        () -> admin.reconfigure("server.8=a:7:8;0,server.9=a:9:10;0", "3", null, -1, null));
            }
        }
    }

    @Test
    void aClusterHasAControl() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            assertThrows(IllegalStateException.class, cluster::control);
            cluster.start();
            assertEquals(cluster.getConnectString(), cluster.control().hosts());
            cluster.control().server(1).lag(3);
            assertEquals(3, cluster.control().server(1).info().lagTransactions().getAsLong());
            cluster.stop();
            assertEquals(3, cluster.control().servers().stream().filter(server -> server.state().equals("stopped")).count());
        }
    }

    @Test
    void aTakenPortIsAnErrorWithItsName() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            cluster.start();
            InstanceSpec second = cluster.getServers().get(1).getInstanceSpec();
            cluster.killServer(second);
            try (ServerSocket taken = new ServerSocket(second.getPort())) {
                FailedServerStartException failed =
                        assertThrows(FailedServerStartException.class, () -> cluster.restartServer(second));
                assertTrue(failed.getMessage().contains(Integer.toString(taken.getLocalPort())), failed.getMessage());
            }
            assertTrue(cluster.restartServer(second));
        }
    }

    @Test
    void aClusterWhoseProcessHasEndedIsStartedAgainAndClosed() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            List<InstanceSpec> specs = new ArrayList<>(cluster.getInstances());
            endProcessOf(cluster::start);
            // Here its stop finds out, and then its start.
            endProcessOf(() -> cluster.restartServer(specs.get(1)));
            assertTrue(cluster.restartServer(specs.get(0)));
            assertEquals(
                    Arrays.asList("read-only", "stopped", "stopped"),
                    cluster.control().servers().stream().map(ServerInfo::state).collect(Collectors.toList()));
            assertTrue(cluster.restartServer(specs.get(1)));
            try (Client client = new Client(cluster.getConnectString())) {
                client.create("/a");
            }
        }
        TestingCluster cluster = new TestingCluster(3);
        endProcessOf(cluster::start);
        cluster.close();
        assertThrows(IllegalStateException.class, cluster::control);
        cluster.getInstances().forEach(spec -> assertFalse(spec.getDataDirectory().exists(), spec.toString()));
    }

    /** Starts something, and kills the process that it has started. */
    private static void endProcessOf(Executable start) throws Exception {
        Set<ProcessHandle> before = ProcessHandle.current().children().collect(Collectors.toSet());
        assertDoesNotThrow(start);
        List<ProcessHandle> started =
                ProcessHandle.current().children().filter(child -> !before.contains(child)).collect(Collectors.toList());
        assertEquals(1, started.size(), started.toString());
        started.get(0).destroyForcibly();
        started.get(0).onExit().get();
    }

    @Test
    void serversStartOneByOneAndSpecsAreChecked() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            cluster.getServers().get(2).start();
            cluster.getServers().get(0).start();
            assertEquals(
                    Arrays.asList("running", "stopped", "running"),
                    cluster.control().servers().stream().map(ServerInfo::state).collect(Collectors.toList()));
            cluster.getServers().get(0).close();
            cluster.getServers().get(2).close();
            assertThrows(IllegalStateException.class, cluster::control);
        }
        InstanceSpec spec = InstanceSpec.newInstanceSpec();
        InstanceSpec other = InstanceSpec.newInstanceSpec();
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(spec));
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(spec, spec));
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(Collections.emptyList()));
        assertThrows(
                IllegalArgumentException.class,
                () -> new TestingCluster(Map.of(spec, List.of(spec), other, List.of(spec, other))));
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(spec, other).findConnectionInstance("no client"));
        assertTrue(spec.getDataDirectory().delete() && other.getDataDirectory().delete());
    }
}
