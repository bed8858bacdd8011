package zkmini.curator;

/** Failure of the start of a {@link TestingServer}, such as a port that is taken. */
public class FailedServerStartException extends IllegalStateException {
    private static final long serialVersionUID = 1;

    /**
     * Wraps the reason.
     *
     * @param cause the reason
     */
    public FailedServerStartException(Throwable cause) {
        super(cause);
    }

    /**
     * Gives the reason as text.
     *
     * @param message the reason
     */
    public FailedServerStartException(String message) {
        super(message);
    }
}
