package zkmini;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;

/** Server of an ensemble, as it was when it was asked for. */
public final class ServerInfo extends Answer {
    ServerInfo(JsonObject json) {
        super(json);
    }

    /** {@return its number, from 1} */
    public int number() {
        return (int) json.number("server");
    }

    /** {@return its address for clients, such as {@code 127.0.0.1:40123}} */
    public String address() {
        return json.string("address");
    }

    /** {@return {@code leader}, {@code follower}, {@code observer}, or {@code looking} if it knows no leader} */
    public String role() {
        return json.string("role");
    }

    /** {@return whether it leads} */
    public boolean isLeader() {
        return role().equals("leader");
    }

    /** {@return {@code running}, {@code read-only} (there is no quorum), {@code frozen}, {@code partitioned} or {@code stopped}} */
    public String state() {
        return json.string("state");
    }

    /** {@return the zxid of the last transaction that it has applied} */
    public String lastZxid() {
        return json.string("last_zxid");
    }

    /** {@return the number of transactions that it has not applied yet} */
    public long behind() {
        return json.number("behind");
    }

    /** {@return its lag, if one was set in transactions} */
    public OptionalLong lagTransactions() {
        Long transactions = json.object("lag").optionalNumber("transactions");
        return transactions == null ? OptionalLong.empty() : OptionalLong.of(transactions);
    }

    /** {@return its lag, if one was set in time} */
    public Optional<Duration> lagTime() {
        return Optional.ofNullable(json.object("lag").optionalNumber("ms")).map(Duration::ofMillis);
    }
}
