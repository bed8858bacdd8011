package zkmini;

import java.math.BigInteger;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Fault to add to a server: when it happens, and what happens then. {@code Fault.on("create").path("/orders/*").once().dropReply()}
 * loses the reply of one create.
 */
public final class Fault {
    private final Map<String, Object> when;
    private final Map<String, Object> then;

    private Fault(Map<String, Object> when, String action, Object argument) {
        this.when = when;
        this.then = Collections.singletonMap(action, argument);
    }

    /** Returns the rule as the server reads it. The argument makes an id of what stands for a session. */
    Map<String, Object> toJson(UnaryOperator<String> session) {
        Map<String, Object> where = new LinkedHashMap<>(when);
        where.computeIfPresent("session", (key, given) -> session.apply((String) given));
        Map<String, Object> rule = new LinkedHashMap<>();
        rule.put("when", where);
        rule.put("then", then);
        return rule;
    }

    @Override
    public String toString() {
        return Json.write(toJson(UnaryOperator.identity()));
    }

    /**
     * Fits requests of these kinds.
     *
     * @param operations names of ZooKeeper: {@code create}, {@code delete}, {@code setData}, {@code getData}, {@code exists},
     *     {@code getChildren}, {@code multi}, {@code sync}; {@code *} is every request but pings
     * @return the condition
     */
    public static When on(String... operations) {
        return new When("op", operations.length == 1 ? operations[0] : Arrays.asList(operations));
    }

    /**
     * Fits events of watches.
     *
     * @param type {@code NodeCreated}, {@code NodeDeleted}, {@code NodeDataChanged}, {@code NodeChildrenChanged} or {@code *}
     * @return the condition
     */
    public static When onEvent(String type) {
        return new When("event", type);
    }

    /**
     * Fits every handshake of a client.
     *
     * @return the condition
     */
    public static When onConnect() {
        return new When("connect", true);
    }

    /**
     * Fits handshakes of clients that come back with a session.
     *
     * @return the condition
     */
    public static When onReattach() {
        return new When("reattach", true);
    }

    /**
     * Fits expiries of sessions.
     *
     * @return the condition
     */
    public static When onExpiry() {
        return new When("expiry", true);
    }

    /** Condition of a fault. Its last method says what happens. */
    public static final class When {
        private final Map<String, Object> fields = new LinkedHashMap<>();

        private When(String key, Object value) {
            fields.put(key, value);
        }

        private When with(String key, Object value) {
            fields.put(key, value);
            return this;
        }

        private Fault then(String action, Object argument) {
            return new Fault(new LinkedHashMap<>(fields), action, argument);
        }

        /**
         * Narrows to paths.
         *
         * @param pattern a path; {@code *} is any characters within one name, {@code /a/**} everything below {@code /a}
         * @return this condition
         */
        public When path(String pattern) {
            return with("path", pattern);
        }

        /**
         * Narrows to a session.
         *
         * @param pathOrSession path of an ephemeral node that it owns when the fault is added, or its id, {@code 0x…}
         * @return this condition
         */
        public When session(String pathOrSession) {
            return with("session", pathOrSession);
        }

        /**
         * Narrows to a session.
         *
         * @param id its id, as the client has it
         * @return this condition
         */
        public When session(long id) {
            return session(Paths.sessionId(id));
        }

        /**
         * Narrows to one case alone.
         *
         * @param number 1 for the first case
         * @return this condition
         */
        public When nth(long number) {
            return with("nth", number);
        }

        /**
         * Narrows to cases at equal distances.
         *
         * @param number 3 for each third case
         * @return this condition
         */
        public When every(long number) {
            return with("every", number);
        }

        /**
         * Narrows to the first cases.
         *
         * @param number number of cases
         * @return this condition
         */
        public When times(long number) {
            return with("times", number);
        }

        /**
         * Narrows to the first case.
         *
         * @return this condition
         */
        public When once() {
            return times(1);
        }

        /**
         * Narrows to a part of the cases, by chance.
         *
         * @param part part of the cases, from 0 to 1
         * @param seed seed of the choice; the same seed makes the same choice again
         * @return this condition
         */
        public When probability(double part, long seed) {
            return with("probability", part).with("seed", new BigInteger(Long.toUnsignedString(seed)));
        }

        /**
         * The client gets an error, and nothing is done.
         *
         * @param code name of ZooKeeper's {@code KeeperException.Code}, such as {@code NONODE}
         * @return the fault
         */
        public Fault fail(String code) {
            return then("fail", code);
        }

        /**
         * It happens later.
         *
         * @param delay time that it waits
         * @return the fault
         */
        public Fault delay(Duration delay) {
            return then("delay_ms", delay.toMillis());
        }

        /**
         * It happens at once, and the reply comes later.
         *
         * @param delay time that the reply waits
         * @return the fault
         */
        public Fault delayReply(Duration delay) {
            return then("delay_reply_ms", delay.toMillis());
        }

        /**
         * The connection breaks, and nothing was done.
         *
         * @return the fault
         */
        public Fault dropRequest() {
            return then("drop", "before_apply");
        }

        /**
         * It is done, and the connection breaks before the reply.
         *
         * @return the fault
         */
        public Fault dropReply() {
            return then("drop", "after_apply");
        }

        /**
         * Nothing is done, and no reply comes; the connection stays.
         *
         * @return the fault
         */
        public Fault ignoreRequest() {
            return then("silent", "before_apply");
        }

        /**
         * It is done, and no reply comes; the connection stays.
         *
         * @return the fault
         */
        public Fault ignoreReply() {
            return then("silent", "after_apply");
        }

        /**
         * The connection is slow from now on, until the rule is removed.
         *
         * @param latency time that each reply waits
         * @param bytesPerSecond speed of the connection
         * @return the fault
         */
        public Fault slow(Duration latency, long bytesPerSecond) {
            Map<String, Object> slow = new LinkedHashMap<>();
            slow.put("latency_ms", latency.toMillis());
            slow.put("bytes_per_second", bytesPerSecond);
            return then("slow", slow);
        }

        /**
         * The client does not hear of the event.
         *
         * @return the fault
         */
        public Fault dropEvent() {
            return then("drop_event", true);
        }

        /**
         * A handshake is closed without an answer; a client that comes back is told that its session has expired, while the
         * session lives on.
         *
         * @return the fault
         */
        public Fault refuse() {
            return then("refuse", true);
        }

        /**
         * The ephemeral nodes of the session stay after it has ended.
         *
         * @param time time that they stay
         * @return the fault
         */
        public Fault holdEphemerals(Duration time) {
            return then("hold_ephemerals_ms", time.toMillis());
        }
    }
}
