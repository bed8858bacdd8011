package zkmini;

/** Refusal of a request: the server's own message, its code and the HTTP status. */
public class RefusedException extends ZkMiniException {
    private static final long serialVersionUID = 1;

    /** HTTP status. */
    private final int status;
    /** Code of the server. */
    private final String code;

    RefusedException(int status, String code, String message) {
        super(message, null);
        this.status = status;
        this.code = code;
    }

    /**
     * Returns the HTTP status, such as 409.
     *
     * @return the HTTP status
     */
    public int status() {
        return status;
    }

    /**
     * Returns the code, such as {@code conflict}.
     *
     * @return the code
     */
    public String code() {
        return code;
    }
}
