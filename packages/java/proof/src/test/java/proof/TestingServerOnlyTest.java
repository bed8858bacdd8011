package proof;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.Collections;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import zkmini.curator.FailedServerStartException;
import zkmini.curator.InstanceSpec;
import zkmini.curator.TestingServer;

/** Our TestingServer where Curator's cannot follow: it has all members of Curator's, and a taken port does not end the JVM. */
class TestingServerOnlyTest {
    private static String signature(Executable member, String result) {
        String types = Stream.of(member.getParameterTypes()).map(Class::getName).collect(Collectors.joining(","));
        String thrown = Stream.of(member.getExceptionTypes()).map(Class::getName).sorted().collect(Collectors.joining(","));
        String name = member instanceof Constructor ? "new" : member.getName();
        boolean isStatic = Modifier.isStatic(member.getModifiers());
        return (isStatic ? "static " : "") + result + " " + name + "(" + types + ") throws " + thrown;
    }

    private static TreeSet<String> members(Class<?> type) {
        TreeSet<String> members = new TreeSet<>();
        for (Constructor<?> constructor : type.getConstructors()) {
            members.add(signature(constructor, ""));
        }
        for (Method method : type.getDeclaredMethods()) {
            if (Modifier.isPublic(method.getModifiers()) && !method.isSynthetic()) {
                members.add(signature(method, method.getReturnType().getName()));
            }
        }
        return members;
    }

    @ParameterizedTest
    @ValueSource(strings = {"TestingServer", "InstanceSpec", "TestingCluster", "TestingZooKeeperServer"})
    void everyMemberOfCuratorsClassIsThere(String name) throws Exception {
        TreeSet<String> theirs = new TreeSet<>();
        for (String member : members(Class.forName("org.apache.curator.test." + name))) {
            theirs.add(member.replace("org.apache.curator.test.", "zkmini.curator."));
        }
        assertFalse(theirs.isEmpty());
        // What names a type of a library that is not there: a client may be anything, and a cluster makes its servers.
        theirs.removeIf(member -> member.contains("org.apache.zookeeper.") || member.contains("QuorumConfigBuilder"));
        theirs.removeAll(members(Class.forName("zkmini.curator." + name)));
        assertEquals(Collections.emptySet(), theirs);
    }

    @Test
    void aTakenPortIsAnException() throws Exception {
        try (ServerSocket taken = new ServerSocket(0)) {
            String message = assertThrows(FailedServerStartException.class, () -> new TestingServer(taken.getLocalPort()))
                    .getMessage();
            assertTrue(message.contains("127.0.0.1:" + taken.getLocalPort()), message);
            TestingServer server = new TestingServer(taken.getLocalPort(), false);
            assertThrows(FailedServerStartException.class, server::start);
            assertThrows(IllegalStateException.class, server::control);
            taken.close();
            server.restart();
            assertEquals(taken.getLocalPort(), server.getPort());
            server.close();
            assertFalse(server.getTempDirectory().exists());
        }
    }

    @Test
    void propertiesOfZooKeeperAreChecked() throws Exception {
        InstanceSpec spec = new InstanceSpec(
                null, -1, -1, -1, true, -1, -1, -1, Collections.singletonMap("maxSessionTimout", "4000"));
        try (TestingServer server = new TestingServer(spec, false)) {
            String message = assertThrows(FailedServerStartException.class, server::start).getMessage();
            assertTrue(message.contains("maxSessionTimout"), message);
        }
    }

    @Test
    void itHasTheControl() throws Exception {
        try (TestingServer server = new TestingServer()) {
            server.control().put("/a", new byte[] {1, (byte) 0xff});
            assertEquals(server.getConnectString(), server.control().hosts());
            server.restart();
            assertArrayEquals(new byte[] {1, (byte) 0xff}, server.control().get("/a"));
            assertEquals(Arrays.asList("a", "zookeeper"), server.control().children("/"));
        }
    }

    @Test
    void anAddressBeyondLoopbackHasControlToo() throws Exception {
        InstanceSpec spec = new InstanceSpec(null, 0, -1, -1, true, -1, -1, -1, null, "0.0.0.0");
        try (TestingServer server = new TestingServer(spec, true)) {
            assertEquals("0.0.0.0:" + server.getPort(), server.getConnectString());
            assertFalse(server.control().exists("/a"));
        }
    }
}
