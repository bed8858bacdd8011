package shop;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalancerClient;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An instance of a service that registers in ZooKeeper, and calls another service that is registered there. */
@SpringBootApplication(proxyBeanMethods = false)
@RestController
public class Service {
    private final DiscoveryClient discovery;
    private final LoadBalancerClient balancer;
    private final HttpClient http = HttpClient.newHttpClient();
    private final String name;

    Service(DiscoveryClient discovery, LoadBalancerClient balancer, @Value("${instance}") String name) {
        this.discovery = discovery;
        this.balancer = balancer;
        this.name = name;
    }

    /** Returns the name of this instance. */
    @GetMapping("/who")
    String who() {
        return name;
    }

    /** Returns the addresses of the instances of "orders". */
    @GetMapping("/instances")
    List<String> instances() {
        return discovery.getInstances("orders").stream().map(found -> found.getHost() + ":" + found.getPort()).sorted().toList();
    }

    /** Asks an instance of "orders" who it is. */
    @GetMapping("/call")
    String call() throws Exception {
        var chosen = balancer.choose("orders");
        if (chosen == null) {
            return "none";
        }
        var request = HttpRequest.newBuilder(URI.create(chosen.getUri() + "/who")).build();
        return http.send(request, BodyHandlers.ofString()).body();
    }

    public static void main(String[] args) {
        SpringApplication.run(Service.class, args);
    }
}
