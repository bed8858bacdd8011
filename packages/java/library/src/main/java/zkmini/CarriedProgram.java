package zkmini;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Program in a jar. It is written once to the user's cache, under its SHA-256, and checked against that once in each Java process.
 */
final class CarriedProgram {
    private static final Map<String, Path> CHECKED = new HashMap<>();

    private final URL resource;
    private final String digest;

    CarriedProgram(URL resource, String digest) {
        this.resource = resource;
        this.digest = digest;
    }

    static Optional<CarriedProgram> forPlatform(String platform) {
        String name = "/zk-mini/" + platform + "/zk-mini";
        URL resource = CarriedProgram.class.getResource(name);
        if (resource == null) {
            return Optional.empty();
        }
        try (InputStream in = CarriedProgram.class.getResourceAsStream(name + ".sha256")) {
            if (in == null) {
                throw new StartException("the jar that carries zk-mini has no " + name + ".sha256: build it again", null);
            }
            String line = new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII)).readLine();
            String digest = line == null ? "" : line.trim();
            if (!digest.matches("[0-9a-f]{64}")) {
                throw new StartException(name + ".sha256 holds `" + digest + "`, which is no SHA-256: build the jar again", null);
            }
            return Optional.of(new CarriedProgram(resource, digest));
        } catch (IOException e) {
            throw new StartException("the jar that carries zk-mini cannot be read: " + e, e);
        }
    }

    Path extracted() {
        synchronized (CHECKED) {
            return CHECKED.computeIfAbsent(digest, digest -> extractedTo(cache(System.getenv())));
        }
    }

    /** Returns the folder for files that can be made again. */
    static Path cache(Map<String, String> environment) {
        Path home = Paths.get(System.getProperty("user.home"));
        String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
        if (xdg.startsWith("/")) {
            return Paths.get(xdg, "zk-mini");
        }
        boolean isMac = Program.platform().startsWith("macos");
        return home.resolve(isMac ? "Library/Caches" : ".cache").resolve("zk-mini");
    }

    /** Writes the program below a folder, or, if that cannot be written, to a folder of this process alone. */
    Path extractedTo(Path cache) {
        try {
            return extractedInto(Files.createDirectories(cache.resolve(digest.substring(0, 16))));
        } catch (IOException cacheFailure) {
            try {
                Path folder = Files.createTempDirectory("zk-mini");
                Path program = extractedInto(folder);
                folder.toFile().deleteOnExit();
                program.toFile().deleteOnExit();
                return program;
            } catch (IOException e) {
                e.addSuppressed(cacheFailure);
                throw new StartException(
                        "the program that the jar carries can be written neither to " + cache + " (" + cacheFailure
                                + ") nor to a temporary folder (" + e + "): set ZK_MINI to the path of a program",
                        e);
            }
        }
    }

    private Path extractedInto(Path folder) throws IOException {
        Path program = folder.resolve("zk-mini");
        if (Files.isExecutable(program) && digestOf(Files.newInputStream(program)).equals(digest)) {
            return program;
        }
        // Other processes may do the same at the same time: each writes its own file, and the last name counts.
        Path written = Files.createTempFile(folder, "zk-mini", ".new");
        try {
            try (InputStream in = resource.openStream()) {
                Files.copy(in, written, StandardCopyOption.REPLACE_EXISTING);
            }
            String found = digestOf(Files.newInputStream(written));
            if (!found.equals(digest)) {
                throw new IOException(resource + " is damaged: its SHA-256 is " + found + ", not " + digest);
            }
            if (!written.toFile().setExecutable(true, true)) {
                throw new IOException(written + " cannot be made executable");
            }
            Files.move(written, program, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(written);
        }
        return program;
    }

    private static String digestOf(InputStream in) throws IOException {
        MessageDigest sha256;
        try {
            sha256 = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
        byte[] buffer = new byte[1 << 16];
        try (DigestInputStream from = new DigestInputStream(in, sha256)) {
            while (from.read(buffer) >= 0) {
                // The digest takes what is read.
            }
        }
        StringBuilder hex = new StringBuilder();
        for (byte b : sha256.digest()) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }
}
