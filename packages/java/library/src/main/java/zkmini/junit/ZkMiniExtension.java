package zkmini.junit;

import java.lang.reflect.Constructor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.opentest4j.TestAbortedException;
import zkmini.HistoryEntry;
import zkmini.ZkMini;
import zkmini.ZkMiniBuilder;
import zkmini.ZkMiniException;

/**
 * Extension of JUnit 5 that gives tests a ZooKeeper server.
 *
 * <ul>
 *   <li>{@code @ExtendWith(ZkMiniExtension.class)} on a class, or {@code @RegisterExtension static} field: one server for the class,
 *       which has the nodes of its start and nothing else before each test. Tests that run in parallel get a server each.
 *   <li>{@code @RegisterExtension} field that is not static, or {@code @ExtendWith} on a method: a server for each test.
 * </ul>
 *
 * <p>A test takes the server as a parameter of type {@link ZkMini}, its connect string as a String with {@link ZkHosts}, or both
 * from the field: {@link #server()}, {@link #hosts()}. A failed test publishes the end of the server's history, and prints it on
 * standard error.
 */
public final class ZkMiniExtension
        implements BeforeAllCallback, AfterAllCallback, BeforeEachCallback, AfterEachCallback, ParameterResolver {
    private static final int HISTORY_ENTRIES = 50;
    /** Keys of what is kept in stores. */
    private static final String SERVER = "server ";
    private static final String OWNER = "owner";
    private static final String BEFORE = "before";

    private final UnaryOperator<ZkMiniBuilder> settings;
    private final boolean keep;
    private final Namespace namespace = Namespace.create(ZkMiniExtension.class, this);
    /** Contexts of this thread, the innermost last. */
    private final ThreadLocal<Deque<ExtensionContext>> ofThread = ThreadLocal.withInitial(ArrayDeque::new);
    /** Contexts of the tests that run now, on all threads. */
    private final Set<ExtensionContext> running = ConcurrentHashMap.newKeySet();

    /** Makes an extension with a server without settings. */
    public ZkMiniExtension() {
        this(UnaryOperator.identity(), false);
    }

    private ZkMiniExtension(UnaryOperator<ZkMiniBuilder> settings, boolean keep) {
        this.settings = settings;
        this.keep = keep;
    }

    /** {@return an extension with a server without settings} */
    public static ZkMiniExtension create() {
        return new ZkMiniExtension();
    }

    /**
     * Returns an extension like this one whose server has settings.
     *
     * @param settings sets them, as in {@code builder -> builder.tick(Duration.ofMillis(50))}
     * @return the extension
     */
    public ZkMiniExtension with(UnaryOperator<ZkMiniBuilder> settings) {
        return new ZkMiniExtension(settings, keep);
    }

    /**
     * Returns an extension like this one that does not reset the server: all tests of a class, parallel ones too, see the same
     * nodes, and what {@code @BeforeAll} has made.
     *
     * @return the extension
     */
    public ZkMiniExtension keepBetweenTests() {
        return new ZkMiniExtension(settings, true);
    }

    /**
     * Returns the server of the test that runs. From a thread that a test has started it can be called only while one test runs.
     *
     * @return the server
     * @throws IllegalStateException outside of a test, or if several run
     */
    public ZkMini server() {
        ExtensionContext context = ofThread.get().peekLast();
        if (context == null) {
            List<ExtensionContext> tests = new ArrayList<>(running);
            if (tests.size() != 1) {
                throw new IllegalStateException(tests.size() + " tests run, and none on this thread: call server() in the"
                        + " test itself, and hand the server to other threads");
            }
            context = tests.get(0);
        }
        return server(context);
    }

    /** {@return the connect string of the server of the test that runs} */
    public String hosts() {
        return server().hosts();
    }

    @Override
    public void beforeAll(ExtensionContext context) {
        Store store = context.getStore(namespace);
        // A nested class sees the store of its outer class, and shares its server.
        if (store.get(OWNER) == null) {
            store.put(OWNER, new Owner(context));
        }
        ofThread.get().addLast(context);
    }

    @Override
    public void afterAll(ExtensionContext context) {
        ofThread.get().remove(context);
    }

    @Override
    public void beforeEach(ExtensionContext context) {
        ofThread.get().addLast(context);
        running.add(context);
        ZkMini server = server(context);
        if (!keep && placeOfServer(context) != context) {
            server.resetAll();
            String nodes = running(context).nodes;
            if (!nodes.isEmpty()) {
                server.restoreText(nodes);
            }
        }
        List<HistoryEntry> last = server.history().limit(1).list();
        context.getStore(namespace).put(BEFORE, last.isEmpty() ? 0 : last.get(0).seq());
    }

    @Override
    public void afterEach(ExtensionContext context) {
        boolean failed = context.getExecutionException()
                .filter(thrown -> !(thrown instanceof TestAbortedException))
                .isPresent();
        if (failed) {
            String history = history(context);
            context.publishReportEntry("zk-mini history", history);
            System.err.println(context.getDisplayName() + " failed. What the ZooKeeper server saw:\n" + history);
        }
        running.remove(context);
        ofThread.get().remove(context);
    }

    /** Returns what has happened since the test began, at most the last entries. */
    private String history(ExtensionContext context) {
        try {
            long before = context.getStore(namespace).getOrDefault(BEFORE, Long.class, 0L);
            String text = server(context).history().latest(HISTORY_ENTRIES).stream()
                    .filter(entry -> entry.seq() > before)
                    .map(entry -> "  " + entry.line())
                    .collect(Collectors.joining("\n"));
            return text.isEmpty() ? "  nothing" : text;
        } catch (ZkMiniException e) {
            return "  its history cannot be had: " + e.getMessage();
        }
    }

    /** Returns the context that has the server: that of the class, or of a test, if it has one of its own. */
    private ExtensionContext placeOfServer(ExtensionContext context) {
        Owner outer = context.getStore(namespace).get(OWNER, Owner.class);
        if (outer == null) {
            return context;
        }
        ExtensionContext owner = outer.context;
        for (ExtensionContext c = context; c != owner && !keep; c = c.getParent().orElse(owner)) {
            if (c.getExecutionMode() == ExecutionMode.CONCURRENT) {
                return context;
            }
        }
        return owner;
    }

    private ZkMini server(ExtensionContext context) {
        return running(context).server;
    }

    private Running running(ExtensionContext context) {
        ExtensionContext place = placeOfServer(context);
        // The key has the id, because a store also shows what is in the stores of outer contexts.
        return place.getStore(namespace)
                .getOrComputeIfAbsent(SERVER + place.getUniqueId(), key -> new Running(settings), Running.class);
    }

    /** Context of the class that shares a server. Held apart from the store, which would close it. */
    private static final class Owner {
        private final ExtensionContext context;

        private Owner(ExtensionContext context) {
            this.context = context;
        }
    }

    /** Server that ends with the store that holds it: up to JUnit 5.12 by the first of the two, then by the second. */
    private static final class Running implements Store.CloseableResource, AutoCloseable {
        private final ZkMini server;
        /** Nodes of its start, as YAML; none are no text. */
        private final String nodes;

        private Running(UnaryOperator<ZkMiniBuilder> settings) {
            server = settings.apply(ZkMini.builder()).start();
            try {
                nodes = server.snapshotText();
            } catch (RuntimeException e) {
                server.close();
                throw e;
            }
        }

        @Override
        public void close() {
            server.close();
        }
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        // The server of a test is not known when its class is constructed.
        boolean ofTest = !(parameter.getDeclaringExecutable() instanceof Constructor);
        Class<?> type = parameter.getParameter().getType();
        return ofTest && (type == ZkMini.class || type == String.class && parameter.isAnnotated(ZkHosts.class));
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        ZkMini server = server(context);
        return parameter.getParameter().getType() == ZkMini.class ? server : server.hosts();
    }
}
