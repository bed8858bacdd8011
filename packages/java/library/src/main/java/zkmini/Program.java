package zkmini;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Search for the program: given in the call, in {@code ZK_MINI}, carried by a jar, on the {@code PATH}. */
final class Program {
    private static final String NAME = "zk-mini";

    private Program() {}

    /** Returns the program to start. */
    static Path find(Path given, Map<String, String> environment) {
        if (given != null) {
            return checked(given, "the program that was given");
        }
        String named = environment.getOrDefault("ZK_MINI", "");
        if (!named.isEmpty()) {
            return checked(Paths.get(named), "the variable ZK_MINI");
        }
        Optional<Path> carried = CarriedProgram.forPlatform(platform()).map(CarriedProgram::extracted);
        if (carried.isPresent()) {
            return carried.get();
        }
        for (String folder : environment.getOrDefault("PATH", "").split(File.pathSeparator)) {
            Path candidate = Paths.get(folder, NAME);
            if (!folder.isEmpty() && Files.isRegularFile(candidate) && Files.isExecutable(candidate)) {
                return candidate;
            }
        }
        throw new StartException(
                "there is no program zk-mini. Do one of these: give its path, as in ZkMini.builder().program(path); set the"
                        + " variable ZK_MINI to its path; add the artefact zk-mini-" + platform()
                        + ", which carries it, if there is one; put it into a folder of the PATH",
                null);
    }

    private static Path checked(Path program, String source) {
        if (!Files.isRegularFile(program)) {
            throw new StartException(source + " is " + program + ", and there is no such file", null);
        }
        if (!Files.isExecutable(program)) {
            throw new StartException(source + " is " + program + ", and it may not be executed: chmod +x " + program, null);
        }
        return program.toAbsolutePath();
    }

    /** Returns the name of this platform, as in the names of artefacts, such as {@code linux-x86_64}. */
    static String platform() {
        String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String machine = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
        if (system.startsWith("mac")) {
            system = "macos";
        } else if (system.startsWith("windows")) {
            system = "windows";
        }
        if (machine.equals("amd64")) {
            machine = "x86_64";
        } else if (machine.equals("arm64")) {
            machine = "aarch64";
        }
        return system + "-" + machine;
    }
}
