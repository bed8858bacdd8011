package zkmini.curator;

import java.io.Closeable;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import zkmini.RefusedException;
import zkmini.Server;
import zkmini.UnreachableException;
import zkmini.ZkMini;

/**
 * Ensemble for tests with the constructors and methods of the class of the same name in Apache Curator. It is a simulation in one
 * process: the servers share one history, and there is no consensus. {@link #control} gives what Curator's class does not have.
 *
 * <p>The data live in the directory of the first server; its tick, limit of connections and properties are those of all.
 */
public class TestingCluster implements Closeable {
    private final List<TestingZooKeeperServer> servers = new ArrayList<>();
    private ZkMini control;

    /**
     * Makes an ensemble with free ports. {@link #start} starts it.
     *
     * @param instanceQty number of servers, two at least
     */
    public TestingCluster(int instanceQty) {
        this(makeSpecs(instanceQty));
    }

    /**
     * Makes an ensemble of servers with settings.
     *
     * @param specs the settings of each
     */
    public TestingCluster(InstanceSpec... specs) {
        this(Arrays.asList(specs));
    }

    /**
     * Makes an ensemble of servers with settings.
     *
     * @param specs the settings of each
     */
    public TestingCluster(Collection<InstanceSpec> specs) {
        if (specs.size() < 2) {
            throw new IllegalArgumentException("an ensemble has two servers at least; one alone is a TestingServer: " + specs);
        }
        if (new LinkedHashSet<>(specs).size() < specs.size()) {
            throw new IllegalArgumentException("two servers have the same address: " + specs);
        }
        specs.forEach(spec -> servers.add(new TestingZooKeeperServer(this, spec, servers.size() + 1)));
    }

    /**
     * Makes an ensemble of servers with settings.
     *
     * @param specs the settings of each server, with those of all; servers that know different ones are not simulated
     */
    public TestingCluster(Map<InstanceSpec, Collection<InstanceSpec>> specs) {
        this(knownToAll(specs));
    }

    private static Collection<InstanceSpec> knownToAll(Map<InstanceSpec, Collection<InstanceSpec>> specs) {
        specs.forEach((spec, known) -> {
            if (!known.containsAll(specs.keySet()) || !specs.keySet().containsAll(known)) {
                throw new IllegalArgumentException(spec + " knows other servers than there are; that is not simulated");
            }
        });
        return new ArrayList<>(specs.keySet());
    }

    /**
     * Makes settings for servers with free ports, whose numbers begin with 1.
     *
     * @param instanceQty number of servers
     * @return the settings of each server, with those of all
     */
    public static Map<InstanceSpec, Collection<InstanceSpec>> makeSpecs(int instanceQty) {
        return makeSpecs(instanceQty, true);
    }

    /**
     * Makes settings for servers with free ports.
     *
     * @param instanceQty number of servers
     * @param resetServerIds whether their numbers begin with 1
     * @return the settings of each server, with those of all
     */
    public static Map<InstanceSpec, Collection<InstanceSpec>> makeSpecs(int instanceQty, boolean resetServerIds) {
        if (resetServerIds) {
            InstanceSpec.reset();
        }
        List<InstanceSpec> all = new ArrayList<>();
        for (int i = 0; i < instanceQty; i++) {
            all.add(InstanceSpec.newInstanceSpec());
        }
        Map<InstanceSpec, Collection<InstanceSpec>> specs = new LinkedHashMap<>();
        all.forEach(spec -> specs.put(spec, Collections.unmodifiableList(all)));
        return specs;
    }

    /** {@return the settings of the servers} */
    public Collection<InstanceSpec> getInstances() {
        return servers.stream().map(TestingZooKeeperServer::getInstanceSpec).collect(Collectors.toList());
    }

    /** {@return the servers} */
    public List<TestingZooKeeperServer> getServers() {
        return new ArrayList<>(servers);
    }

    /** {@return the connect string of all servers, also of those that are stopped} */
    public String getConnectString() {
        return servers.stream().map(TestingZooKeeperServer::address).collect(Collectors.joining(","));
    }

    /**
     * Returns the control of the ensemble: lags, partitions, elections, the quorum, and expiry, faults, the clock, the history.
     * Curator's class has no such method.
     *
     * @return the control
     * @throws IllegalStateException if the ensemble does not run
     */
    public synchronized ZkMini control() {
        if (control == null) {
            throw new IllegalStateException("the ensemble does not run: call start() first");
        }
        return control;
    }

    /**
     * Starts the servers that have not been started before.
     *
     * @throws FailedServerStartException if they do not start
     * @throws Exception for nothing else; Curator's method says so
     */
    public void start() throws Exception {
        start(servers);
    }

    /**
     * Stops all servers: their ports refuse. The data stay, and {@link #restartServer} starts a server again.
     *
     * @throws IOException for nothing; Curator's method says so
     */
    public void stop() throws IOException {
        for (TestingZooKeeperServer server : servers) {
            server.stop();
        }
    }

    /**
     * Stops all servers, and deletes their directories, unless the settings say that they stay.
     *
     * @throws IOException if a directory cannot be deleted
     */
    @Override
    public void close() throws IOException {
        for (TestingZooKeeperServer server : servers) {
            server.close();
        }
    }

    /**
     * Stops a server at once.
     *
     * @param instance settings of the server
     * @return whether there is such a server
     * @throws Exception for nothing; Curator's method says so
     */
    public boolean killServer(InstanceSpec instance) throws Exception {
        Optional<TestingZooKeeperServer> server = find(instance);
        server.ifPresent(TestingZooKeeperServer::kill);
        return server.isPresent();
    }

    /**
     * Stops a server, if it runs, and starts it on the same port, with everything that has happened meanwhile.
     *
     * @param instance settings of the server
     * @return whether there is such a server
     * @throws IllegalStateException if the server has been closed
     * @throws Exception if it does not start
     */
    public boolean restartServer(InstanceSpec instance) throws Exception {
        Optional<TestingZooKeeperServer> server = find(instance);
        if (server.isPresent()) {
            server.get().restart();
        }
        return server.isPresent();
    }

    private Optional<TestingZooKeeperServer> find(InstanceSpec instance) {
        return servers.stream().filter(server -> server.getInstanceSpec().equals(instance)).findFirst();
    }

    /**
     * Returns the server that a client is connected to.
     *
     * @param client an {@code org.apache.zookeeper.ZooKeeper}; the parameter has no type of ZooKeeper's, since no library comes with
     *     this class
     * @return the settings of the server; null if the client is not connected to one of these
     * @throws IllegalArgumentException if it is no such client
     */
    public InstanceSpec findConnectionInstance(Object client) {
        InetSocketAddress address = remoteAddress(client);
        return servers.stream()
                .filter(server -> address != null && server.hasPort(address.getPort()))
                .map(TestingZooKeeperServer::getInstanceSpec)
                .findFirst()
                .orElse(null);
    }

    /** Asks a client for the address of its server, as Curator's class does: ZooKeeper has no public method for it. */
    private static InetSocketAddress remoteAddress(Object client) {
        for (Class<?> type = client.getClass(); type != null; type = type.getSuperclass()) {
            try {
                Method method = type.getDeclaredMethod("testableRemoteSocketAddress");
                method.setAccessible(true);
                return (InetSocketAddress) method.invoke(client);
            } catch (NoSuchMethodException inherited) {
                continue;
            } catch (IllegalAccessException | InvocationTargetException | ClassCastException e) {
                throw new IllegalArgumentException(client + " does not say which server it is connected to", e);
            }
        }
        throw new IllegalArgumentException(client.getClass().getName() + " is no org.apache.zookeeper.ZooKeeper");
    }

    /** Starts those of the servers that have not been started before. */
    synchronized void start(Collection<TestingZooKeeperServer> wanted) throws IOException {
        List<TestingZooKeeperServer> latent =
                wanted.stream().filter(TestingZooKeeperServer::isLatent).collect(Collectors.toList());
        if (latent.isEmpty()) {
            return;
        }
        if (control != null) {
            for (TestingZooKeeperServer server : latent) {
                try {
                    tell(server, Server::start);
                } catch (RefusedException e) {
                    throw new FailedServerStartException(e);
                }
            }
        }
        // Also if that has shown that the process has ended.
        if (control == null) {
            String[] addresses = servers.stream().map(TestingZooKeeperServer::address).toArray(String[]::new);
            control = Launch.start(servers.get(0).getInstanceSpec(), addresses);
            String[] bound = control.hosts().split(",");
            for (TestingZooKeeperServer server : servers) {
                server.bound(bound[server.number() - 1]);
                if (!latent.contains(server)) {
                    tell(server, Server::stop);
                }
            }
        }
        latent.forEach(TestingZooKeeperServer::hasStarted);
    }

    /** Does something to a server, if the process of all servers runs. If it does not answer, it is ended, and all have stopped. */
    synchronized void tell(TestingZooKeeperServer server, Consumer<Server> what) {
        if (control == null) {
            return;
        }
        try {
            what.accept(control.server(server.number()));
        } catch (UnreachableException e) {
            control.close();
            control = null;
            servers.forEach(TestingZooKeeperServer::hasLostProcess);
        }
    }

    /** Ends the process, and deletes directories, if no server may start again with what they hold. */
    synchronized void settle() throws IOException {
        if (servers.stream().allMatch(TestingZooKeeperServer::isOver)) {
            if (control != null) {
                control.close();
                control = null;
            }
            for (TestingZooKeeperServer server : servers) {
                server.deleteDirectory();
            }
        }
    }
}
