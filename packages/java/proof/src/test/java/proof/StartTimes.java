package proof;

import java.util.Arrays;
import java.util.concurrent.Callable;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;
import org.junit.jupiter.api.Test;
import zkmini.ZkMini;

/**
 * Measurement, by hand, as its name is not that of a test: the time until a server is ready, and until it has ended. Medians and the
 * first time, in milliseconds.
 */
class StartTimes {
    private static final int TIMES = 21;

    @Test
    void startsAndEnds() throws Exception {
        // What all have in common is loaded before.
        try (CuratorFramework client = CuratorFrameworkFactory.newClient("127.0.0.1:1", new RetryOneTime(1))) {
            client.start();
        }
        measure("zkmini.ZkMini, in memory", ZkMini::start);
        measure("zkmini.curator.TestingServer", zkmini.curator.TestingServer::new);
        measure("org.apache.curator.test.TestingServer", org.apache.curator.test.TestingServer::new);
    }

    private static void measure(String name, Callable<AutoCloseable> start) throws Exception {
        double[] starts = new double[TIMES];
        double[] stops = new double[TIMES];
        for (int i = 0; i < TIMES; i++) {
            long before = System.nanoTime();
            AutoCloseable server = start.call();
            long ready = System.nanoTime();
            server.close();
            starts[i] = (ready - before) / 1e6;
            stops[i] = (System.nanoTime() - ready) / 1e6;
        }
        double first = starts[0];
        Arrays.sort(starts);
        Arrays.sort(stops);
        System.out.printf(
                "%-40s start %6.1f ms (the first %6.1f ms), close %6.1f ms%n", name, starts[TIMES / 2], first, stops[TIMES / 2]);
    }
}
