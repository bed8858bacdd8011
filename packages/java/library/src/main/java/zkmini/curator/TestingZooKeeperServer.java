package zkmini.curator;

import java.io.Closeable;
import java.io.IOException;
import java.util.Collection;
import java.util.Collections;
import zkmini.Server;

/** Server of a {@link TestingCluster}, with the methods of the class of the same name in Apache Curator. The cluster makes it. */
public class TestingZooKeeperServer implements Closeable {
    private enum Phase {
        LATENT,
        STARTED,
        STOPPED,
        CLOSED
    }

    private final TestingCluster cluster;
    private final InstanceSpec spec;
    private final int number;
    private volatile Phase phase = Phase.LATENT;
    private volatile String address;

    TestingZooKeeperServer(TestingCluster cluster, InstanceSpec spec, int number) {
        this.cluster = cluster;
        this.spec = spec;
        this.number = number;
        this.address = spec.address(spec.getPort());
    }

    /** {@return its settings} */
    public InstanceSpec getInstanceSpec() {
        return spec;
    }

    /** {@return the settings of all servers of its cluster} */
    public Collection<InstanceSpec> getInstanceSpecs() {
        return cluster.getInstances();
    }

    /**
     * Returns its port.
     *
     * @return the port
     * @throws IllegalStateException if the system is to choose it, and the server has not started yet
     */
    public int getLocalPort() {
        int port = port();
        if (port == 0) {
            throw new IllegalStateException("the system chooses the port when the server starts: call start() first");
        }
        return port;
    }

    /** Stops it at once. */
    public void kill() {
        synchronized (cluster) {
            cluster.tell(this, Server::stop);
            phase = Phase.STOPPED;
        }
    }

    /**
     * Starts it, unless it has been started before.
     *
     * @throws FailedServerStartException if it does not start
     * @throws Exception for nothing else; Curator's method says so
     */
    public void start() throws Exception {
        cluster.start(Collections.singleton(this));
    }

    /**
     * Stops it. The data stay.
     *
     * @throws IOException for nothing; Curator's method says so
     */
    public void stop() throws IOException {
        synchronized (cluster) {
            if (phase == Phase.STARTED) {
                kill();
            }
        }
    }

    /**
     * Stops it, if it runs, and starts it on the same port, with everything that has happened meanwhile.
     *
     * @throws IllegalStateException if it has been closed
     * @throws Exception if it does not start
     */
    public void restart() throws Exception {
        synchronized (cluster) {
            if (phase == Phase.CLOSED) {
                throw new IllegalStateException("the server has been closed, and its data are deleted: make a new cluster");
            }
            stop();
            phase = Phase.LATENT;
            start();
        }
    }

    /**
     * Stops it for ever. With the last server of the cluster the directories go, unless the settings say that they stay.
     *
     * @throws IOException if a directory cannot be deleted
     */
    @Override
    public void close() throws IOException {
        synchronized (cluster) {
            stop();
            if (phase == Phase.STOPPED) {
                phase = Phase.CLOSED;
                cluster.settle();
            }
        }
    }

    int number() {
        return number;
    }

    String address() {
        return address;
    }

    boolean hasPort(int port) {
        return port() == port;
    }

    private int port() {
        return Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
    }

    boolean isLatent() {
        return phase == Phase.LATENT;
    }

    boolean isOver() {
        return phase == Phase.CLOSED || phase == Phase.LATENT;
    }

    /** Takes the address that the server has got. */
    void bound(String address) {
        this.address = spec.getPort() == 0 ? address : this.address;
    }

    void hasStarted() {
        phase = Phase.STARTED;
    }

    /** Takes note that the process of all servers has ended. */
    void hasLostProcess() {
        if (phase == Phase.STARTED) {
            phase = Phase.STOPPED;
        }
    }

    void deleteDirectory() throws IOException {
        if (phase == Phase.CLOSED && spec.deleteDataDirectoryOnClose()) {
            Launch.deleteTree(spec.getDataDirectory().toPath());
        }
    }
}
