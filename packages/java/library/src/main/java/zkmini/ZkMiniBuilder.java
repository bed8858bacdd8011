package zkmini;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Settings of a server to start. Without any it listens on a free port of 127.0.0.1, and keeps everything in memory. */
public final class ZkMiniBuilder {
    private Path program;
    private String listen = "127.0.0.1:0";
    private int servers = 1;
    private final List<String> options = new ArrayList<>();

    ZkMiniBuilder() {}

    /**
     * Sets the program. Without it, it is that of the variable {@code ZK_MINI}, or the one that a jar carries, or
     * {@code zk-mini} on the {@code PATH}.
     *
     * @param program path of the program
     * @return this builder
     */
    public ZkMiniBuilder program(Path program) {
        this.program = program;
        return this;
    }

    /**
     * Sets the address to listen on.
     *
     * @param address host and port, such as {@code 127.0.0.1:2181}; with port 0 the system chooses
     * @return this builder
     */
    public ZkMiniBuilder listen(String address) {
        this.listen = address;
        return this;
    }

    /**
     * Keeps the data in a directory, in the format of Apache ZooKeeper.
     *
     * @param directory a directory; it is made if it is not there
     * @return this builder
     */
    public ZkMiniBuilder dataDirectory(Path directory) {
        return options("--data-dir", directory.toString());
    }

    /**
     * Sets the length of a tick. Timeouts of sessions are between 2 and 20 ticks; without this a tick is 2 s.
     *
     * @param tick length of a tick
     * @return this builder
     */
    public ZkMiniBuilder tick(Duration tick) {
        return options("--tick-ms", Long.toString(tick.toMillis()));
    }

    /**
     * Makes an ensemble of several servers over one history, to be broken by {@link ZkMini#server}. It is a simulation: they live in
     * one process, and there is no consensus. Its control has a port of its own, which answers when all servers are stopped.
     *
     * @param count number of servers
     * @return this builder
     */
    public ZkMiniBuilder servers(int count) {
        this.servers = count;
        return this;
    }

    /**
     * Adds options of {@code zk-mini serve}, each as one argument; {@code zk-mini serve --help} lists them.
     *
     * @param arguments such as {@code "--max-client-cnxns", "0"}
     * @return this builder
     */
    public ZkMiniBuilder options(String... arguments) {
        options.addAll(Arrays.asList(arguments));
        return this;
    }

    /**
     * Starts the server.
     *
     * @return the server, which is ready
     * @throws StartException if there is no program, or it does not start
     */
    public ZkMini start() {
        List<String> command = new ArrayList<>();
        command.add(Program.find(program, System.getenv()).toString());
        command.addAll(Arrays.asList("serve", "--listen", listen, "--ready", "json", "--stop-on-eof"));
        boolean isEnsemble = servers > 1;
        if (isEnsemble) {
            command.addAll(Arrays.asList("--servers", Integer.toString(servers), "--http", "127.0.0.1:0"));
        }
        command.addAll(options);
        return ZkMini.started(ServerProcess.start(command), isEnsemble);
    }
}
