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
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
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

    /** Program under `zk-mini exec`. */
    static final class Guest {
        private Guest() {}

        public static void main(String[] arguments) {
            try (ZkMini zk = ZkMini.attach()) {
                zk.put("/a", "x");
                System.out.println(zk.hosts().equals(System.getenv("ZK_HOSTS")) && zk.exists("/a"));
            }
        }
    }

    @Test
    void underExecTheServerIsThatOfTheVariables() throws Exception {
        ZkMini.start().close(); // so that the program is there
        Process exec = java(new String[] {program().toString(), "exec", "--"}, Guest.class.getName());
        try (BufferedReader out = new BufferedReader(new InputStreamReader(exec.getInputStream(), StandardCharsets.US_ASCII))) {
            assertEquals("true", out.readLine());
            assertTrue(exec.waitFor(20, TimeUnit.SECONDS));
            assertEquals(0, exec.exitValue());
        } finally {
            exec.destroyForcibly();
        }
    }

    /** Returns the program that the library has written, which is the only one there. */
    static Path program() throws IOException {
        try (Stream<Path> files = Files.walk(Paths.get(System.getenv("XDG_CACHE_HOME"), "zk-mini"))) {
            List<Path> programs = files.filter(Files::isRegularFile).collect(Collectors.toList());
            assertEquals(1, programs.size(), programs::toString);
            return programs.get(0);
        }
    }

    private static Process java(String[] before, String... arguments) throws IOException {
        String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
        String classpath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        String[] command = Stream.of(before, new String[] {java, "-cp", classpath}, arguments)
                .flatMap(Stream::of).toArray(String[]::new);
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    @ParameterizedTest
    @ValueSource(strings = {"exit", "halt", "return", "kill"})
    void itEndsWithTheJvm(String end) throws Exception {
        Process owner = java(new String[0], Owner.class.getName(), end);
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
        assertTrue(Files.isExecutable(program()));
        assertTrue(zk.exists("/"));
    }
}
