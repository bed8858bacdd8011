package proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.platform.testkit.engine.EngineExecutionResults;
import org.junit.platform.testkit.engine.EngineTestKit;
import zkmini.UnreachableException;
import zkmini.ZkMini;
import zkmini.junit.ZkHosts;
import zkmini.junit.ZkMiniExtension;

/** Classes of tests, run as an IDE runs them. */
class ExtensionTest {
    /** Servers that the tests of a class got. */
    private static final Set<ZkMini> SEEN = ConcurrentHashMap.newKeySet();

    private static EngineExecutionResults run(Class<?>... classes) {
        SEEN.clear();
        EngineTestKit.Builder kit = EngineTestKit.engine("junit-jupiter")
                .configurationParameter("junit.jupiter.execution.parallel.enabled", "true")
                .configurationParameter("junit.jupiter.execution.parallel.config.strategy", "fixed")
                .configurationParameter("junit.jupiter.execution.parallel.config.fixed.parallelism", "4");
        for (Class<?> type : classes) {
            kit.selectors(selectClass(type));
        }
        return kit.execute();
    }

    private static void assertPassed(EngineExecutionResults results, int tests) {
        StringBuilder failures = new StringBuilder();
        results.allEvents().failed().stream().forEach(event -> failures.append(event).append('\n'));
        assertEquals("", failures.toString());
        assertEquals(tests, results.testEvents().succeeded().count());
        for (ZkMini server : SEEN) {
            assertThrows(UnreachableException.class, server::status, "a server outlives its tests");
        }
    }

    @ExtendWith(ZkMiniExtension.class)
    static class ByClass {
        @BeforeAll
        static void before(ZkMini zk) {
            SEEN.add(zk);
            zk.put("/before", "");
        }

        @BeforeEach
        void beforeEach(ZkMini zk, @ZkHosts String hosts) {
            assertEquals(zk.hosts(), hosts);
            zk.put("/each", "");
        }

        @RepeatedTest(3)
        void empty(ZkMini zk) {
            SEEN.add(zk);
            assertFalse(zk.exists("/a") || zk.exists("/before"));
            assertTrue(zk.exists("/each"));
            zk.put("/a", "");
            zk.manualClock();
        }

        @Nested
        class Inner {
            @Test
            void empty(ZkMini zk) {
                SEEN.add(zk);
                assertFalse(zk.exists("/a") || zk.clock().isManual());
            }
        }
    }

    @Test
    void aClassHasOneServerThatIsReset() {
        assertPassed(run(ByClass.class), 4);
        assertEquals(1, SEEN.size());
    }

    static class ByTest {
        @RegisterExtension
        final ZkMiniExtension zk = ZkMiniExtension.create();

        @RepeatedTest(3)
        void own(ZkMini server) {
            SEEN.add(server);
            assertEquals(server, zk.server());
        }
    }

    @Test
    void aFieldOfAnInstanceIsAServerForEachTest() {
        assertPassed(run(ByTest.class), 3);
        assertEquals(3, SEEN.size());
    }

    @Execution(ExecutionMode.CONCURRENT)
    static class InParallel {
        static final CyclicBarrier TOGETHER = new CyclicBarrier(2);

        @RegisterExtension
        static final ZkMiniExtension zk = ZkMiniExtension.create();

        static void work(ZkMini server) throws Exception {
            SEEN.add(server);
            assertEquals(server.hosts(), zk.hosts());
            server.put("/a", "");
            await();
            assertTrue(server.exists("/a"));
            assertEquals(1, server.history().path("/a").kinds("transaction").list().size());
            // Which test a further thread belongs to cannot be known while several run.
            Throwable[] thrown = new Throwable[1];
            Thread thread = new Thread(() -> thrown[0] = assertThrows(IllegalStateException.class, zk::server));
            thread.start();
            thread.join();
            assertTrue(thrown[0].getMessage().contains("2 tests run"), thrown[0].getMessage());
            await();
        }

        static void await() throws BrokenBarrierException, InterruptedException, java.util.concurrent.TimeoutException {
            TOGETHER.await(20, TimeUnit.SECONDS);
        }

        @Test
        void one(ZkMini server) throws Exception {
            work(server);
        }

        @Test
        void other(ZkMini server) throws Exception {
            work(server);
        }
    }

    @Test
    void parallelTestsHaveServersOfTheirOwn() {
        assertPassed(run(InParallel.class), 2);
        assertEquals(2, SEEN.size());
    }

    static class Base {
        @RegisterExtension
        static final ZkMiniExtension zk = ZkMiniExtension.create();

        @RepeatedTest(5)
        void empty() {
            SEEN.add(zk.server());
            assertFalse(zk.server().exists("/a"));
            zk.server().put("/a", "");
        }
    }

    @Execution(ExecutionMode.CONCURRENT)
    static class First extends Base {
        @Override
        @Execution(ExecutionMode.SAME_THREAD)
        @RepeatedTest(5)
        void empty() {
            super.empty();
        }
    }

    @Execution(ExecutionMode.CONCURRENT)
    static class Second extends First {}

    @Test
    void classesInParallelDoNotShareTheServerOfAFieldOfTheirBase() {
        assertPassed(run(First.class, Second.class), 10);
        assertTrue(SEEN.size() >= 2);
    }

    static class Kept {
        @RegisterExtension
        static final ZkMiniExtension zk = ZkMiniExtension.create().keepBetweenTests();

        @BeforeAll
        static void before() {
            zk.server().put("/before", "");
        }

        @RepeatedTest(2)
        @Execution(ExecutionMode.CONCURRENT)
        void kept() throws Exception {
            SEEN.add(zk.server());
            assertTrue(zk.server().exists("/before"));
        }
    }

    @Test
    void aServerCanBeKept() {
        assertPassed(run(Kept.class), 2);
        assertEquals(1, SEEN.size());
    }

    static class Loaded {
        private static Path tree;

        @RegisterExtension
        static final ZkMiniExtension zk = ZkMiniExtension.create().with(builder -> builder.options("--load", tree.toString()));

        @BeforeAll
        static void before() {
            zk.server().put("/before", "");
        }

        @RepeatedTest(2)
        void loaded(ZkMini server) {
            SEEN.add(server);
            assertEquals(Arrays.asList("config", "zookeeper"), server.children("/"));
            assertEquals("green", server.tree("/config/colour").text());
            server.put("/config/colour", "blue");
            server.put("/a", "");
        }
    }

    @Test
    void aTestBeginsWithTheNodesOfTheStart(@TempDir Path folder) throws Exception {
        Loaded.tree = Files.write(folder.resolve("tree.yaml"), "/config/colour: {data: green}\n".getBytes());
        assertPassed(run(Loaded.class), 2);
        assertEquals(1, SEEN.size());
    }

    @ExtendWith(ZkMiniExtension.class)
    static class Failing {
        @Test
        void fails(ZkMini zk) {
            zk.put("/wanted", "");
            fail("as it should");
        }

        @Test
        void passes(ZkMini zk) {
            zk.put("/quiet", "");
        }
    }

    @Test
    void aFailureTellsWhatTheServerSaw() {
        EngineExecutionResults results = run(Failing.class);
        assertEquals(1, results.testEvents().failed().count());
        assertEquals(1, results.testEvents().succeeded().count());
        assertEquals(1, results.testEvents().reportingEntryPublished().count());
        results.testEvents().reportingEntryPublished().stream().forEach(event -> {
            Map<String, String> entry = event.getRequiredPayload(org.junit.platform.engine.reporting.ReportEntry.class)
                    .getKeyValuePairs();
            String history = entry.get("zk-mini history");
            assertTrue(history.contains("/wanted created over HTTP"), history);
            assertFalse(history.contains("/quiet"), history);
        });
    }

    @Test
    void outsideOfATestThereIsNoServer() {
        assertTrue(assertThrows(IllegalStateException.class, () -> ZkMiniExtension.create().server()).getMessage().contains("0 tests run"));
        assertNotEquals(null, ZkMiniExtension.create().with(builder -> builder));
    }
}
