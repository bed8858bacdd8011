package zkmini;

import java.time.Duration;

/**
 * One server of an ensemble, to be broken and mended; {@link ZkMini#server} gives it. What is done to it stays until it is undone.
 * A call that cannot be done is a {@link RefusedException} that says why.
 */
public final class Server {
    private final Http http;
    private final int number;

    Server(Http http, int number) {
        this.http = http;
        this.number = number;
    }

    /** {@return its number, from 1} */
    public int number() {
        return number;
    }

    /** {@return what it is now} */
    public ServerInfo info() {
        return JsonObject.objects(http.getList("/v1/servers"), ServerInfo::new).stream()
                .filter(info -> info.number() == number)
                .findFirst()
                .orElseThrow(() -> new NotFoundException(404, "not_found", "the ensemble has no server " + number));
    }

    /** Stops it: its port refuses, and its connections are closed. If it leads, another server does. */
    public void stop() {
        act("stop");
    }

    /** Starts it on the same port, with everything that has happened meanwhile. */
    public void start() {
        act("start");
    }

    /** Stops it, and starts it. */
    public void restart() {
        act("restart");
    }

    /** Cuts it off from the others: its connections are closed, and new ones get no answer. */
    public void partition() {
        act("partition");
    }

    /** Lets it reach the others again. */
    public void heal() {
        act("heal");
    }

    /** Lets its clients hear nothing of it; it stays a part of the ensemble. */
    public void freeze() {
        act("freeze");
    }

    /** Lets it go on. */
    public void thaw() {
        act("thaw");
    }

    /** Lets it lead, in a new epoch: all connections of all servers are closed. */
    public void lead() {
        act("lead");
    }

    /**
     * Lets it be behind the leader, so that its clients read the past.
     *
     * @param transactions number of transactions that it does not apply before a client of it needs them
     */
    public void lag(long transactions) {
        http.post(path("lag"), "transactions", transactions);
    }

    /**
     * Lets it be behind the leader.
     *
     * @param time time after which it applies a transaction
     */
    public void lag(Duration time) {
        http.post(path("lag"), "ms", time.toMillis());
    }

    /** Lets it not be behind any more. */
    public void noLag() {
        http.post(path("lag"), "none", true);
    }

    private void act(String action) {
        http.post(path(action));
    }

    private String path(String action) {
        return "/v1/servers/" + number + "/" + action;
    }

    @Override
    public String toString() {
        return "server " + number + " at " + http.base();
    }
}
