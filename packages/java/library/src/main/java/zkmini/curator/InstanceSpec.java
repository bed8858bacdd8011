package zkmini.curator;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Settings of a {@link TestingServer}. Ports of elections and quorums are kept for a program that asks for them; nothing uses them. */
public class InstanceSpec {
    private static final AtomicInteger SERVER_IDS = new AtomicInteger(1);

    private final File dataDirectory;
    private final int port;
    private final int electionPort;
    private final int quorumPort;
    private final boolean deleteDataDirectoryOnClose;
    private final int serverId;
    private final int tickTime;
    private final int maxClientCnxns;
    private final Map<String, Object> customProperties;
    private final String hostname;

    /**
     * Holds settings without a tick, a limit of connections and properties.
     *
     * @param dataDirectory directory for the data; null makes a temporary one
     * @param port port for clients; -1 takes a free one now, 0 a free one at the start
     * @param electionPort port for elections; -1 takes a free one
     * @param quorumPort port for the quorum; -1 takes a free one
     * @param deleteDataDirectoryOnClose whether {@link TestingServer#close} deletes the directory
     * @param serverId number of the server; -1 takes the next one
     */
    public InstanceSpec(
            File dataDirectory,
            int port,
            int electionPort,
            int quorumPort,
            boolean deleteDataDirectoryOnClose,
            int serverId) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId, -1, -1, null, null);
    }

    /**
     * Holds settings without properties.
     *
     * @param dataDirectory directory for the data; null makes a temporary one
     * @param port port for clients; -1 takes a free one now, 0 a free one at the start
     * @param electionPort port for elections; -1 takes a free one
     * @param quorumPort port for the quorum; -1 takes a free one
     * @param deleteDataDirectoryOnClose whether {@link TestingServer#close} deletes the directory
     * @param serverId number of the server; -1 takes the next one
     * @param tickTime milliseconds of a tick; -1 is 1000
     * @param maxClientCnxns maximum number of connections from one address; -1 is the server's default
     */
    public InstanceSpec(
            File dataDirectory,
            int port,
            int electionPort,
            int quorumPort,
            boolean deleteDataDirectoryOnClose,
            int serverId,
            int tickTime,
            int maxClientCnxns) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId, tickTime, maxClientCnxns,
                null, null);
    }

    /**
     * Holds settings with properties.
     *
     * @param dataDirectory directory for the data; null makes a temporary one
     * @param port port for clients; -1 takes a free one now, 0 a free one at the start
     * @param electionPort port for elections; -1 takes a free one
     * @param quorumPort port for the quorum; -1 takes a free one
     * @param deleteDataDirectoryOnClose whether {@link TestingServer#close} deletes the directory
     * @param serverId number of the server; -1 takes the next one
     * @param tickTime milliseconds of a tick; -1 is 1000
     * @param maxClientCnxns maximum number of connections from one address; -1 is the server's default
     * @param customProperties further keys of a {@code zoo.cfg}
     */
    public InstanceSpec(
            File dataDirectory,
            int port,
            int electionPort,
            int quorumPort,
            boolean deleteDataDirectoryOnClose,
            int serverId,
            int tickTime,
            int maxClientCnxns,
            Map<String, Object> customProperties) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId, tickTime, maxClientCnxns,
                customProperties, null);
    }

    /**
     * Holds all settings.
     *
     * @param dataDirectory directory for the data; null makes a temporary one
     * @param port port for clients; -1 takes a free one now, 0 a free one at the start
     * @param electionPort port for elections; -1 takes a free one
     * @param quorumPort port for the quorum; -1 takes a free one
     * @param deleteDataDirectoryOnClose whether {@link TestingServer#close} deletes the directory
     * @param serverId number of the server; -1 takes the next one
     * @param tickTime milliseconds of a tick; -1 is 1000
     * @param maxClientCnxns maximum number of connections from one address; -1 is the server's default
     * @param customProperties further keys of a {@code zoo.cfg}
     * @param hostname name or address to listen on; null is loopback
     */
    public InstanceSpec(
            File dataDirectory,
            int port,
            int electionPort,
            int quorumPort,
            boolean deleteDataDirectoryOnClose,
            int serverId,
            int tickTime,
            int maxClientCnxns,
            Map<String, Object> customProperties,
            String hostname) {
        this.dataDirectory = dataDirectory == null ? temporaryDirectory() : dataDirectory;
        int[] ports = withRandomPorts(port, electionPort, quorumPort);
        this.port = ports[0];
        this.electionPort = ports[1];
        this.quorumPort = ports[2];
        this.deleteDataDirectoryOnClose = deleteDataDirectoryOnClose;
        this.serverId = serverId < 0 ? SERVER_IDS.getAndIncrement() : serverId;
        this.tickTime = tickTime > 0 ? tickTime : -1;
        this.maxClientCnxns = Math.max(-1, maxClientCnxns);
        this.customProperties = customProperties == null
                ? Collections.emptyMap()
                : Collections.unmodifiableMap(new LinkedHashMap<>(customProperties));
        this.hostname = hostname == null ? loopback() : hostname;
    }

    /** {@return settings with a port that is free now, and a new temporary directory that is deleted at the end} */
    public static InstanceSpec newInstanceSpec() {
        return new InstanceSpec(null, -1, -1, -1, true, -1);
    }

    /** Lets the numbers of servers begin with 1 again. */
    public static void reset() {
        SERVER_IDS.set(1);
    }

    /** {@return a port that is free now} */
    public static int getRandomPort() {
        return withRandomPorts(-1)[0];
    }

    /** Replaces negative ports by free ones. All are held until all are chosen, so that they differ. */
    private static int[] withRandomPorts(int... ports) {
        ServerSocket[] held = new ServerSocket[ports.length];
        int[] chosen = ports.clone();
        try {
            for (int i = 0; i < ports.length; i++) {
                if (ports[i] < 0) {
                    held[i] = new ServerSocket(0);
                    chosen[i] = held[i].getLocalPort();
                }
            }
            for (ServerSocket socket : held) {
                if (socket != null) {
                    socket.close();
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("the system has no free port", e);
        }
        return chosen;
    }

    private static File temporaryDirectory() {
        try {
            return Files.createTempDirectory("zk-mini-test").toFile();
        } catch (IOException e) {
            throw new UncheckedIOException("a temporary directory cannot be made", e);
        }
    }

    private static String loopback() {
        try {
            return Arrays.stream(InetAddress.getAllByName("localhost"))
                    .filter(InetAddress::isLoopbackAddress)
                    .map(InetAddress::getHostAddress)
                    .findFirst()
                    .orElse("127.0.0.1");
        } catch (UnknownHostException e) {
            return "127.0.0.1";
        }
    }

    /** {@return the number of the server} */
    public int getServerId() {
        return serverId;
    }

    /** {@return the directory for the data} */
    public File getDataDirectory() {
        return dataDirectory;
    }

    /** {@return the port for clients; 0 if the system chooses at the start} */
    public int getPort() {
        return port;
    }

    /** {@return the port for elections} */
    public int getElectionPort() {
        return electionPort;
    }

    /** {@return the port for the quorum} */
    public int getQuorumPort() {
        return quorumPort;
    }

    /** {@return host and port; with port 0 take {@link TestingServer#getConnectString}} */
    public String getConnectString() {
        return address(port);
    }

    /** Returns the host with a port; an IPv6 address stands in brackets. */
    String address(int port) {
        return (hostname.indexOf(':') >= 0 ? "[" + hostname + "]" : hostname) + ":" + port;
    }

    /** {@return the milliseconds of a tick, or -1} */
    public int getTickTime() {
        return tickTime;
    }

    /** {@return the maximum number of connections from one address, or -1} */
    public int getMaxClientCnxns() {
        return maxClientCnxns;
    }

    /** {@return whether the directory is deleted at the end} */
    public boolean deleteDataDirectoryOnClose() {
        return deleteDataDirectoryOnClose;
    }

    /** {@return further keys of a {@code zoo.cfg}} */
    public Map<String, Object> getCustomProperties() {
        return customProperties;
    }

    /** {@return the name or address to listen on} */
    public String getHostname() {
        return hostname;
    }

    @Override
    public String toString() {
        return "InstanceSpec{" + getConnectString() + ", data in " + dataDirectory + ", server " + serverId + "}";
    }

    /** Two settings are equal if host and port are. */
    @Override
    public boolean equals(Object other) {
        return other != null
                && getClass() == other.getClass()
                && port == ((InstanceSpec) other).port
                && hostname.equals(((InstanceSpec) other).hostname);
    }

    @Override
    public int hashCode() {
        return 31 * hostname.hashCode() + port;
    }
}
