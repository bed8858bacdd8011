package zkmini;

/** Failure to reach a server: it has ended, or it does not answer. */
public final class UnreachableException extends ZkMiniException {
    private static final long serialVersionUID = 1;

    UnreachableException(String message, Throwable cause) {
        super(message, cause);
    }
}
