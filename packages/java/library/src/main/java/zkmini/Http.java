package zkmini;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** HTTP side of a server: sends a request, reads the answer, makes an exception of a refusal. */
final class Http {
    private static final int CONNECT_MS = 5_000;
    private static final int READ_MS = 60_000;
    private static final byte[] NOTHING = new byte[0];
    static final String JSON = "application/json";
    static final String BYTES = "application/octet-stream";
    static final String YAML = "application/yaml";
    static final String ANY = "*/*";

    private final URI base;
    /** Token that the server wants; null if none. */
    private final String token;
    /** Says what is known of a server that cannot be reached. */
    private final Supplier<String> remedy;

    Http(URI base, String token, Supplier<String> remedy) {
        this.base = base;
        // As in a file, where a line end may follow.
        this.token = token == null ? null : token.trim();
        this.remedy = remedy;
    }

    URI base() {
        return base;
    }

    JsonObject get(String path) {
        return object(send("GET", path, JSON, null, JSON));
    }

    Object getAny(String path) {
        return parsed(send("GET", path, JSON, null, JSON));
    }

    List<?> getList(String path) {
        Object answer = getAny(path);
        if (answer instanceof List) {
            return (List<?>) answer;
        }
        throw unexpected("an array is expected, and there is " + Json.write(answer), null);
    }

    JsonObject post(String path) {
        return object(send("POST", path, JSON, NOTHING, JSON));
    }

    JsonObject post(String path, Map<String, ?> body) {
        return object(send("POST", path, JSON, Json.write(body).getBytes(StandardCharsets.UTF_8), JSON));
    }

    JsonObject post(String path, String key, Object value) {
        return post(path, Collections.singletonMap(key, value));
    }

    /** Posts something whose answer may be of any type. */
    Object postAny(String path, String key, Object value) {
        byte[] body = Json.write(Collections.singletonMap(key, value)).getBytes(StandardCharsets.UTF_8);
        return parsed(send("POST", path, JSON, body, JSON));
    }

    JsonObject post(String path, String type, byte[] body) {
        return object(send("POST", path, type, body, JSON));
    }

    JsonObject put(String path, byte[] body) {
        return object(send("PUT", path, BYTES, body, JSON));
    }

    JsonObject delete(String path) {
        return object(send("DELETE", path, JSON, NOTHING, JSON));
    }

    byte[] getBytes(String path, String accept) {
        return send("GET", path, JSON, null, accept);
    }

    private JsonObject object(byte[] answer) {
        Object value = parsed(answer);
        if (value instanceof JsonObject) {
            return (JsonObject) value;
        }
        throw unexpected("an object is expected, and there is " + Json.write(value), null);
    }

    private Object parsed(byte[] answer) {
        try {
            return JsonReader.read(new String(answer, StandardCharsets.UTF_8));
        } catch (UnexpectedAnswerException e) {
            throw unexpected(e.getMessage(), e);
        }
    }

    private UnexpectedAnswerException unexpected(String what, Exception cause) {
        return new UnexpectedAnswerException(base + " does not answer as zk-mini does: " + what, cause);
    }

    /** Sends a request, and returns the body of the answer. A body of null is none, and has no type. */
    byte[] send(String method, String path, String type, byte[] body, String accept) {
        try {
            // A proxy of the system is for other hosts than this one.
            HttpURLConnection connection =
                    (HttpURLConnection) base.resolve(path).toURL().openConnection(Proxy.NO_PROXY);
            connection.setRequestMethod(method);
            connection.setConnectTimeout(CONNECT_MS);
            connection.setReadTimeout(READ_MS);
            connection.setInstanceFollowRedirects(false);
            connection.setUseCaches(false);
            connection.setRequestProperty("Accept", accept);
            if (token != null) {
                connection.setRequestProperty("Authorization", "Bearer " + token);
            }
            // A connection that is kept may be one to a server that has ended since, and Java would send a request twice.
            connection.setRequestProperty("Connection", "close");
            if (body != null) {
                connection.setRequestProperty("Content-Type", type);
                connection.setDoOutput(true);
                connection.setFixedLengthStreamingMode(body.length);
                try (OutputStream out = connection.getOutputStream()) {
                    out.write(body);
                }
            }
            int status = connection.getResponseCode();
            if (status >= 400) {
                throw refusal(status, read(connection.getErrorStream()));
            }
            return read(connection.getInputStream());
        } catch (IOException e) {
            throw new UnreachableException(
                    "zk-mini at " + base + " cannot be reached (" + e + "): " + remedy.get(), e);
        }
    }

    private static byte[] read(InputStream in) throws IOException {
        if (in == null) {
            return NOTHING;
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        try (InputStream from = in) {
            for (int n = from.read(buffer); n >= 0; n = from.read(buffer)) {
                out.write(buffer, 0, n);
            }
        }
        return out.toByteArray();
    }

    private ZkMiniException refusal(int status, byte[] answer) {
        String code;
        String message;
        try {
            JsonObject error = object(answer).object("error");
            code = error.string("code");
            message = error.string("message");
        } catch (UnexpectedAnswerException e) {
            // The commands of the AdminServer have an error of their own.
            code = "unknown";
            message = new String(answer, StandardCharsets.UTF_8);
        }
        return status == 404
                ? new NotFoundException(status, code, message)
                : new RefusedException(status, code, message);
    }
}
