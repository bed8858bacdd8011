package zkmini;

import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Entry of the history: something that has happened. */
public final class HistoryEntry extends Answer {
    /** Kinds whose reason says all. */
    private static final List<String> WHOLE = Arrays.asList("connect", "disconnect", "close", "expiry");

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

    /** {@return a sentence: who did it, and why, where there is more to tell} */
    public Optional<String> because() {
        return Optional.ofNullable(json.optionalString("because"));
    }

    /** {@return the path that it is about} */
    public Optional<String> path() {
        return Optional.ofNullable(json.optionalString("path"));
    }

    /** {@return the session that it is about} */
    public Optional<String> session() {
        return Optional.ofNullable(json.optionalString("session"));
    }

    /** {@return the address of the client that did it} */
    public Optional<String> client() {
        return Optional.ofNullable(json.optionalString("client"));
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
        return String.format("%s  %-11s  %s", readable(json.string("time")), kind(), sentence());
    }

    /** Returns a time of ISO 8601 in the form of a log. */
    static String readable(String time) {
        return time.replace('T', ' ').replace("Z", "");
    }

    private String sentence() {
        // The reason of a change is a sentence whose subject is the node.
        if (kind().equals("transaction") && path().isPresent()) {
            return path().get() + " " + because().orElse(what());
        }
        String who = session().map(id -> "session " + id + ": ").orElse(client().map(client -> "client " + client + ": ").orElse(""));
        if (because().isPresent() && WHOLE.contains(kind())) {
            return who + because().get();
        }
        return who + what()
                + path().map(path -> " " + path).orElse("")
                + error().map(error -> ", " + error).orElse("")
                + because().map(because -> ": " + because).orElse("");
    }
}
