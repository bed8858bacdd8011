package zkmini;

/** Failure of a start: there is no program, it cannot be run, or it ended at once. The message has the end of its log. */
public final class StartException extends ZkMiniException {
    private static final long serialVersionUID = 1;

    StartException(String message, Throwable cause) {
        super(message, cause);
    }
}
