package zkmini;

/** Figures of a server. */
public final class Status extends Answer {
    Status(JsonObject json) {
        super(json);
    }

    /** {@return its version} */
    public String version() {
        return json.string("version");
    }

    /** {@return the line of Apache ZooKeeper that it behaves like, such as {@code 3.9}} */
    public String compat() {
        return json.string("compat");
    }

    /** {@return the zxid of the last transaction} */
    public String lastZxid() {
        return json.string("last_zxid");
    }

    /** {@return the number of nodes, with those of ZooKeeper itself} */
    public long nodes() {
        return json.number("nodes");
    }

    /** {@return the number of sessions} */
    public long sessions() {
        return json.number("sessions");
    }

    /** {@return the number of connections} */
    public long connections() {
        return json.number("connections");
    }

    /** {@return the number of watches} */
    public long watches() {
        return json.number("watches");
    }

    /** {@return whether the server is frozen} */
    public boolean isFrozen() {
        return json.flag("frozen");
    }
}
