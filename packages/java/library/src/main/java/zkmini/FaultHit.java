package zkmini;

import java.time.Instant;
import java.util.Optional;

/** Case in which a fault rule did something. */
public final class FaultHit extends Answer {
    FaultHit(JsonObject json) {
        super(json);
    }

    /** {@return its number, from 1} */
    public long number() {
        return json.number("number");
    }

    /** {@return its time} */
    public Instant time() {
        return Instant.parse(json.string("time"));
    }

    /** {@return its kind, such as {@code request}} */
    public String kind() {
        return json.string("kind");
    }

    /** {@return the operation, if it was a request} */
    public Optional<String> op() {
        return Optional.ofNullable(json.optionalString("op"));
    }

    /** {@return the path, if it has one} */
    public Optional<String> path() {
        return Optional.ofNullable(json.optionalString("path"));
    }

    /** {@return the session, if it has one} */
    public Optional<String> session() {
        return Optional.ofNullable(json.optionalString("session"));
    }
}
