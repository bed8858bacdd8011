package proof.curator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.net.Socket;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.test.InstanceSpec;
import org.apache.curator.test.TestingCluster;
import org.apache.curator.test.TestingServer;
import org.apache.curator.test.TestingZooKeeperServer;
import org.apache.zookeeper.CreateMode;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import proof.Wait;

/**
 * Behaviour of Curator's TestingServer and TestingCluster. The build makes a second copy of this file with the imports changed, and both run: what holds
 * for one holds for the other.
 */
class TestingServerTest {
    @TempDir
    Path folder;

    private static CuratorFramework client(TestingServer server) throws Exception {
        CuratorFramework client =
                CuratorFrameworkFactory.newClient(server.getConnectString(), 15_000, 5_000, new RetryNTimes(50, 100));
        client.start();
        assertTrue(client.blockUntilConnected(20, TimeUnit.SECONDS));
        return client;
    }

    private static boolean answers(int port) {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            return true;
        } catch (java.io.IOException refused) {
            return false;
        }
    }

    @Test
    void itStartsOnAFreePort() throws Exception {
        try (TestingServer server = new TestingServer(); CuratorFramework client = client(server)) {
            assertTrue(server.getPort() > 0);
            assertEquals("127.0.0.1:" + server.getPort(), server.getConnectString());
            assertTrue(server.getTempDirectory().isDirectory());
            client.create().creatingParentsIfNeeded().forPath("/a/b", new byte[] {1});
            assertEquals(1, client.getData().forPath("/a/b")[0]);
        }
    }

    @Test
    void dataAndPortAndSessionOutlastARestart() throws Exception {
        try (TestingServer server = new TestingServer(); CuratorFramework client = client(server)) {
            BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
            client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
            int port = server.getPort();
            File directory = server.getTempDirectory();
            client.create().forPath("/kept");
            client.create().withMode(CreateMode.EPHEMERAL).forPath("/mine");
            long session = client.getZookeeperClient().getZooKeeper().getSessionId();

            server.restart();

            Wait.untilTaken(states, ConnectionState.RECONNECTED);
            assertFalse(states.contains(ConnectionState.LOST));
            assertEquals(port, server.getPort());
            assertEquals(directory, server.getTempDirectory());
            assertNotNull(client.checkExists().forPath("/kept"));
            assertEquals(session, client.checkExists().forPath("/mine").getEphemeralOwner());
        }
    }

    @Test
    void aStoppedServerRefusesAndComesBack() throws Exception {
        try (TestingServer server = new TestingServer(); CuratorFramework client = client(server)) {
            BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
            client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
            client.create().forPath("/kept");
            int port = server.getPort();
            server.stop();
            server.stop();
            Wait.untilTaken(states, ConnectionState.SUSPENDED);
            assertFalse(answers(port));
            assertEquals(port, server.getPort());
            assertTrue(server.getTempDirectory().isDirectory());

            // `start` is for a server that was not started before.
            server.start();
            assertFalse(answers(port));

            server.restart();
            Wait.untilTaken(states, ConnectionState.RECONNECTED);
            assertNotNull(client.checkExists().forPath("/kept"));
        }
    }

    @Test
    void closeDeletesTheDirectoryAndIsTheEnd() throws Exception {
        TestingServer server = new TestingServer();
        int port = server.getPort();
        server.close();
        server.close();
        assertFalse(answers(port));
        assertFalse(server.getTempDirectory().exists());
        assertThrows(IllegalStateException.class, server::restart);
        server.start();
        server.stop();
        assertFalse(answers(port));
    }

    @Test
    void aServerCanStartLater() throws Exception {
        TestingServer server = new TestingServer(false);
        assertThrows(IllegalStateException.class, server::getPort);
        assertThrows(IllegalStateException.class, server::getConnectString);
        server.stop();
        server.close();
        server.start();
        server.start();
        try (CuratorFramework client = client(server)) {
            client.create().forPath("/a");
        }
        server.close();
    }

    @Test
    void restartStartsAServerThatWasNotStarted() throws Exception {
        try (TestingServer server = new TestingServer(-1, false)) {
            server.restart();
            assertTrue(answers(server.getPort()));
        }
    }

    @Test
    void portAndDirectoryCanBeGiven() throws Exception {
        int port = InstanceSpec.getRandomPort();
        File directory = folder.resolve("data").toFile();
        assertTrue(directory.mkdir());
        try (TestingServer server = new TestingServer(port, directory); CuratorFramework client = client(server)) {
            assertEquals(port, server.getPort());
            assertEquals(directory, server.getTempDirectory());
            client.create().forPath("/a");
            assertNotEquals(0, directory.list().length);
        }
        assertFalse(directory.exists());
    }

    @Test
    void aSpecSetsTickAndDirectory() throws Exception {
        File directory = folder.resolve("kept").toFile();
        assertTrue(directory.mkdir());
        InstanceSpec spec = new InstanceSpec(
                directory, -1, -1, -1, false, -1, 300, 7, Collections.singletonMap("maxSessionTimeout", "4000"));
        assertTrue(spec.getPort() > 0);
        try (TestingServer server = new TestingServer(spec, true); CuratorFramework client = client(server)) {
            assertEquals(spec.getPort(), server.getPort());
            assertEquals(4000, client.getZookeeperClient().getZooKeeper().getSessionTimeout());
        }
        assertTrue(directory.isDirectory());
        try (TestingServer again = new TestingServer(spec, true); CuratorFramework client = client(again)) {
            assertNotNull(client.checkExists().forPath("/"));
        }
    }

    @Test
    void timeoutsOfSessionsAreFromOneSecondToTwenty() throws Exception {
        try (TestingServer server = new TestingServer()) {
            for (int[] asked : new int[][] {{10, 1000}, {5000, 5000}, {90_000, 20_000}}) {
                try (CuratorFramework client = CuratorFrameworkFactory.newClient(
                        server.getConnectString(), asked[0], 5_000, new RetryNTimes(50, 100))) {
                    client.start();
                    assertTrue(client.blockUntilConnected(20, TimeUnit.SECONDS));
                    assertEquals(asked[1], client.getZookeeperClient().getZooKeeper().getSessionTimeout());
                }
            }
        }
    }

    @Test
    void specsHaveDefaults() {
        InstanceSpec.reset();
        InstanceSpec one = InstanceSpec.newInstanceSpec();
        InstanceSpec two = InstanceSpec.newInstanceSpec();
        assertEquals(1, one.getServerId());
        assertEquals(2, two.getServerId());
        assertTrue(one.getPort() > 0 && one.getElectionPort() > 0 && one.getQuorumPort() > 0);
        assertTrue(one.getDataDirectory().isDirectory());
        assertTrue(one.deleteDataDirectoryOnClose());
        assertEquals(-1, one.getTickTime());
        assertEquals(-1, one.getMaxClientCnxns());
        assertEquals(Collections.emptyMap(), one.getCustomProperties());
        assertEquals("127.0.0.1", one.getHostname());
        assertEquals("127.0.0.1:" + one.getPort(), one.getConnectString());
        assertNotEquals(one, two);
        assertEquals(one, new InstanceSpec(null, one.getPort(), 1, 2, false, 9));
        assertEquals(one.hashCode(), new InstanceSpec(null, one.getPort(), 1, 2, false, 9).hashCode());
        InstanceSpec named = new InstanceSpec(null, 5, 6, 7, false, 8, 0, -9, null, "example");
        assertEquals("example:5", named.getConnectString());
        assertEquals(-1, named.getTickTime());
        assertEquals(-1, named.getMaxClientCnxns());
        for (InstanceSpec spec : new InstanceSpec[] {one, two, named}) {
            assertTrue(spec.getDataDirectory().delete());
        }
    }

    @Nested
    class OfCluster {
        private CuratorFramework client(String servers) throws Exception {
            CuratorFramework client = CuratorFrameworkFactory.newClient(servers, 15_000, 5_000, new RetryNTimes(100, 100));
            client.start();
            assertTrue(client.blockUntilConnected(30, TimeUnit.SECONDS));
            return client;
        }

        @Test
        void aClientOutlivesTheServerThatItIsConnectedTo() throws Exception {
            try (TestingCluster cluster = new TestingCluster(3)) {
                cluster.start();
                assertEquals(3, cluster.getInstances().size());
                try (CuratorFramework client = client(cluster.getConnectString())) {
                    BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
                    client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
                    client.create().withMode(CreateMode.EPHEMERAL).forPath("/mine");
                    long session = client.getZookeeperClient().getZooKeeper().getSessionId();
                    InstanceSpec served = cluster.findConnectionInstance(client.getZookeeperClient().getZooKeeper());
                    assertTrue(cluster.getInstances().contains(served));

                    assertTrue(cluster.killServer(served));
                    Wait.untilTaken(states, ConnectionState.RECONNECTED);
                    assertFalse(answers(served.getPort()));
                    assertEquals(session, client.checkExists().forPath("/mine").getEphemeralOwner());
                    assertNotEquals(served, cluster.findConnectionInstance(client.getZookeeperClient().getZooKeeper()));

                    assertTrue(cluster.restartServer(served));
                    Wait.until("it listens", () -> answers(served.getPort()));
                    try (CuratorFramework other = client(served.getConnectString())) {
                        other.sync().forPath("/");
                        assertNotNull(other.checkExists().forPath("/mine"));
                    }
                }
            }
        }

        @Test
        void aMinorityDoesNotServeAndAMajorityDoesAgain() throws Exception {
            try (TestingCluster cluster = new TestingCluster(3)) {
                cluster.start();
                List<TestingZooKeeperServer> servers = cluster.getServers();
                try (CuratorFramework client = client(cluster.getConnectString())) {
                    BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
                    client.getConnectionStateListenable().addListener((of, state) -> states.add(state));
                    client.create().forPath("/kept");
                    servers.get(0).stop();
                    servers.get(1).kill();
                    Wait.untilTaken(states, ConnectionState.SUSPENDED);
                    servers.get(0).restart();
                    Wait.untilTaken(states, ConnectionState.RECONNECTED);
                    assertNotNull(client.checkExists().forPath("/kept"));
                }
            }
        }

        @Test
        void specsSayWhereItListensAndWhatIsDeleted() throws Exception {
            InstanceSpec kept = new InstanceSpec(folder.resolve("kept").toFile(), -1, -1, -1, false, 1);
            InstanceSpec gone = new InstanceSpec(folder.resolve("gone").toFile(), -1, -1, -1, true, 2);
            InstanceSpec third = InstanceSpec.newInstanceSpec();
            for (InstanceSpec spec : Arrays.asList(kept, gone)) {
                assertTrue(spec.getDataDirectory().isDirectory() || spec.getDataDirectory().mkdir());
            }
            TestingCluster cluster = new TestingCluster(kept, gone, third);
            assertEquals(kept.getConnectString() + "," + gone.getConnectString() + "," + third.getConnectString(), cluster.getConnectString());
            assertFalse(answers(kept.getPort()));
            cluster.start();
            cluster.start();
            for (InstanceSpec spec : cluster.getInstances()) {
                Wait.until("it listens", () -> answers(spec.getPort()));
            }
            assertEquals(gone.getPort(), cluster.getServers().get(1).getLocalPort());
            assertFalse(cluster.killServer(InstanceSpec.newInstanceSpec()));
            assertFalse(cluster.restartServer(InstanceSpec.newInstanceSpec()));
            cluster.stop();
            assertFalse(answers(third.getPort()));
            // `start` is for servers that were not started before.
            cluster.start();
            assertFalse(answers(third.getPort()));
            assertTrue(gone.getDataDirectory().isDirectory());
            cluster.close();
            cluster.close();
            assertTrue(kept.getDataDirectory().isDirectory());
            assertFalse(gone.getDataDirectory().exists());
            assertThrows(IllegalStateException.class, () -> cluster.restartServer(gone));
        }

        @Test
        void specsAreMadeWithNumbersFromOne() {
            Collection<InstanceSpec> specs = TestingCluster.makeSpecs(3).keySet();
            assertEquals(Arrays.asList(1, 2, 3), Arrays.asList(specs.stream().map(InstanceSpec::getServerId).toArray()));
            assertEquals(4, TestingCluster.makeSpecs(1, false).keySet().iterator().next().getServerId());
            specs.forEach(spec -> assertTrue(spec.getDataDirectory().delete()));
        }
    }
}
