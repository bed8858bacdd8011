package zkmini;

/** Failure of something that was asked of zk-mini. Each kind has a class of its own. */
public abstract class ZkMiniException extends RuntimeException {
    private static final long serialVersionUID = 1;

    ZkMiniException(String message, Throwable cause) {
        super(message, cause);
    }
}
