package zkmini;

import java.net.URI;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * ZooKeeper server for tests, with its control. A call that changes something returns when it has happened, and everybody has been
 * told. All calls may be made from any thread. Failures are kinds of {@link ZkMiniException}.
 *
 * <pre>{@code
 * try (ZkMini zk = ZkMini.start()) {
 *     client = CuratorFrameworkFactory.newClient(zk.hosts(), retry);
 *     ...
 *     zk.expire("/election/leader");
 * }
 * }</pre>
 */
public final class ZkMini extends Control implements AutoCloseable {
    private static final long API = 1;

    private final String hosts;
    /** Process of the server; null for one that was started elsewhere. */
    private final ServerProcess process;

    private ZkMini(String hosts, Http http, ServerProcess process) {
        super(http);
        this.hosts = hosts;
        this.process = process;
    }

    /**
     * Starts a server on a free port, with everything in memory. It ends at {@link #close}, and at the latest with this Java
     * process, however that ends.
     *
     * @return the server, which is ready
     * @throws StartException if there is no program, or it does not start
     */
    public static ZkMini start() {
        return builder().start();
    }

    /** {@return settings for a server to start} */
    public static ZkMiniBuilder builder() {
        return new ZkMiniBuilder();
    }

    /**
     * Takes the server that {@code zk-mini exec} has started: that of the variables {@code ZK_HOSTS} and {@code ZK_MINI_HTTP}.
     *
     * @return the server; to close it does not end it
     */
    public static ZkMini attach() {
        Map<String, String> environment = System.getenv();
        String http = environment.getOrDefault("ZK_MINI_HTTP", "");
        if (http.isEmpty()) {
            throw new StartException(
                    "the variable ZK_MINI_HTTP is not set: run the tests under `zk-mini exec -- COMMAND`, or give the address, as in"
                            + " ZkMini.attach(URI.create(\"http://localhost:2181\"))",
                    null);
        }
        return attach(URI.create(http), environment.get("ZK_HOSTS"), null);
    }

    /**
     * Takes a server that runs already.
     *
     * @param http address of its HTTP, such as {@code http://localhost:2181}
     * @return the server; to close it does not end it
     */
    public static ZkMini attach(URI http) {
        return attach(http, null, null);
    }

    /**
     * Takes a server that runs already, and does not tell how it is reached.
     *
     * @param http address of its HTTP, such as {@code http://localhost:2181}
     * @param hosts connect string for clients; null for that of all servers of an ensemble, and for a single server that of its HTTP,
     *     which may have a port of its own
     * @param token token of a server with {@code --http-token-file}; null for one without
     * @return the server; to close it does not end it
     */
    public static ZkMini attach(URI http, String hosts, String token) {
        String authority = http.getRawAuthority();
        boolean isWhole = authority != null && authority.matches(".+:\\d+") && http.getPath().matches("/?");
        if (!isWhole || !"http".equals(http.getScheme())) {
            throw new StartException(http + " is not the URL of a server: write http://HOST:PORT, such as http://localhost:2181", null);
        }
        Http control = new Http(http, token, () -> "does a server run there?");
        checkApi(control);
        String known = hosts == null || hosts.isEmpty() ? addresses(control) : hosts;
        return new ZkMini(known.isEmpty() ? authority : known, control, null);
    }

    /** Returns the addresses of the servers of an ensemble, with commas; nothing of a single server. */
    private static String addresses(Http control) {
        return servers(control).stream().map(ServerInfo::address).collect(Collectors.joining(","));
    }

    private static void checkApi(Http control) {
        long api = control.get("/v1/status").number("api");
        if (api > API) {
            throw new StartException(
                    "the server at " + control.base() + " has version " + api + " of the HTTP API, and this package knows version " + API
                            + ": install a newer package, or run an older server",
                    null);
        }
    }

    /** Takes a server that was started. That of an ensemble is controlled at the port of HTTP, which no server takes along. */
    static ZkMini started(ServerProcess process, boolean isEnsemble) {
        try {
            JsonObject ready = process.ready();
            String http = ready.optionalString("http");
            if ((http == null || isEnsemble) && !ready.list("http_on").isEmpty()) {
                http = "http://" + ready.strings("http_on").get(0);
            }
            if (http == null) {
                throw new StartException(
                        "the server has no HTTP: leave out `--http off`; beyond loopback give it `--http 127.0.0.1:0`", null);
            }
            Http control = new Http(URI.create(http), null, process::remedy);
            checkApi(control);
            String hosts = isEnsemble ? addresses(control) : String.join(",", ready.strings("listen"));
            return new ZkMini(hosts, control, process);
        } catch (RuntimeException e) {
            // Also of what is no zk-mini.
            process.stop();
            throw e;
        }
    }

    /** {@return the connect string for clients, such as {@code 127.0.0.1:40123}} */
    public String hosts() {
        return hosts;
    }

    private String first() {
        return hosts.split("[,/]")[0];
    }

    /** {@return the host of the first address} */
    public String host() {
        return first().substring(0, first().lastIndexOf(':')).replaceAll("[\\[\\]]", "");
    }

    /** {@return the port of the first address} */
    public int port() {
        return Integer.parseInt(first().substring(first().lastIndexOf(':') + 1));
    }

    /** {@return the address of HTTP; a browser shows a page there} */
    public URI http() {
        return http.base();
    }

    /** {@return the end of the log of a server that was started here, otherwise nothing} */
    public String log() {
        return process == null ? "" : process.log();
    }

    /** Ends a server that was started here. A second time it does nothing. */
    @Override
    public void close() {
        if (process != null) {
            process.stop();
        }
    }

    @Override
    public String toString() {
        return "zk-mini at " + hosts;
    }
}
