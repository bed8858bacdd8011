package zkmini;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** Clock of a server. */
public final class Clock extends Answer {
    Clock(JsonObject json) {
        super(json);
    }

    /** {@return whether it stands still until {@link ZkMini#advance} moves it} */
    public boolean isManual() {
        return json.string("mode").equals("manual");
    }

    /** {@return its time} */
    public Instant now() {
        return Instant.ofEpochMilli(json.number("now_ms"));
    }

    /** {@return the length of a tick} */
    public Duration tick() {
        return Duration.ofMillis(json.number("tick_ms"));
    }

    /** {@return the time until something is due next, such as an expiry} */
    public Optional<Duration> nextDeadline() {
        return Optional.ofNullable(json.optionalNumber("next_deadline_ms")).map(Duration::ofMillis);
    }
}
