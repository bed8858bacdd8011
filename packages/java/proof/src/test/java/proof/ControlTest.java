package proof;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import zkmini.Clock;
import zkmini.Fault;
import zkmini.FaultHit;
import zkmini.FaultRule;
import zkmini.HistoryEntry;
import zkmini.Node;
import zkmini.NotFoundException;
import zkmini.RefusedException;
import zkmini.Session;
import zkmini.StartException;
import zkmini.Stat;
import zkmini.UnexpectedAnswerException;
import zkmini.UnreachableException;
import zkmini.ZkMini;
import zkmini.junit.ZkMiniExtension;

/** Each call of the control, with the client of ZooKeeper. */
class ControlTest {
    @RegisterExtension
    static final ZkMiniExtension extension = ZkMiniExtension.create();

    @TempDir
    Path folder;

    /** Client of ZooKeeper that keeps the states that it hears of. */
    private static final class Client implements AutoCloseable {
        private final BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        private final ZooKeeper zk;

        private Client(ZkMini server) throws Exception {
            zk = new ZooKeeper(server.hosts(), 10_000, event -> states.add(event.getState()));
            Wait.untilTaken(states, KeeperState.SyncConnected);
        }

        private void ephemeral(String path) throws Exception {
            zk.create(path, new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        }

        @Override
        public void close() throws Exception {
            zk.close();
        }
    }

    @Test
    void nodesAreWrittenReadAndDeleted(ZkMini zk) {
        byte[] bytes = {0, (byte) 0xff, 7};
        Stat stat = zk.put("/a b/ü%?&#+/c", bytes);
        assertEquals(3, stat.dataLength());
        assertArrayEquals(bytes, zk.get("/a b/ü%?&#+/c"));
        assertEquals(Collections.singletonList("ü%?&#+"), zk.children("/a b"));
        assertEquals(1, zk.put("/a b/ü%?&#+/c", "green").version());
        Node node = zk.tree("/a b");
        assertEquals("green", node.children().get(0).children().get(0).text());
        assertEquals(0, zk.tree("/a b", 0).children().size());
        assertEquals("persistent", node.kind());
        assertEquals(1, node.stat().numChildren());
        assertTrue(node.stat().created().isAfter(Instant.parse("2020-01-01T00:00:00Z")));
        assertEquals("/queue/task-0000000000", zk.putSequential("/queue/task-", new byte[0]));

        RefusedException refused = assertThrows(RefusedException.class, () -> zk.delete("/a b"));
        assertEquals(409, refused.status());
        assertEquals("conflict", refused.code());
        assertTrue(refused.getMessage().contains("has a child"), refused.getMessage());
        zk.deleteTree("/a b");
        assertFalse(zk.exists("/a b"));
        assertThrows(NotFoundException.class, () -> zk.get("/a b"));
        assertThrows(NotFoundException.class, () -> zk.delete("/a b"));
        assertThrows(IllegalArgumentException.class, () -> zk.put("a", "x"));
        zk.put("/empty", "");
        zk.delete("/empty");
        assertTrue(zk.exists("/"));
    }

    @Test
    void sessionsAreSeenAndEnded(ZkMini zk) throws Exception {
        try (Client client = new Client(zk)) {
            client.ephemeral("/mine");
            client.zk.exists("/mine", true);
            Session session = zk.sessions().get(0);
            assertEquals("0x" + Long.toHexString(client.zk.getSessionId()), session.id());
            assertEquals(Duration.ofSeconds(10), session.timeout());
            assertTrue(session.isConnected() && !session.isFrozen() && session.client().isPresent());
            assertEquals(Collections.singletonList("/mine"), session.ephemerals());
            assertEquals(1, session.watches());
            assertTrue(session.expiresIn().compareTo(Duration.ZERO) > 0);
            assertEquals(session.id(), zk.connections().get(0).session().get());
            assertEquals(session.client(), zk.connections().get(0).client());
            assertTrue(zk.connections().get(0).since().isAfter(Instant.EPOCH));
            assertTrue(zk.connections().get(0).received() > 0 && zk.connections().get(0).sent() > 0);
            assertEquals("/mine", zk.watches().get(0).path());
            assertEquals("data", zk.watches().get(0).kind());
            assertEquals(session.id(), zk.tree("/mine").stat().ephemeralOwner().get());

            zk.disconnect(session.id());
            Wait.untilTaken(client.states, KeeperState.Disconnected);
            Wait.untilTaken(client.states, KeeperState.SyncConnected);
            zk.putEphemeral("/ours/too", new byte[] {1}, session.id());
            zk.freeze("/mine");
            assertTrue(zk.sessions().get(0).isFrozen());
            zk.thaw("/mine");
            assertFalse(zk.sessions().get(0).isFrozen());

            zk.expire(client.zk.getSessionId());
            Wait.untilTaken(client.states, KeeperState.Expired);
            assertFalse(zk.exists("/mine") || zk.exists("/ours/too"));
            assertEquals(Collections.emptyList(), zk.sessions());
            assertThrows(NotFoundException.class, () -> zk.expire(session.id()));
        }
        zk.put("/nobodys", "");
        assertThrows(RefusedException.class, () -> zk.expire("/nobodys"));
        assertThrows(IllegalArgumentException.class, () -> zk.disconnect("/nobodys"));
        assertThrows(IllegalArgumentException.class, () -> zk.expire("nobodys"));
        try (Client one = new Client(zk); Client other = new Client(zk)) {
            zk.expireAll();
            Wait.untilTaken(one.states, KeeperState.Expired);
            Wait.untilTaken(other.states, KeeperState.Expired);
        }
    }

    @Test
    void theClockIsMoved(ZkMini zk) {
        assertFalse(zk.clock().isManual());
        assertEquals(Duration.ofSeconds(2), zk.clock().tick());
        zk.manualClock();
        Clock before = zk.clock();
        Clock after = zk.advance(Duration.ofHours(3));
        assertTrue(after.isManual());
        assertEquals(Duration.ofHours(3), Duration.between(before.now(), after.now()));
        assertEquals(Duration.ofSeconds(6), Duration.between(after.now(), zk.advanceTicks(3).now()));
        Instant deadline = zk.advanceToNextDeadline().now();
        assertEquals(Duration.ofMinutes(-5), Duration.between(deadline, zk.jumpWallClock(Duration.ofMinutes(-5)).now()));
        zk.realClock();
        assertFalse(zk.clock().isManual());
        assertTrue(zk.advance(Duration.ZERO).isManual());
    }

    @Test
    void everyFaultIsTakenByTheServer(ZkMini zk) {
        Duration time = Duration.ofMillis(5);
        List<Fault> faults = Arrays.asList(
                Fault.on("create").path("/a/**").nth(2).fail("NONODE"),
                Fault.on("create", "delete").session("0x17").every(3).delay(time),
                Fault.on("*").session(Long.MIN_VALUE).times(4).delayReply(time),
                Fault.on("getData").probability(0.5, 7).dropRequest(),
                Fault.on("getData").dropReply(),
                Fault.on("setData").ignoreRequest(),
                Fault.on("setData").ignoreReply(),
                Fault.onConnect().slow(time, 1000),
                Fault.onConnect().refuse(),
                Fault.onReattach().once().refuse(),
                Fault.onEvent("NodeDeleted").path("/a/*").dropEvent(),
                Fault.onExpiry().holdEphemerals(time));
        for (Fault fault : faults) {
            FaultRule rule = zk.fault(fault);
            assertEquals(0, rule.fired(), rule.text());
            assertEquals(0, rule.matched());
            assertEquals(Collections.emptyList(), rule.hits());
        }
        FaultRule removed = zk.fault(faults.get(0));
        removed.remove();
        removed.close();
        zk.clearFaults();
        assertThrows(NotFoundException.class, removed::fired);
        String negative = zk.fault(Fault.on("getData").probability(0.5, -7).dropReply()).text();
        assertTrue(negative.contains("seed 18446744073709551609"), negative);
        RefusedException refused = assertThrows(RefusedException.class, () -> zk.fault(Fault.on("creat").dropReply()));
        assertEquals(400, refused.status());
        assertTrue(refused.getMessage().contains("creat"), refused.getMessage());
    }

    @Test
    void aSessionIsNamedByItsNodeItsIdOrItsNumber(ZkMini zk) throws Exception {
        try (Client client = new Client(zk); Client other = new Client(zk)) {
            long number = client.zk.getSessionId();
            String id = "0x" + Long.toHexString(number);
            client.ephemeral("/member");
            zk.putEphemeral("/a", new byte[0], "/member");
            zk.putEphemeral("/b", new byte[0], number);
            for (String path : Arrays.asList("/a", "/b")) {
                assertEquals(id, zk.tree(path).stat().ephemeralOwner().get());
            }

            FaultRule rule = zk.fault(Fault.on("getData").session("/member").fail("NOAUTH"));
            assertThrows(KeeperException.NoAuthException.class, () -> client.zk.getData("/a", false, null));
            other.zk.getData("/a", false, null);
            rule.remove();

            List<HistoryEntry> byNode = zk.history().session("/member").kinds("connect", "transaction").list();
            assertEquals(id, byNode.get(0).session().get());
            assertEquals(byNode.size(), zk.history().session(number).kinds("connect", "transaction").list().size());

            zk.freeze(number);
            assertTrue(zk.sessions().stream().anyMatch(session -> session.isFrozen() && session.id().equals(id)));
            zk.thaw(number);
            assertFalse(zk.sessions().stream().anyMatch(Session::isFrozen));
            zk.disconnect(number);
            Wait.untilTaken(client.states, KeeperState.Disconnected);
        }
        zk.put("/nobodys", "");
        assertThrows(IllegalArgumentException.class, () -> zk.putEphemeral("/c", new byte[0], "/nobodys"));
        assertThrows(IllegalArgumentException.class, () -> zk.fault(Fault.on("*").session("/nobodys").dropReply()));
        assertThrows(IllegalArgumentException.class, () -> zk.history().session("/nobodys"));
    }

    @Test
    void watchesAreNarrowedDown(ZkMini zk) throws Exception {
        try (Client client = new Client(zk)) {
            for (String path : Arrays.asList("/a/1", "/a/2", "/b")) {
                client.zk.exists(path, true);
            }
            assertEquals(3, zk.watches().size());
            assertEquals(2, zk.watches("/a/*").size());
            assertEquals("/a/1", zk.watches("/**", 1).get(0).path());
            assertEquals(1, zk.watches("/**", 1).size());
        }
    }

    @Test
    void anyCallIsMade(ZkMini zk) {
        assertTrue(zk.call("GET", "/metrics", null).contains("\nznode_count "));
        assertTrue(zk.call("POST", "/v1/clock", "{\"mode\":\"manual\"}").contains("\"mode\":\"manual\""));
        String made = new String(zk.call("PUT", "/v1/nodes/a%20b", "application/octet-stream", new byte[] {7}));
        assertTrue(made.contains("\"path\":\"/a b\""), made);
        assertArrayEquals(new byte[] {7}, zk.get("/a b"));
        zk.call("POST", "/v1/reset?all=true", null);
        assertFalse(zk.exists("/a b") || zk.clock().isManual());
        assertThrows(NotFoundException.class, () -> zk.call("GET", "/v1/none", null));
        assertEquals(405, assertThrows(RefusedException.class, () -> zk.call("GET", "/commands/stat_reset", null)).status());
        assertThrows(IllegalArgumentException.class, () -> zk.call("GET", "v1/status", null));
    }

    @Test
    void aRuleTellsWhatItHit(ZkMini zk) throws Exception {
        try (Client client = new Client(zk)) {
            FaultRule rule = zk.fault(Fault.on("create").path("/a").fail("NONODE"));
            assertThrows(KeeperException.NoNodeException.class, () -> client.ephemeral("/a"));
            FaultHit hit = rule.hits().get(0);
            assertEquals(1, hit.number());
            assertEquals("create", hit.op().get());
            assertEquals("/a", hit.path().get());
            assertEquals(zk.sessions().get(0).id(), hit.session().get());
        }
    }

    @Test
    void whatHasHappenedIsTold(ZkMini zk) {
        // A reset does not empty the history.
        List<HistoryEntry> before = zk.history().limit(1).list();
        long last = before.isEmpty() ? 0 : before.get(0).seq();
        zk.put("/a", "1");
        zk.put("/b", "1");
        zk.delete("/a");
        List<HistoryEntry> entries = zk.history().after(last).path("/a").kinds("transaction").list();
        assertEquals(2, entries.size());
        assertEquals("created", entries.get(0).what());
        assertEquals("/a", entries.get(1).path().get());
        assertTrue(entries.get(0).seq() < entries.get(1).seq());
        assertEquals("deleted", zk.history().after(entries.get(0).seq()).path("/a").limit(1).list().get(0).what());
        assertTrue(zk.history().path("/a").text().contains("created over HTTP"), zk.history().text());
        String told = zk.explain("/a");
        assertTrue(told.startsWith("/a does not exist\n") && told.contains("deleted over HTTP"), told);
        assertEquals("/none does not exist\n  nothing in the history has to do with it", zk.explain("/none"));
        assertEquals(1, zk.history().latest(1).size());
        long end = zk.history().latest(1).get(0).seq();
        assertEquals(end, zk.history().after(last).latest(1).get(0).seq());
        assertTrue(zk.history().after(end).latest(1).isEmpty());
        assertEquals(0, zk.history().session("0x17").list().size());
        for (HistoryEntry entry : zk.history().list()) {
            assertTrue(entry.line().contains(entry.kind()), entry.line());
        }
    }

    @Test
    void childrenAreListedHoweverMuchDataTheyHave(ZkMini zk) {
        for (int part = 0; part < 34; part++) {
            zk.put("/large/part-" + part, new byte[1_000_000]);
        }
        assertEquals(34, zk.children("/large").size());
        assertEquals(400, assertThrows(RefusedException.class, () -> zk.tree("/large")).status());
    }

    @Test
    void whatHasChangedIsToldAfterManyReads(ZkMini zk) throws Exception {
        try (Client client = new Client(zk)) {
            client.ephemeral("/told");
            for (int read = 0; read < 2000; read++) {
                client.zk.getData("/told", false, null);
            }
            for (int limit : new int[] {50, 10_000}) {
                List<HistoryEntry> latest = zk.history().latest(limit);
                assertTrue(latest.stream().anyMatch(entry -> entry.line().contains("/told created")), latest.toString());
                assertFalse(latest.stream().anyMatch(entry -> entry.kind().equals("request")), latest.toString());
            }
        }
    }

    @Test
    void aServerIsFrozenRestartedAndReset(ZkMini zk) throws Exception {
        zk.freeze();
        assertTrue(zk.status().isFrozen());
        zk.thaw();
        assertFalse(zk.status().isFrozen());
        zk.put("/a", "x");
        zk.restart();
        assertTrue(zk.exists("/a"));
        zk.restartLosingUnsynced();
        assertFalse(zk.exists("/a"));

        zk.put("/a", "x");
        zk.manualClock();
        FaultRule rule = zk.fault(Fault.on("create").dropReply());
        zk.reset();
        assertFalse(zk.exists("/a"));
        assertTrue(zk.clock().isManual());
        assertEquals(0, rule.fired());
        zk.freeze();
        zk.resetAll();
        assertFalse(zk.clock().isManual() || zk.status().isFrozen());
        assertThrows(NotFoundException.class, rule::fired);
        assertEquals(4, zk.status().nodes());
    }

    @Test
    void theTreeGoesOutAndIn(ZkMini zk) {
        zk.put("/config/colour", "green");
        byte[] snapshot = zk.snapshot();
        assertEquals("/config: {}\n/config/colour:\n  data: green", zk.snapshotText().trim());
        zk.restoreText("/other: {data: blue}");
        assertFalse(zk.exists("/config"));
        assertArrayEquals("blue".getBytes(), zk.get("/other"));
        zk.restore(snapshot);
        assertArrayEquals("green".getBytes(), zk.get("/config/colour"));
        assertThrows(RefusedException.class, () -> zk.restore(new byte[] {1, 2, 3}));
        assertTrue(zk.exists("/config/colour"));
    }

    @Test
    void settingsOfAServer() throws Exception {
        Path data = folder.resolve("data");
        try (ZkMini zk = ZkMini.builder().dataDirectory(data).tick(Duration.ofMillis(50)).options("--compat", "3.8").start()) {
            assertEquals(Duration.ofMillis(50), zk.clock().tick());
            assertTrue(zk.status().compat().startsWith("3.8"), zk.status().compat());
            assertEquals("127.0.0.1", zk.host());
            assertEquals(zk.hosts(), zk.host() + ":" + zk.port());
            zk.put("/kept", "x");
        }
        try (ZkMini zk = ZkMini.builder().dataDirectory(data).listen("localhost:0").start()) {
            assertTrue(zk.exists("/kept"));
            assertTrue(zk.port() > 0);
        }
    }

    @Test
    void aServerThatStallsEndsAllTheSame() {
        ZkMini zk = ZkMini.start();
        zk.manualClock();
        zk.freeze();
        Thread.currentThread().interrupt();
        zk.close();
        assertTrue(Thread.interrupted());
        ZkMini other = ZkMini.start();
        other.manualClock();
        other.freeze();
        other.close();
        String message = assertThrows(UnreachableException.class, other::status).getMessage();
        assertTrue(message.contains("has ended with status 0"), message);
    }

    @Test
    void aServerIsTakenOver(ZkMini zk) {
        zk.put("/a", "x");
        try (ZkMini other = ZkMini.attach(zk.http())) {
            assertEquals(zk.hosts(), other.hosts());
            assertTrue(other.exists("/a"));
            assertEquals("", other.log());
        }
        assertTrue(zk.exists("/a"));
        try (ZkMini ensemble = ZkMini.builder().servers(3).start()) {
            assertEquals(ensemble.hosts(), ZkMini.attach(ensemble.http()).hosts());
            assertEquals("zk:1,zk:2", ZkMini.attach(ensemble.http(), "zk:1,zk:2", null).hosts());
        }
        List<String> wrong = Arrays.asList(
                "localhost:2181", "localhost", "http://localhost", "https://localhost:2181", "http://[::1]", "http://localhost:2181/v1");
        for (String url : wrong) {
            String message = assertThrows(StartException.class, () -> ZkMini.attach(URI.create(url))).getMessage();
            assertTrue(message.contains("write http://HOST:PORT"), message);
        }
        // These tests do not run under `zk-mini exec`.
        assertTrue(assertThrows(StartException.class, ZkMini::attach).getMessage().contains("ZK_MINI_HTTP"));
    }

    @Test
    void failuresSayWhatIsWrong() throws Exception {
        StartException option = assertThrows(StartException.class, () -> ZkMini.builder().options("--no-such").start());
        assertTrue(option.getMessage().contains("ended with status 2") && option.getMessage().contains("--no-such"), option.getMessage());

        Path noProgram = Files.write(folder.resolve("no-program"), "hello".getBytes());
        assertTrue(noProgram.toFile().setExecutable(true));
        StartException text = assertThrows(StartException.class, () -> ZkMini.builder().program(noProgram).start());
        assertTrue(text.getMessage().contains(noProgram.toString()), text.getMessage());

        Path other = Files.write(folder.resolve("other"), "#!/bin/sh\necho hello\nexec cat\n".getBytes());
        assertTrue(other.toFile().setExecutable(true));
        StartException hello = assertThrows(StartException.class, () -> ZkMini.builder().program(other).start());
        assertTrue(hello.getMessage().contains("`hello`"), hello.getMessage());

        Path stranger = Files.write(folder.resolve("stranger"), "#!/bin/sh\necho '{\"listen\":7}'\nexec cat\n".getBytes());
        assertTrue(stranger.toFile().setExecutable(true));
        Set<ProcessHandle> before = ProcessHandle.current().children().collect(Collectors.toSet());
        assertThrows(UnexpectedAnswerException.class, () -> ZkMini.builder().program(stranger).start());
        assertEquals(0, ProcessHandle.current().children().filter(child -> !before.contains(child)).count());

        ZkMini closed = ZkMini.start();
        closed.close();
        closed.close();
        UnreachableException gone = assertThrows(UnreachableException.class, closed::status);
        assertTrue(gone.getMessage().contains("has ended with status 0"), gone.getMessage());
        assertNotEquals("", closed.log());

        assertTrue(assertThrows(UnexpectedAnswerException.class, () -> attachToOneThatSays("{}")).getMessage().contains("`api` is missing"));
        assertTrue(assertThrows(UnexpectedAnswerException.class, () -> attachToOneThatSays("<p>")).getMessage().contains("no JSON"));
        assertTrue(assertThrows(StartException.class, () -> attachToOneThatSays("{\"api\":2}")).getMessage().contains("has version 2"));
    }

    @Test
    void theTokenIsBrought() throws Exception {
        Path token = Files.write(folder.resolve("token"), "0123456789abcdef\n".getBytes());
        String program = ProcessTest.program().toString();
        ProcessBuilder serve = new ProcessBuilder(program, "serve", "--listen", "127.0.0.1:0", "--ready", "json", "--stop-on-eof");
        serve.command().addAll(Arrays.asList("--http-token-file", token.toString()));
        Process server = serve.redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(server.getInputStream()))) {
            URI http = URI.create(out.readLine().replaceAll(".*\"http\":\"([^\"]+)\".*", "$1"));
            assertEquals(401, assertThrows(RefusedException.class, () -> ZkMini.attach(http)).status());
            ZkMini attached = ZkMini.attach(http, null, "0123456789abcdef\n");
            attached.put("/a", "x");
            assertTrue(attached.exists("/a"));
        } finally {
            server.destroyForcibly().waitFor();
        }
    }

    /** Attaches to a server that gives one answer. */
    private static void attachToOneThatSays(String answer) throws Exception {
        try (ServerSocket listener = new ServerSocket(0)) {
            Thread server = new Thread(() -> {
                try (java.net.Socket socket = listener.accept()) {
                    socket.getInputStream().read(new byte[4096]);
                    String head = "HTTP/1.1 200 OK\r\nContent-Length: " + answer.length() + "\r\n\r\n";
                    socket.getOutputStream().write((head + answer).getBytes());
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            server.start();
            try {
                ZkMini.attach(URI.create("http://127.0.0.1:" + listener.getLocalPort()));
            } finally {
                server.join();
            }
        }
    }
}
