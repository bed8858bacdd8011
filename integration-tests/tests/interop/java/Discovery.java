import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceInstanceBuilder;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.ServiceType;
import org.apache.curator.x.discovery.UriSpec;
import org.apache.curator.x.discovery.details.JsonInstanceSerializer;
import org.springframework.cloud.zookeeper.discovery.ZookeeperInstance;

/**
 * Curator's own service discovery.
 *
 * <p>{@code watch SERVERS BASE SERVICE CLASS [SERVICE CLASS ...]} follows services whose payloads are of a class. It prints a line
 * of JSON for each change: all instances, the ids of those that a provider gives to callers, and their URIs; or the failure.
 *
 * <p>{@code register SERVERS BASE SERVICE} registers an instance of each kind, prints that, and keeps them.
 */
public final class Discovery {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final CuratorFramework client;
    private final String base;

    private Discovery(String servers, String base) {
        this.base = base;
        client = CuratorFrameworkFactory.builder()
                .connectString(servers)
                .sessionTimeoutMs(10_000)
                .retryPolicy(new RetryForever(50))
                .build();
        client.start();
    }

    public static void main(String[] arguments) throws Exception {
        Discovery program = new Discovery(arguments[1], arguments[2]);
        if (arguments[0].equals("register")) {
            program.register(arguments[3]);
        } else {
            List<Follower<?>> followers = new ArrayList<>();
            for (int i = 3; i < arguments.length; i += 2) {
                followers.add(program.follower(arguments[i], Class.forName(arguments[i + 1])));
            }
            while (true) {
                for (Follower<?> follower : followers) {
                    follower.look();
                }
                Thread.sleep(10);
            }
        }
    }

    private <T> Follower<T> follower(String service, Class<T> payload) throws Exception {
        return new Follower<>(discovery(payload, true), service, new JsonInstanceSerializer<>(payload, false));
    }

    private <T> ServiceDiscovery<T> discovery(Class<T> payload, boolean isCompatible) throws Exception {
        ServiceDiscovery<T> discovery = ServiceDiscoveryBuilder.builder(payload)
                .client(client)
                .basePath(base)
                .serializer(new JsonInstanceSerializer<>(payload, isCompatible))
                .build();
        discovery.start();
        return discovery;
    }

    private void register(String service) throws Exception {
        ServiceDiscovery<Object> usual = discovery(Object.class, true);
        ServiceDiscovery<Object> withEnabled = discovery(Object.class, false);
        Map<String, Object> details = new HashMap<>(Map.of("zone", "a", "weight", 7, "host", "of the payload"));
        Map<String, String> metadata = new HashMap<>(Map.of("instance_status", "UP", "zone", "b", "weight", "8"));
        UriSpec uri = new UriSpec("{scheme}://{address}:{ssl-port}/{name}");

        registered(usual, service, "plain", 1, null, null, null, true);
        registered(usual, service, "map", 2, null, details, null, true);
        registered(usual, service, "text", 3, null, "a text", null, true);
        registered(usual, service, "secure", 4, 443, List.of(1, "two"), uri, true);
        registered(usual, service, "spring", 5, null, new ZookeeperInstance("application-1", service, metadata),
                new UriSpec("{scheme}://{address}:{port}"), true);
        registered(withEnabled, service, "enabled", 6, null, null, null, true);
        registered(withEnabled, service, "disabled", 7, null, null, null, false);
        System.out.println("registered");
    }

    private void registered(ServiceDiscovery<Object> discovery, String service, String id, int port, Integer sslPort, Object payload,
            UriSpec uri, boolean isEnabled) throws Exception {
        ServiceInstanceBuilder<Object> instance = ServiceInstance.<Object>builder()
                .name(service)
                .id(id)
                .address("10.0.0.1")
                .port(port)
                .payload(payload)
                .uriSpec(uri)
                .serviceType(id.equals("secure") ? ServiceType.PERMANENT : ServiceType.DYNAMIC)
                .enabled(isEnabled);
        if (sslPort != null) {
            instance.sslPort(sslPort);
        }
        discovery.registerService(instance.build());
    }

    /** What Curator knows of a service; says so when it changes. */
    private static final class Follower<T> {
        private final ServiceDiscovery<T> discovery;
        private final String service;
        private final JsonInstanceSerializer<T> serializer;
        private final ServiceProvider<T> provider;
        private JsonNode seen;

        Follower(ServiceDiscovery<T> discovery, String service, JsonInstanceSerializer<T> serializer) throws Exception {
            this.discovery = discovery;
            this.service = service;
            this.serializer = serializer;
            provider = discovery.serviceProviderBuilder().serviceName(service).build();
            provider.start();
        }

        void look() throws Exception {
            ObjectNode now = MAPPER.createObjectNode();
            now.put("service", service);
            try {
                ObjectNode all = now.putObject("all");
                ObjectNode uris = now.putObject("uris");
                for (ServiceInstance<T> instance : discovery.queryForInstances(service)) {
                    all.set(instance.getId(), MAPPER.readTree(serializer.serialize(instance)));
                    uris.put(instance.getId(), instance.buildUriSpec());
                }
                List<String> provided = new ArrayList<>();
                for (ServiceInstance<T> instance : provider.getAllInstances()) {
                    provided.add(instance.getId());
                }
                provided.sort(null);
                now.set("provided", MAPPER.valueToTree(provided));
            } catch (ClassCastException e) {
                now.put("failed", e.getClass().getSimpleName());
            }
            if (!now.equals(seen)) {
                seen = now;
                System.out.println(now);
            }
        }
    }
}
