package zkmini;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProgramTest {
    private static final byte[] CONTENT = "#!/bin/sh\n".getBytes(StandardCharsets.US_ASCII);
    private static final String DIGEST = "45b2b4edc0b9a4b88f6e6ccd3bbc7b8d5cb9a8a9c5ed8e3c5c1b2a4e2b1ad6b0";

    @TempDir
    Path folder;

    private CarriedProgram carried(String digest) throws Exception {
        Path resource = folder.resolve("resource");
        Files.write(resource, CONTENT);
        return new CarriedProgram(resource.toUri().toURL(), digest);
    }

    private static String digest() throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte b : java.security.MessageDigest.getInstance("SHA-256").digest(CONTENT)) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }

    @Test
    void theProgramOfTheCallComesBeforeTheVariable() throws Exception {
        Path one = Files.createFile(folder.resolve("one"));
        Path two = Files.createFile(folder.resolve("two"));
        assertTrue(one.toFile().setExecutable(true) && two.toFile().setExecutable(true));
        assertEquals(one, Program.find(one, Collections.singletonMap("ZK_MINI", two.toString())));
        assertEquals(two, Program.find(null, Collections.singletonMap("ZK_MINI", two.toString())));
    }

    @Test
    void aProgramThatIsNotThereIsNamed() {
        Path none = folder.resolve("none");
        StartException given = assertThrows(StartException.class, () -> Program.find(none, Collections.emptyMap()));
        assertTrue(given.getMessage().contains(none.toString()), given.getMessage());
        StartException named = assertThrows(
                StartException.class, () -> Program.find(null, Collections.singletonMap("ZK_MINI", none.toString())));
        assertTrue(named.getMessage().contains("ZK_MINI is " + none), named.getMessage());
    }

    @Test
    void aCarriedProgramIsWrittenOnceAndMadeAnewIfItIsDamaged() throws Exception {
        CarriedProgram carried = carried(digest());
        Path cache = folder.resolve("cache");
        Path program = carried.extractedTo(cache);
        assertTrue(Files.isExecutable(program));
        assertArrayEquals(CONTENT, Files.readAllBytes(program));
        Object file = Files.getAttribute(program, "unix:ino");
        assertEquals(program, carried.extractedTo(cache));
        assertEquals(file, Files.getAttribute(program, "unix:ino"));

        Files.write(program, new byte[] {1});
        assertEquals(program, carried.extractedTo(cache));
        assertArrayEquals(CONTENT, Files.readAllBytes(program));
        try (Stream<Path> files = Files.list(program.getParent())) {
            assertEquals(Collections.singletonList(program), files.collect(Collectors.toList()));
        }
    }

    @Test
    void manyMayWriteItAtTheSameTime() throws Exception {
        CarriedProgram carried = carried(digest());
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Callable<Path>> tasks = Collections.nCopies(32, () -> carried.extractedTo(folder.resolve("cache")));
        List<Path> programs = new ArrayList<>();
        for (Future<Path> done : pool.invokeAll(tasks)) {
            programs.add(done.get());
        }
        pool.shutdown();
        assertEquals(1, programs.stream().distinct().count());
        assertArrayEquals(CONTENT, Files.readAllBytes(programs.get(0)));
    }

    @Test
    void aDamagedJarIsRefused() throws Exception {
        CarriedProgram carried = carried(DIGEST);
        StartException refused = assertThrows(StartException.class, () -> carried.extractedTo(folder.resolve("cache")));
        assertTrue(refused.getMessage().contains("is damaged"), refused.getMessage());
    }

    @Test
    void aCacheThatCannotBeWrittenIsReplacedByATemporaryFolder() throws Exception {
        Path file = Files.createFile(folder.resolve("file"));
        Path program = carried(digest()).extractedTo(file.resolve("cache"));
        assertArrayEquals(CONTENT, Files.readAllBytes(program));
        assertTrue(Files.isExecutable(program));
    }

    @Test
    void theCacheIsTheUsers() {
        assertEquals(folder.resolve("zk-mini"), CarriedProgram.cache(Collections.singletonMap("XDG_CACHE_HOME", folder.toString())));
        assertTrue(CarriedProgram.cache(Collections.singletonMap("XDG_CACHE_HOME", "relative"))
                .startsWith(System.getProperty("user.home")));
    }
}
