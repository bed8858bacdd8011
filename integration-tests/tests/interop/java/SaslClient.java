import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;

/** Logs in with SASL as its JAAS file says: {@code SERVERS}. Prints what came of it. */
public final class SaslClient {
    public static void main(String[] arguments) throws Exception {
        LinkedBlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        ZooKeeper client = new ZooKeeper(arguments[0], 20_000, event -> states.add(event.getState()));
        while (true) {
            KeeperState state = states.poll(30, TimeUnit.SECONDS);
            if (state == KeeperState.AuthFailed || state == KeeperState.SaslAuthenticated || state == null) {
                System.out.println("state " + state);
                if (state != KeeperState.SaslAuthenticated) {
                    System.out.println("done");
                    System.exit(0);
                }
                break;
            }
        }
        try {
            for (ClientInfo info : client.whoAmI()) {
                if (info.getAuthScheme().equals("sasl")) {
                    System.out.println("user " + info.getUser());
                }
            }
            client.create("/java", "data".getBytes(StandardCharsets.UTF_8), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            List<ACL> acl = client.getACL("/java", null);
            System.out.println("acl " + acl.get(0).getId().getScheme() + ":" + acl.get(0).getId().getId());
        } catch (KeeperException e) {
            System.out.println("error " + e.code());
        }
        System.out.println("done");
        client.close(5_000);
    }
}
