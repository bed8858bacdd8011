package zkmini.curator;

import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.Properties;
import zkmini.StartException;
import zkmini.ZkMini;
import zkmini.ZkMiniBuilder;

/** Starts what the settings of Curator's classes describe, and removes what they leave. */
final class Launch {
    private static final int TICK_MS = 1000;

    private Launch() {}

    /** Starts a server at each address: one alone, or several as an ensemble. The settings are those of all. */
    static ZkMini start(InstanceSpec spec, String... addresses) throws IOException {
        // Beside the settings, not in the data: a directory may hold data only.
        Path config = Files.createTempFile("zk-mini", ".cfg");
        try {
            try (Writer out = Files.newBufferedWriter(config, StandardCharsets.UTF_8)) {
                properties(spec).store(out, null);
            }
            return builder(spec, config, addresses).start();
        } catch (StartException e) {
            throw new FailedServerStartException(e);
        } finally {
            Files.delete(config);
        }
    }

    private static ZkMiniBuilder builder(InstanceSpec spec, Path config, String... addresses) {
        // Data must outlast a stop, not a power failure.
        ZkMiniBuilder builder = ZkMini.builder()
                .listen(addresses[0])
                .servers(addresses.length)
                .options("--config", config.toString(), "--four-letter-words", "*", "--sync", "none");
        Arrays.stream(addresses).skip(1).forEach(address -> builder.options("--listen", address));
        // Beyond loopback the port answers no HTTP. An ensemble has a port for it anyway.
        return addresses.length > 1 || isLoopback(spec.getHostname()) ? builder : builder.options("--http", "127.0.0.1:0");
    }

    private static boolean isLoopback(String host) {
        return host.equals("localhost") || host.startsWith("127.") || host.equals("::1") || host.equals("0:0:0:0:0:0:0:1");
    }

    private static Properties properties(InstanceSpec spec) throws IOException {
        String tick = Integer.toString(spec.getTickTime() > 0 ? spec.getTickTime() : TICK_MS);
        Properties properties = new Properties();
        properties.setProperty("dataDir", spec.getDataDirectory().getCanonicalPath());
        properties.setProperty("tickTime", tick);
        properties.setProperty("minSessionTimeout", tick);
        if (spec.getMaxClientCnxns() >= 0) {
            properties.setProperty("maxClientCnxns", Integer.toString(spec.getMaxClientCnxns()));
        }
        spec.getCustomProperties().forEach((key, value) -> properties.setProperty(key, String.valueOf(value)));
        return properties;
    }

    static void deleteTree(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return;
        }
        Files.walkFileTree(directory, new SimpleFileVisitor<Path>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path folder, IOException failure) throws IOException {
                if (failure != null) {
                    throw failure;
                }
                Files.delete(folder);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
