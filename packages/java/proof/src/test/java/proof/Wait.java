package proof;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waiting with a bound. */
public final class Wait {
    public static final Duration BOUND = Duration.ofSeconds(20);

    private Wait() {}

    /** Waits until a condition holds. */
    public static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + BOUND.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("after " + BOUND + " it is not so: " + what);
            }
            Thread.sleep(5);
        }
    }

    /** Takes from a queue until it gives this item. */
    public static <T> void untilTaken(BlockingQueue<T> queue, T wanted) throws InterruptedException {
        T last;
        do {
            last = queue.poll(BOUND.toMillis(), TimeUnit.MILLISECONDS);
            if (last == null) {
                throw new AssertionError("after " + BOUND + " there is no " + wanted);
            }
        } while (!last.equals(wanted));
    }
}
