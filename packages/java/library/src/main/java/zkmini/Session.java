package zkmini;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Session of a client. */
public final class Session extends Answer {
    Session(JsonObject json) {
        super(json);
    }

    /** {@return its id, such as {@code 0x1a2226f1d592494}} */
    public String id() {
        return json.string("id");
    }

    /** {@return the timeout that the server has granted} */
    public Duration timeout() {
        return Duration.ofMillis(json.number("timeout_ms"));
    }

    /** {@return whether its client is connected now} */
    public boolean isConnected() {
        return json.flag("connected");
    }

    /** {@return the address of its client, if it is connected} */
    public Optional<String> client() {
        return Optional.ofNullable(json.optionalString("client"));
    }

    /** {@return the time since its last sign of life} */
    public Duration lastHeard() {
        return Duration.ofMillis(json.number("last_heard_ms"));
    }

    /** {@return the time until it expires, if it stays silent} */
    public Duration expiresIn() {
        return Duration.ofMillis(json.number("expires_in_ms"));
    }

    /** {@return the paths of its ephemeral nodes} */
    public List<String> ephemerals() {
        return json.strings("ephemerals");
    }

    /** {@return the number of its watches} */
    public long watches() {
        return json.number("watches");
    }

    /** {@return whether it is frozen} */
    public boolean isFrozen() {
        return json.flag("frozen");
    }
}
