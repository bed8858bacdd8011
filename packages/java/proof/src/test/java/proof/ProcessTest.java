package proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import zkmini.ZkMini;
import zkmini.curator.TestingServer;
import zkmini.junit.ZkMiniExtension;

/** A server ends with the JVM that has started it. */
class ProcessTest {
    /** Program that starts servers, prints their ports, and ends in a way that is an argument. */
    static final class Owner {
        private Owner() {}

        public static void main(String[] arguments) throws Exception {
            ZkMini one = ZkMini.start();
            TestingServer other = new TestingServer();
            System.out.println(one.port() + " " + other.getPort());
            switch (arguments[0]) {
                case "exit":
                    System.exit(0);
                    break;
                case "halt":
                    Runtime.getRuntime().halt(0);
                    break;
                case "return":
                    break;
                default:
                    Thread.sleep(Long.MAX_VALUE);
            }
        }
    }

    private static boolean answers(int port) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 5_000);
            return true;
        } catch (IOException refused) {
            return false;
        }
    }

    private static Process java(String... arguments) throws IOException {
        String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
        String classpath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        String[] command = Stream.concat(Stream.of(java, "-cp", classpath), Stream.of(arguments)).toArray(String[]::new);
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    @ParameterizedTest
    @ValueSource(strings = {"exit", "halt", "return", "kill"})
    void itEndsWithTheJvm(String end) throws Exception {
        Process owner = java(Owner.class.getName(), end);
        try (BufferedReader out = new BufferedReader(new InputStreamReader(owner.getInputStream(), StandardCharsets.US_ASCII))) {
            String[] ports = out.readLine().split(" ");
            if (end.equals("kill")) {
                assertTrue(answers(Integer.parseInt(ports[0])) && answers(Integer.parseInt(ports[1])));
                owner.destroyForcibly();
            }
            assertTrue(owner.waitFor(20, TimeUnit.SECONDS), "the JVM has ended: no thread of ours holds it");
            for (String port : ports) {
                Wait.until("the server at " + port + " has ended", () -> !answers(Integer.parseInt(port)));
            }
        } finally {
            owner.destroyForcibly();
        }
    }

    @Test
    @ExtendWith(ZkMiniExtension.class)
    void theProgramIsTheOneThatTheJarCarries(ZkMini zk) throws Exception {
        // The step has set neither ZK_MINI nor has it put the program on the path.
        assertFalse(System.getenv().containsKey("ZK_MINI"));
        Path cache = Paths.get(System.getenv("XDG_CACHE_HOME"), "zk-mini");
        try (Stream<Path> files = Files.walk(cache)) {
            assertEquals(1, files.filter(Files::isRegularFile).filter(Files::isExecutable).count());
        }
        assertTrue(zk.exists("/"));
    }
}
