package zkmini;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;

/** Node of the tree, with nodes below it as far as they were asked for. */
public final class Node extends Answer {
    Node(JsonObject json) {
        super(json);
    }

    /** {@return its path} */
    public String path() {
        return json.string("path");
    }

    /** {@return its name, the last part of the path} */
    public String name() {
        return json.string("name");
    }

    /** {@return its kind, such as {@code persistent} or {@code ephemeral}} */
    public String kind() {
        return json.string("kind");
    }

    /** {@return its data as UTF-8 text, empty if it has none} */
    public String text() {
        return new String(data(), StandardCharsets.UTF_8);
    }

    /** {@return the number of watches on it} */
    public long watches() {
        return json.number("watches");
    }

    /** {@return its figures} */
    public Stat stat() {
        return new Stat(json.object("stat"));
    }

    /** {@return its children, as far as they were asked for} */
    public List<Node> children() {
        return json.objects("children", Node::new);
    }

    /** {@return its data, empty if it has none} */
    public byte[] data() {
        String data = json.optionalString("data");
        if (data == null) {
            return new byte[0];
        }
        return json.string("encoding").equals("base64") ? Base64.getDecoder().decode(data) : data.getBytes(StandardCharsets.UTF_8);
    }
}
