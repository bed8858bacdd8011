package zkmini;

import java.time.Instant;
import java.util.Optional;

/** Connection of a ZooKeeper client. */
public final class Connection extends Answer {
    Connection(JsonObject json) {
        super(json);
    }

    /** {@return its id, such as {@code 0x29}} */
    public String id() {
        return json.string("id");
    }

    /** {@return the address of the client, if it has one} */
    public Optional<String> client() {
        return Optional.ofNullable(json.optionalString("client"));
    }

    /** {@return the id of its session, if it has one yet} */
    public Optional<String> session() {
        return Optional.ofNullable(json.optionalString("session"));
    }

    /** {@return the time at which it was accepted} */
    public Instant since() {
        return Instant.ofEpochMilli(json.number("since_ms"));
    }

    /** {@return the number of requests that came} */
    public long received() {
        return json.number("received");
    }

    /** {@return the number of replies and events that were sent} */
    public long sent() {
        return json.number("sent");
    }

    /** {@return whether it is frozen} */
    public boolean isFrozen() {
        return json.flag("frozen");
    }
}
