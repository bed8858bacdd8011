import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;

/**
 * Registers providers by the rules of Dubbo's registry: {@code SERVERS INTERFACE CHARACTERS}. One has a parameter {@code text} for each
 * of the characters, and its port is 20000 and the number of the character; others have settings.
 */
public final class Providers {
    private final CuratorFramework client;
    private final String parent;
    private final String name;

    private Providers(String servers, String name) throws Exception {
        client = CuratorFrameworkFactory.newClient(servers, new RetryForever(50));
        client.start();
        this.name = name;
        parent = "/dubbo/" + encode(name) + "/providers";
        client.create().creatingParentsIfNeeded().forPath(parent);
    }

    public static void main(String[] arguments) throws Exception {
        Providers providers = new Providers(arguments[0], arguments[1]);
        int number = 0;
        for (int character : arguments[2].codePoints().toArray()) {
            String text = "a" + Character.toString(character) + "b";
            providers.register("10.0.0.1", 20_000 + number++, Map.of("text", text));
        }
        providers.register("10.0.0.2", 1, Map.of("weight", "7", "timestamp", "1000", "warmup", "100", "group", "g"));
        providers.register("10.0.0.2", 2, Map.of("disabled", "true"));
        providers.register("10.0.0.2", 3, Map.of("encoded", encode("a&b=c;d")));
        providers.register("fe80:0:0:0:1:2:3:4", 4, Map.of());
        providers.create("empty://10.0.0.2/" + providers.name + "?category=providers");
        System.out.println("registered");
    }

    private void register(String host, int port, Map<String, String> settings) throws Exception {
        Map<String, String> parameters = new TreeMap<>(Map.of("interface", name, "side", "provider", "application", "shop"));
        parameters.putAll(settings);
        StringBuilder url = new StringBuilder("dubbo://" + host + ":" + port + "/" + name);
        char separator = '?';
        for (Map.Entry<String, String> parameter : parameters.entrySet()) {
            url.append(separator).append(parameter.getKey()).append('=').append(parameter.getValue().trim());
            separator = '&';
        }
        create(url.toString());
    }

    private void create(String url) throws Exception {
        client.create().withMode(CreateMode.EPHEMERAL).forPath(parent + "/" + encode(url));
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}
