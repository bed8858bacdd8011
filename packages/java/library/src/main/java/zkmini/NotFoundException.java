package zkmini;

/** Refusal of a request about a node, a session or a fault rule that is not there. */
public final class NotFoundException extends RefusedException {
    private static final long serialVersionUID = 1;

    NotFoundException(int status, String code, String message) {
        super(status, code, message);
    }
}
