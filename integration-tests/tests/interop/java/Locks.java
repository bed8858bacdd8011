import java.util.concurrent.CountDownLatch;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;

/**
 * Curator's own locks and elections: {@code SERVERS ROUNDS RECIPE [RECIPE ...]} takes each so many times, once the node
 * {@code /RECIPE/go} exists, and prints {@code done RECIPE}. The lock is at {@code /RECIPE/lock}. Who has it makes nodes below
 * {@code /RECIPE/inside} and fails if it is not alone there.
 */
public final class Locks {
    private final CuratorFramework client;
    private final String recipe;
    private final String path;

    private Locks(CuratorFramework client, String recipe) {
        this.client = client;
        this.recipe = recipe;
        path = "/" + recipe + "/lock";
    }

    public static void main(String[] arguments) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(arguments[0], 10_000, 10_000, new RetryForever(50));
        client.start();
        client.blockUntilConnected();
        System.out.println("ready");
        for (int i = 2; i < arguments.length; i++) {
            Locks locks = new Locks(client, arguments[i]);
            while (client.checkExists().forPath("/" + arguments[i] + "/go") == null) {
                Thread.sleep(5);
            }
            locks.run(Integer.parseInt(arguments[1]));
            System.out.println("done " + arguments[i]);
        }
        client.close();
    }

    private void run(int rounds) throws Exception {
        if (recipe.equals("selector")) {
            select(rounds);
            return;
        }
        InterProcessReadWriteLock locks = new InterProcessReadWriteLock(client, path);
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, path, 2);
        for (int round = 0; round < rounds; round++) {
            boolean writes = round % 2 == 0;
            switch (recipe) {
                case "mutex" -> within(new InterProcessMutex(client, path));
                case "read_write" -> {
                    InterProcessMutex lock = writes ? locks.writeLock() : locks.readLock();
                    lock.acquire();
                    inside(writes);
                    lock.release();
                }
                case "semaphore" -> {
                    Lease lease = semaphore.acquire();
                    inside(false);
                    semaphore.returnLease(lease);
                }
                case "latch" -> {
                    LeaderLatch latch = new LeaderLatch(client, path, "curator");
                    latch.start();
                    latch.await();
                    inside(true);
                    latch.close();
                }
                default -> throw new IllegalArgumentException(recipe);
            }
        }
    }

    private void within(InterProcessMutex lock) throws Exception {
        lock.acquire();
        inside(true);
        lock.release();
    }

    private void select(int rounds) throws Exception {
        CountDownLatch left = new CountDownLatch(rounds);
        LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework unused) {
                try {
                    inside(true);
                } catch (Exception exception) {
                    exception.printStackTrace();
                    Runtime.getRuntime().halt(1);
                }
                left.countDown();
            }
        });
        selector.autoRequeue();
        selector.start();
        left.await();
        selector.close();
    }

    /** Is inside, alone or with others that are not alone, at most two of them for a semaphore. */
    private void inside(boolean alone) throws Exception {
        String inside = "/" + recipe + "/inside";
        String node = client.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(inside + (alone ? "/alone-" : "/shared-"));
        var all = client.getChildren().forPath(inside);
        boolean wrong = alone ? all.size() > 1 : all.stream().anyMatch(name -> name.startsWith("alone"));
        if (wrong || (recipe.equals("semaphore") && all.size() > 2)) {
            throw new IllegalStateException(node + " is inside with " + all);
        }
        Thread.sleep(2);
        client.delete().forPath(node);
    }
}
