package zkmini;

import java.util.List;

/** Fault rule of a server. {@link #close} removes it, so a rule can stand in a {@code try} with resources. */
public final class FaultRule implements AutoCloseable {
    private final Http http;
    private final JsonObject added;

    FaultRule(Http http, JsonObject added) {
        this.http = http;
        this.added = added;
    }

    private JsonObject now() {
        return http.get("/v1/faults/" + id());
    }

    /** {@return its id, such as {@code 0x1}} */
    public String id() {
        return added.string("id");
    }

    /** {@return the rule in words} */
    public String text() {
        return added.string("text");
    }

    /** {@return the number of cases in which it did something, until now} */
    public long fired() {
        return now().number("fired");
    }

    /** {@return the number of cases that fitted, until now} */
    public long matched() {
        return now().number("matched");
    }

    /** {@return the cases in which it did something, the oldest first} */
    public List<FaultHit> hits() {
        return now().objects("hits", FaultHit::new);
    }

    /** Removes the rule. A rule that is gone already, as after a reset, is no error. */
    public void remove() {
        try {
            http.delete("/v1/faults/" + id());
        } catch (NotFoundException gone) {
            // It is removed, which is what was asked for.
        }
    }

    @Override
    public void close() {
        remove();
    }

    @Override
    public String toString() {
        return text();
    }
}
