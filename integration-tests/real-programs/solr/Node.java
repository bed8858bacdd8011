import java.util.Properties;
import org.apache.solr.embedded.JettyConfig;
import org.apache.solr.embedded.JettySolrRunner;

/** A Solr node: {@code Node HOME PORT}; the system property zkHost names ZooKeeper. It serves until it is killed. */
public final class Node {
    private Node() {}

    public static void main(String[] args) throws Exception {
        var config = JettyConfig.builder().setPort(Integer.parseInt(args[1])).setContext("/solr").build();
        var node = new JettySolrRunner(args[0], new Properties(), config);
        node.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.stop();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        Thread.currentThread().join();
    }
}
