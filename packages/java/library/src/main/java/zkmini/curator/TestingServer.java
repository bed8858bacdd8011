package zkmini.curator;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import zkmini.ZkMini;

/**
 * Server for tests with the constructors and methods of the class of the same name in Apache Curator.
 *
 * <p>Data and sessions live in the temporary directory, so they outlast {@link #stop} and {@link #restart}; the port stays the same,
 * too. {@link #close} deletes the directory. {@link #control} gives what Curator's class does not have.
 *
 * <p>{@link #start} starts a server that was not started before. One that was stopped starts again by {@link #restart}.
 */
public class TestingServer implements Closeable {
    private enum Phase {
        LATENT,
        STARTED,
        STOPPED,
        CLOSED
    }

    private final InstanceSpec spec;
    private Phase phase = Phase.LATENT;
    private int port;
    private ZkMini server;

    /**
     * Starts a server on a free port.
     *
     * @throws Exception if it does not start
     */
    public TestingServer() throws Exception {
        this(true);
    }

    /**
     * Makes a server for a free port.
     *
     * @param start whether it starts now
     * @throws Exception if it does not start
     */
    public TestingServer(boolean start) throws Exception {
        this(-1, start);
    }

    /**
     * Starts a server.
     *
     * @param port port for clients; -1 or 0 takes a free one
     * @throws Exception if it does not start
     */
    public TestingServer(int port) throws Exception {
        this(port, true);
    }

    /**
     * Makes a server.
     *
     * @param port port for clients; -1 or 0 takes a free one
     * @param start whether it starts now
     * @throws Exception if it does not start
     */
    public TestingServer(int port, boolean start) throws Exception {
        this(port, null, start);
    }

    /**
     * Starts a server with a directory.
     *
     * @param port port for clients; -1 or 0 takes a free one
     * @param tempDirectory directory for the data, which {@link #close} deletes
     * @throws Exception if it does not start
     */
    public TestingServer(int port, File tempDirectory) throws Exception {
        this(port, tempDirectory, true);
    }

    /**
     * Makes a server with a directory.
     *
     * @param port port for clients; -1 or 0 takes a free one
     * @param tempDirectory directory for the data, which {@link #close} deletes; null makes one
     * @param start whether it starts now
     * @throws Exception if it does not start
     */
    public TestingServer(int port, File tempDirectory, boolean start) throws Exception {
        this(new InstanceSpec(tempDirectory, Math.max(0, port), -1, -1, true, -1), start);
    }

    /**
     * Makes a server with settings.
     *
     * @param spec the settings
     * @param start whether it starts now
     * @throws Exception if it does not start
     */
    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        this.port = spec.getPort();
        if (start) {
            start();
        }
    }

    /**
     * Returns the port. It stays the same when the server starts again.
     *
     * @return the port
     * @throws IllegalStateException if the system is to choose it, and the server has not started yet
     */
    public synchronized int getPort() {
        if (port == 0) {
            throw new IllegalStateException("the system chooses the port when the server starts: call start() first");
        }
        return port;
    }

    /** {@return the directory with the data} */
    public File getTempDirectory() {
        return spec.getDataDirectory();
    }

    /** {@return the connect string for clients} */
    public String getConnectString() {
        return spec.address(getPort());
    }

    /**
     * Returns the control of the server that runs now: expiry of sessions, faults, the clock, the history. After {@link #restart} it
     * is another one. Curator's class has no such method.
     *
     * @return the control
     * @throws IllegalStateException if the server does not run
     */
    public synchronized ZkMini control() {
        if (server == null) {
            throw new IllegalStateException("the server does not run: call start() or restart() first");
        }
        return server;
    }

    /**
     * Starts the server, unless it has been started before.
     *
     * @throws FailedServerStartException if it does not start
     * @throws Exception for nothing else; Curator's method says so
     */
    public synchronized void start() throws Exception {
        if (phase != Phase.LATENT) {
            return;
        }
        phase = Phase.STOPPED;
        server = Launch.start(spec, spec.address(port));
        port = server.port();
        phase = Phase.STARTED;
    }

    /**
     * Stops the server. The directory stays.
     *
     * @throws IOException for nothing; Curator's method says so
     */
    public synchronized void stop() throws IOException {
        if (phase == Phase.STARTED) {
            phase = Phase.STOPPED;
            server.close();
            server = null;
        }
    }

    /**
     * Stops the server, if it runs, and starts it on the same port with the same data. Sessions go on.
     *
     * @throws IllegalStateException if the server has been closed
     * @throws Exception if it does not start
     */
    public synchronized void restart() throws Exception {
        if (phase == Phase.CLOSED) {
            throw new IllegalStateException("the server has been closed, and its data are deleted: make a new one");
        }
        stop();
        phase = Phase.LATENT;
        start();
    }

    /**
     * Stops the server, and deletes the directory, unless the settings say that it stays. A server that was never started keeps it.
     *
     * @throws IOException if the directory cannot be deleted
     */
    @Override
    public synchronized void close() throws IOException {
        stop();
        if (phase == Phase.STOPPED) {
            phase = Phase.CLOSED;
            if (spec.deleteDataDirectoryOnClose()) {
                Launch.deleteTree(spec.getDataDirectory().toPath());
            }
        }
    }
}
