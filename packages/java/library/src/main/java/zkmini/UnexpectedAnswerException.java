package zkmini;

/** Answer of a server that is not as zk-mini answers: no JSON, or a field is missing. Is it zk-mini, and of the same version? */
public final class UnexpectedAnswerException extends ZkMiniException {
    private static final long serialVersionUID = 1;

    UnexpectedAnswerException(String message, Throwable cause) {
        super(message, cause);
    }
}
