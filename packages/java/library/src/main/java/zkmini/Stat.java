package zkmini;

import java.time.Instant;
import java.util.Optional;

/** Figures of a node, as ZooKeeper has them. */
public final class Stat extends Answer {
    Stat(JsonObject json) {
        super(json);
    }

    /** {@return the zxid of its creation} */
    public String czxid() {
        return json.string("czxid");
    }

    /** {@return the zxid of the last change of its data} */
    public String mzxid() {
        return json.string("mzxid");
    }

    /** {@return the zxid of the last change of its children} */
    public String pzxid() {
        return json.string("pzxid");
    }

    /** {@return the time of its creation} */
    public Instant created() {
        return Instant.ofEpochMilli(json.number("ctime"));
    }

    /** {@return the time of the last change of its data} */
    public Instant modified() {
        return Instant.ofEpochMilli(json.number("mtime"));
    }

    /** {@return the version of its data} */
    public int version() {
        return (int) json.number("version");
    }

    /** {@return the version of its children (cversion)} */
    public int childrenVersion() {
        return (int) json.number("cversion");
    }

    /** {@return the version of its access control list (aversion)} */
    public int aclVersion() {
        return (int) json.number("aversion");
    }

    /** {@return the id of the session that owns it, if it is ephemeral} */
    public Optional<String> ephemeralOwner() {
        return Optional.of(json.string("ephemeralOwner")).filter(id -> !id.equals("0x0"));
    }

    /** {@return the length of its data} */
    public int dataLength() {
        return (int) json.number("dataLength");
    }

    /** {@return the number of its children} */
    public int numChildren() {
        return (int) json.number("numChildren");
    }
}
