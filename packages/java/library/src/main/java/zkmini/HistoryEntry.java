package zkmini;

import java.time.Instant;
import java.util.Optional;

/** Entry of the history: something that has happened. */
public final class HistoryEntry extends Answer {
    HistoryEntry(JsonObject json) {
        super(json);
    }

    /** {@return its number} */
    public long seq() {
        return json.number("seq");
    }

    /** {@return its time} */
    public Instant time() {
        return Instant.parse(json.string("time"));
    }

    /** {@return its kind, such as {@code request}, {@code transaction}, {@code expiry}, {@code fault}} */
    public String kind() {
        return json.string("kind");
    }

    /** {@return the thing that was done, such as {@code created}} */
    public String what() {
        return json.string("what");
    }

    /** {@return a sentence: who did it, and why} */
    public String because() {
        return json.string("because");
    }

    /** {@return the path that it is about} */
    public Optional<String> path() {
        return Optional.ofNullable(json.optionalString("path"));
    }

    /** {@return the session that it is about} */
    public Optional<String> session() {
        return Optional.ofNullable(json.optionalString("session"));
    }

    /** {@return the zxid after it} */
    public Optional<String> zxid() {
        return Optional.ofNullable(json.optionalString("zxid"));
    }

    /** {@return the error that the client got} */
    public Optional<String> error() {
        return Optional.ofNullable(json.optionalString("error"));
    }

    /** {@return the entry as a line to read} */
    public String line() {
        StringBuilder line = new StringBuilder(json.string("time")).append("  ").append(kind());
        path().ifPresent(path -> line.append("  ").append(path));
        line.append("  ").append(because());
        error().ifPresent(error -> line.append("  (").append(error).append(')'));
        return line.toString();
    }
}
