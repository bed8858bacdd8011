package zkmini;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;

/** Calls to a server, which {@link ZkMini} has. Each returns when it has happened, and everybody has been told. */
public abstract class Control {
    final Http http;

    Control(Http http) {
        this.http = http;
    }

    /** {@return figures of the server} */
    public Status status() {
        return new Status(http.get("/v1/status"));
    }

    /** Ends all sessions and removes all nodes. Fault rules and the clock stay. */
    public void reset() {
        http.post("/v1/reset");
    }

    /** Makes the server as new: no sessions, nodes and fault rules, nothing frozen, a clock that runs. */
    public void resetAll() {
        http.post("/v1/reset?all=true");
    }

    /** Ends the server and starts it again: connections break, clients come back with their sessions, the data stay. */
    public void restart() {
        http.post("/v1/restart");
    }

    /** Lets the power fail, and starts the server again: what was not on disk is lost, in memory everything. */
    public void restartLosingUnsynced() {
        http.post("/v1/restart?lose_unsynced=true");
    }

    /** Stalls the server: it answers no client, and no session expires. */
    public void freeze() {
        http.post("/v1/freeze");
    }

    /** Lets a frozen server go on. */
    public void thaw() {
        http.post("/v1/thaw");
    }

    /** {@return the servers of an ensemble, in order; none of a single server} */
    public List<ServerInfo> servers() {
        return servers(http);
    }

    static List<ServerInfo> servers(Http http) {
        return JsonObject.objects(http.getList("/v1/servers"), ServerInfo::new);
    }

    /**
     * Returns one server of an ensemble, to be stopped, cut off, frozen, and more.
     *
     * @param number number of the server, from 1
     * @return the server; the call does not ask for it
     */
    public Server server(int number) {
        return new Server(http, number);
    }

    /**
     * Loses the quorum of an ensemble: all connections are closed, and only clients that ask for read-only service are served until
     * {@link #regainQuorum}. A single server has none to lose, and refuses with a {@link NotFoundException}.
     */
    public void loseQuorum() {
        http.postAny("/v1/quorum", "lost", true);
    }

    /** Gets the quorum back, if more than half of the servers take part. */
    public void regainQuorum() {
        http.postAny("/v1/quorum", "lost", false);
    }

    /** {@return all sessions} */
    public List<Session> sessions() {
        return JsonObject.objects(http.getList("/v1/sessions"), Session::new);
    }

    /** {@return all connections of ZooKeeper clients} */
    public List<Connection> connections() {
        return JsonObject.objects(http.getList("/v1/connections"), Connection::new);
    }

    /** {@return all watches; more than 10,000 are an error} */
    public List<Watch> watches() {
        return JsonObject.objects(http.getList("/v1/watches"), Watch::new);
    }

    /**
     * Returns the watches on some paths. More than 10,000 are an error.
     *
     * @param pattern a path, with {@code *} and {@code **} as in a fault
     * @return the watches, sorted by path
     */
    public List<Watch> watches(String pattern) {
        return JsonObject.objects(http.getList("/v1/watches?path=" + Paths.encode(pattern)), Watch::new);
    }

    /**
     * Returns the first watches on some paths.
     *
     * @param pattern a path, with {@code *} and {@code **} as in a fault
     * @param limit maximum number of watches
     * @return the watches, sorted by path
     */
    public List<Watch> watches(String pattern, int limit) {
        String query = "?limit=" + limit + "&path=" + Paths.encode(pattern);
        return JsonObject.objects(http.getList("/v1/watches" + query), Watch::new);
    }

    /**
     * Ends a session as if its client had been silent for its timeout: its ephemeral nodes go, and it is told.
     *
     * @param pathOrSession path of an ephemeral node of the session, or its id, {@code 0x…}
     */
    public void expire(String pathOrSession) {
        if (Paths.isSession(pathOrSession)) {
            http.post("/v1/sessions/" + pathOrSession + "/expire");
        } else {
            http.post("/v1/sessions/expire", "owner_of", pathOrSession);
        }
    }

    /**
     * Ends a session, as {@link #expire(String)} does.
     *
     * @param session id of the session, as the client has it ({@code ZooKeeper.getSessionId()})
     */
    public void expire(long session) {
        expire(Paths.sessionId(session));
    }

    /** Ends all sessions, as {@link #expire(String)} does. */
    public void expireAll() {
        http.post("/v1/sessions/expire", "all", true);
    }

    /**
     * Closes the connection of a session, which lives on.
     *
     * @param pathOrSession path of an ephemeral node of the session, or its id, {@code 0x…}
     */
    public void disconnect(String pathOrSession) {
        toSession(pathOrSession, "disconnect");
    }

    /**
     * Closes the connection of a session, as {@link #disconnect(String)} does.
     *
     * @param session id of the session, as the client has it ({@code ZooKeeper.getSessionId()})
     */
    public void disconnect(long session) {
        disconnect(Paths.sessionId(session));
    }

    /**
     * Stops to hear a session, and to speak to it. It expires, unless it is thawed in time.
     *
     * @param pathOrSession path of an ephemeral node of the session, or its id, {@code 0x…}
     */
    public void freeze(String pathOrSession) {
        toSession(pathOrSession, "freeze");
    }

    /**
     * Stops to hear a session, as {@link #freeze(String)} does.
     *
     * @param session id of the session, as the client has it ({@code ZooKeeper.getSessionId()})
     */
    public void freeze(long session) {
        freeze(Paths.sessionId(session));
    }

    /**
     * Hears a frozen session again.
     *
     * @param pathOrSession path of an ephemeral node of the session, or its id, {@code 0x…}
     */
    public void thaw(String pathOrSession) {
        toSession(pathOrSession, "thaw");
    }

    /**
     * Hears a session again, as {@link #thaw(String)} does.
     *
     * @param session id of the session, as the client has it ({@code ZooKeeper.getSessionId()})
     */
    public void thaw(long session) {
        thaw(Paths.sessionId(session));
    }

    private void toSession(String pathOrSession, String action) {
        http.post("/v1/sessions/" + Paths.session(http, pathOrSession) + "/" + action);
    }

    /**
     * Adds a fault rule.
     *
     * @param fault the fault, such as {@code Fault.on("create").path("/orders/*").once().dropReply()}
     * @return the rule
     */
    public FaultRule fault(Fault fault) {
        return new FaultRule(http, http.post("/v1/faults", fault.toJson(session -> Paths.session(http, session))));
    }

    /** Removes all fault rules. */
    public void clearFaults() {
        http.delete("/v1/faults");
    }

    /** {@return the clock} */
    public Clock clock() {
        return new Clock(http.get("/v1/clock"));
    }

    /** Stops the clock. No time passes for the server until {@link #advance}. */
    public void manualClock() {
        http.post("/v1/clock", "mode", "manual");
    }

    /** Lets the clock run by itself again. */
    public void realClock() {
        http.post("/v1/clock", "mode", "real");
    }

    /**
     * Lets time pass, at once. A clock that runs is stopped first. Whatever is due happens, in its order.
     *
     * @param time time to pass
     * @return the clock after it
     */
    public Clock advance(Duration time) {
        return advance("advance_ms", time.toMillis());
    }

    /**
     * Lets a number of ticks pass, as {@link #advance(Duration)} does.
     *
     * @param ticks number of ticks
     * @return the clock after it
     */
    public Clock advanceTicks(long ticks) {
        return advance("advance_ticks", ticks);
    }

    /**
     * Lets time pass until the next thing happens by itself, such as an expiry, as {@link #advance(Duration)} does.
     *
     * @return the clock after it
     */
    public Clock advanceToNextDeadline() {
        return advance("to_next_deadline", true);
    }

    private Clock advance(String how, Object value) {
        if (!clock().isManual()) {
            manualClock();
        }
        return new Clock(http.post("/v1/clock", how, value));
    }

    /**
     * Moves the time of day alone, as an administrator or NTP does. Sessions do not notice.
     *
     * @param time time to move it by; negative moves it back
     * @return the clock after it
     */
    public Clock jumpWallClock(Duration time) {
        return new Clock(http.post("/v1/clock", "jump_wall_ms", time.toMillis()));
    }

    /**
     * Returns a node with all nodes below it.
     *
     * @param path its path
     * @return the node
     * @throws NotFoundException if it is not there
     */
    public Node tree(String path) {
        return tree(path, Integer.MAX_VALUE);
    }

    /**
     * Returns a node with nodes below it.
     *
     * @param path its path
     * @param depth number of levels below it
     * @return the node
     * @throws NotFoundException if it is not there
     */
    public Node tree(String path, int depth) {
        return new Node(http.get("/v1/tree?path=" + Paths.encode(path) + "&depth=" + depth));
    }

    /**
     * Returns the data of a node.
     *
     * @param path its path
     * @return its data
     * @throws NotFoundException if it is not there
     */
    public byte[] get(String path) {
        return tree(path, 0).data();
    }

    /**
     * Tells whether a node exists.
     *
     * @param path its path
     * @return whether it exists
     */
    public boolean exists(String path) {
        return http.getAny("/v1/tree?depth=0&data=false&optional=true&path=" + Paths.encode(path)) != null;
    }

    /**
     * Returns the names of the children of a node.
     *
     * @param path its path
     * @return the names
     * @throws NotFoundException if it is not there
     */
    public List<String> children(String path) {
        Node node = new Node(http.get("/v1/tree?depth=1&data=false&path=" + Paths.encode(path)));
        return node.children().stream().map(Node::name).collect(Collectors.toList());
    }

    /**
     * Writes a node. It is made if it is not there, with its parents.
     *
     * @param path its path
     * @param data its data, as text
     * @return its figures
     */
    public Stat put(String path, String data) {
        return put(path, data.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Writes a node. It is made if it is not there, with its parents.
     *
     * @param path its path
     * @param data its data
     * @return its figures
     */
    public Stat put(String path, byte[] data) {
        return new Stat(http.put(node(path), data).object("stat"));
    }

    /**
     * Makes an ephemeral node, with its parents.
     *
     * @param path its path
     * @param data its data
     * @param pathOrSession path of another ephemeral node of the session that shall own it, or its id, {@code 0x…}
     * @return its figures
     */
    public Stat putEphemeral(String path, byte[] data, String pathOrSession) {
        String session = Paths.session(http, pathOrSession);
        return new Stat(http.put(node(path) + "?ephemeral_owner=" + Paths.encode(session), data).object("stat"));
    }

    /**
     * Makes an ephemeral node, with its parents.
     *
     * @param path its path
     * @param data its data
     * @param session id of the session that owns it, as the client has it ({@code ZooKeeper.getSessionId()})
     * @return its figures
     */
    public Stat putEphemeral(String path, byte[] data, long session) {
        return putEphemeral(path, data, Paths.sessionId(session));
    }

    /**
     * Makes a node with a number behind its name, with its parents.
     *
     * @param prefix its path without the number, such as {@code /queue/task-}
     * @param data its data
     * @return its path
     */
    public String putSequential(String prefix, byte[] data) {
        return http.put(node(prefix) + "?sequential=true", data).string("path");
    }

    /**
     * Deletes a node that has no children.
     *
     * @param path its path
     */
    public void delete(String path) {
        http.delete(node(path));
    }

    /**
     * Deletes a node with all nodes below it.
     *
     * @param path its path
     */
    public void deleteTree(String path) {
        http.delete(node(path) + "?recursive=true");
    }

    private static String node(String path) {
        return "/v1/nodes" + Paths.encode(Paths.checked(path));
    }

    /**
     * Tells who made, changed and deleted a node, and why.
     *
     * @param path its path; the node need not exist any more
     * @return text, ready to print
     */
    public String explain(String path) {
        JsonObject answer = http.get("/v1/explain?path=" + Paths.encode(path));
        StringBuilder text = new StringBuilder(path).append(answer.flag("exists") ? " exists" : " does not exist");
        if (answer.flag("is_cut")) {
            text.append("\n  … earlier changes are no longer in the history");
        } else if (answer.list("history").isEmpty()) {
            text.append(answer.flag("exists")
                    ? "\n  it was there when the history began, and has not changed since"
                    : "\n  nothing in the history has to do with it");
        }
        for (String line : answer.objects("history", Control::explained)) {
            text.append("\n  ").append(line);
        }
        return text.toString();
    }

    private static String explained(JsonObject change) {
        return HistoryEntry.readable(change.string("time")) + "  " + change.string("zxid") + "  " + change.string("because");
    }

    /** {@return a question about all that has happened; without more it gives the last entries} */
    public HistoryQuery history() {
        return new HistoryQuery(http);
    }

    /** {@return the whole tree, as a snapshot in the format of Apache ZooKeeper} */
    public byte[] snapshot() {
        return http.getBytes("/v1/snapshot", Http.BYTES);
    }

    /** {@return the whole tree, as YAML} */
    public String snapshotText() {
        return new String(http.getBytes("/v1/snapshot", Http.YAML), StandardCharsets.UTF_8);
    }

    /**
     * Replaces the whole tree by a snapshot.
     *
     * @param snapshot a snapshot in the format of Apache ZooKeeper
     */
    public void restore(byte[] snapshot) {
        http.post("/v1/restore", Http.BYTES, snapshot);
    }

    /**
     * Replaces the whole tree by nodes in YAML.
     *
     * @param yaml such as <code>/config/colour: {data: green}</code>
     */
    public void restoreText(String yaml) {
        http.post("/v1/restore", Http.YAML, yaml.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * Makes any call of the HTTP API, in JSON: for what has no method here.
     *
     * @param method method of HTTP, such as {@code GET}
     * @param path path and query, encoded, such as {@code /v1/diff?from=0x1}
     * @param json body, such as <code>{"mode":"manual"}</code>; null for none
     * @return the answer
     */
    public String call(String method, String path, String json) {
        byte[] body = json == null ? null : json.getBytes(StandardCharsets.UTF_8);
        return new String(call(method, path, Http.JSON, body), StandardCharsets.UTF_8);
    }

    /**
     * Makes any call of the HTTP API, with bytes: for what has no method here.
     *
     * @param method method of HTTP, such as {@code PUT}
     * @param path path and query, encoded, such as {@code /v1/nodes/a?sequential=true}
     * @param type type of the body, such as {@code application/octet-stream}
     * @param body body; null for none
     * @return the answer
     */
    public byte[] call(String method, String path, String type, byte[] body) {
        return http.send(method, Paths.checked(path), type, body, Http.ANY);
    }
}
