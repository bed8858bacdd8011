package zkmini;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Process of a server. Its standard input is a pipe that closes when this Java process ends, however it ends; then the server ends,
 * too.
 */
final class ServerProcess {
    private static final long START_SECONDS = 30;
    private static final long STOP_SECONDS = 10;
    private static final long ENDING_SECONDS = 1;
    private static final int LOG_LINES = 200;
    private static final int BUSY_TRIES = 50;

    private final Process process;
    private final List<String> command;
    /** End of the log. */
    private final Deque<String> log = new ArrayDeque<>();
    private final CompletableFuture<String> firstLine = new CompletableFuture<>();
    private final Thread logReader;

    private ServerProcess(List<String> command) throws IOException, InterruptedException {
        this.command = command;
        process = started(command);
        logReader = reader("log", process.getErrorStream(), line -> {
            synchronized (log) {
                if (log.size() == LOG_LINES) {
                    log.removeFirst();
                }
                log.addLast(line);
            }
        });
        Thread output = reader("output", process.getInputStream(), firstLine::complete);
        logReader.start();
        output.start();
    }

    /** Starts a server, and returns when it is ready. */
    static ServerProcess start(List<String> command) {
        try {
            ServerProcess server = new ServerProcess(command);
            server.awaitReady();
            return server;
        } catch (IOException e) {
            throw new StartException(String.join(" ", command) + " cannot be started: " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new StartException("the thread was interrupted while zk-mini started", e);
        }
    }

    private static Process started(List<String> command) throws IOException, InterruptedException {
        for (int tries = 1; ; tries++) {
            try {
                return new ProcessBuilder(command).start();
            } catch (IOException e) {
                // A program that was just written is busy while a process that another thread starts holds it open.
                boolean isBusy = e.getMessage() != null && e.getMessage().contains("error=26");
                if (!isBusy || tries == BUSY_TRIES) {
                    throw e;
                }
                Thread.sleep(10);
            }
        }
    }

    private Thread reader(String name, InputStream from, Consumer<String> take) {
        Thread thread = new Thread(
                () -> {
                    try (BufferedReader in = new BufferedReader(new InputStreamReader(from, StandardCharsets.UTF_8))) {
                        in.lines().forEach(take);
                    } catch (IOException | UncheckedIOException closed) {
                        // The stream ends with the process.
                    }
                    firstLine.complete("");
                },
                "zk-mini " + name);
        thread.setDaemon(true);
        return thread;
    }

    private void awaitReady() throws InterruptedException {
        String line;
        try {
            line = firstLine.get(START_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            process.destroyForcibly();
            throw failure("is not ready after " + START_SECONDS + " s", e);
        } catch (InterruptedException e) {
            process.destroyForcibly();
            throw e;
        } catch (ExecutionException e) {
            throw new IllegalStateException("a line is never a failure", e);
        }
        if (line.isEmpty()) {
            boolean hasEnded = process.waitFor(STOP_SECONDS, TimeUnit.SECONDS);
            if (!hasEnded) {
                // Of a process that has ended this would only close the log before it is read.
                process.destroyForcibly();
            }
            logReader.join(TimeUnit.SECONDS.toMillis(STOP_SECONDS));
            throw failure(hasEnded ? "ended with status " + process.exitValue() : "closed its output", null);
        }
    }

    private StartException failure(String what, Exception cause) {
        return new StartException(String.join(" ", command) + " " + what + endOfLog(), cause);
    }

    private String endOfLog() {
        String text = log();
        return text.isEmpty() ? "; it has written no log" : "; the end of its log:\n" + text;
    }

    /** Returns the line that the server has written when it was ready. */
    JsonObject ready() {
        String line = firstLine.join();
        try {
            return (JsonObject) JsonReader.read(line);
        } catch (UnexpectedAnswerException | ClassCastException e) {
            process.destroyForcibly();
            throw failure("says `" + line + "`, which is not the line of a server that is ready: is it zk-mini?", e);
        }
    }

    String log() {
        synchronized (log) {
            return String.join("\n", log);
        }
    }

    /** Returns what is known of a server that cannot be reached. */
    String remedy() {
        return endsSoon()
                ? "its process has ended with status " + process.exitValue() + endOfLog()
                : "its process runs; it may be stuck" + endOfLog();
    }

    /** Tells whether the process has ended, or does so in a moment: the kernel closes its connections first. */
    private boolean endsSoon() {
        try {
            return process.waitFor(ENDING_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return !process.isAlive();
        }
    }

    /** Ends the server as an operator would, and kills it only if that takes too long. */
    void stop() {
        boolean interrupted = false;
        try {
            process.getOutputStream().close();
        } catch (IOException e) {
            process.destroy();
        }
        try {
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            interrupted = true;
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
