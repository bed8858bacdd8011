package zkmini;

import java.util.Optional;

/** Watch of a client. */
public final class Watch extends Answer {
    Watch(JsonObject json) {
        super(json);
    }

    /** {@return the watched path; the node need not exist} */
    public String path() {
        return json.string("path");
    }

    /** {@return its kind: {@code data} or {@code children} for one event, {@code persistent} or {@code recursive} for all} */
    public String kind() {
        return json.string("kind");
    }

    /** {@return the session that is told} */
    public Optional<String> session() {
        return Optional.ofNullable(json.optionalString("session"));
    }
}
