package zkmini;

import java.nio.charset.StandardCharsets;

/** Paths of nodes and ids of sessions, as the API writes them. */
final class Paths {
    private static final String UNRESERVED = "/-._~";

    private Paths() {}

    /** Encodes a path, or another value of a query, for an address. */
    static String encode(String text) {
        StringBuilder out = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (b & 0xff);
            boolean plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || UNRESERVED.indexOf(c) >= 0;
            out.append(plain ? String.valueOf(c) : String.format("%%%02X", (int) c));
        }
        return out.toString();
    }

    static String checked(String path) {
        if (!path.startsWith("/")) {
            throw new IllegalArgumentException("a path begins with `/`, and `" + path + "` does not");
        }
        return path;
    }

    static String sessionId(long id) {
        return "0x" + Long.toHexString(id);
    }

    /** Returns the id of a session, in whose place the path of a node that it owns may stand. */
    static String session(Http http, String pathOrSession) {
        if (isSession(pathOrSession)) {
            return pathOrSession;
        }
        Node node = new Node(http.get("/v1/tree?path=" + encode(pathOrSession) + "&depth=0"));
        return node.stat().ephemeralOwner().orElseThrow(
                () -> new IllegalArgumentException(pathOrSession + " is not ephemeral, so no session owns it"));
    }

    /** Whether it is an id of a session; otherwise it is a path. */
    static boolean isSession(String pathOrSession) {
        if (pathOrSession.startsWith("0x")) {
            return true;
        }
        if (pathOrSession.startsWith("/")) {
            return false;
        }
        throw new IllegalArgumentException(
                "`" + pathOrSession + "` is neither a path, which begins with `/`, nor the id of a session, which begins with `0x`");
    }
}
