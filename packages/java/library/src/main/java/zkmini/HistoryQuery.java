package zkmini;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Question about the history: {@code zk.history().path("/members/*").kinds("transaction").list()}. A reset of the server does not empty
 * it.
 */
public final class HistoryQuery {
    private final Http http;
    private final Map<String, String> options = new LinkedHashMap<>();

    HistoryQuery(Http http) {
        this.http = http;
    }

    private HistoryQuery with(String key, String value) {
        options.put(key, value);
        return this;
    }

    /**
     * Keeps entries about these paths.
     *
     * @param pattern a path, with {@code *} and {@code **} as in a fault
     * @return this question
     */
    public HistoryQuery path(String pattern) {
        return with("path", pattern);
    }

    /**
     * Keeps entries about this session.
     *
     * @param pathOrSession path of an ephemeral node that it owns now, or its id, {@code 0x…}
     * @return this question
     */
    public HistoryQuery session(String pathOrSession) {
        return with("session", Paths.session(http, pathOrSession));
    }

    /**
     * Keeps entries about this session.
     *
     * @param id its id, as the client has it ({@code ZooKeeper.getSessionId()})
     * @return this question
     */
    public HistoryQuery session(long id) {
        return session(Paths.sessionId(id));
    }

    /**
     * Keeps entries of these kinds.
     *
     * @param kinds {@code request}, {@code transaction}, {@code event}, {@code connect}, {@code disconnect}, {@code close},
     *     {@code expiry}, {@code fault}, {@code server}
     * @return this question
     */
    public HistoryQuery kinds(String... kinds) {
        return with("kind", String.join(",", kinds));
    }

    /**
     * Keeps entries after this one. A limit then keeps the first of them, not the last.
     *
     * @param seq number of an entry
     * @return this question
     */
    public HistoryQuery after(long seq) {
        return with("since_seq", Long.toString(seq));
    }

    /**
     * Keeps the last entries.
     *
     * @param entries maximum number of entries
     * @return this question
     */
    public HistoryQuery limit(int entries) {
        return with("limit", Integer.toString(entries));
    }

    /** {@return the entries, the oldest first} */
    public List<HistoryEntry> list() {
        String query = options.entrySet().stream()
                .map(option -> option.getKey() + "=" + Paths.encode(option.getValue()))
                .collect(Collectors.joining("&"));
        return JsonObject.objects(http.getList("/v1/history?" + query), HistoryEntry::new);
    }

    /**
     * Returns what a person reads first, the oldest first: of requests only those that failed, since a write is a transaction, too.
     *
     * @param entries maximum number of entries, 1 to 10,000
     * @return the last entries
     */
    public List<HistoryEntry> latest(int entries) {
        HistoryQuery last = new HistoryQuery(http);
        last.options.putAll(options);
        // Of the entries after a number the server keeps the first, and these are to be the last.
        String after = last.options.remove("since_seq");
        long begin = after == null ? 0 : Long.parseLong(after);
        List<HistoryEntry> latest = last.with("story", "true").limit(entries).list();
        return latest.stream().filter(entry -> entry.seq() > begin).collect(Collectors.toList());
    }

    /** {@return the entries as text, one a line, ready to print} */
    public String text() {
        return list().stream().map(HistoryEntry::line).collect(Collectors.joining("\n"));
    }
}
