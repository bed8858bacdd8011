package org.springframework.cloud.zookeeper.discovery;

import java.util.Map;

/** A payload with the name and the fields of Spring Cloud's, whose own class needs all of Spring. */
public final class ZookeeperInstance {
    public String id;
    public String name;
    public Map<String, String> metadata;

    private ZookeeperInstance() {}

    public ZookeeperInstance(String id, String name, Map<String, String> metadata) {
        this.id = id;
        this.name = name;
        this.metadata = metadata;
    }
}
