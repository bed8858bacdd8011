//! kazoo's own queues, counters and barriers share their nodes with ours.

use integration_tests::process::Process;
use integration_tests::programs;
use integration_tests::wait::PATIENCE;
use tokio::time::timeout;
use zk_client::Client;
use zk_mini::ZkMini;
use zk_recipes::{Barrier, Counter, CounterFormat, DoubleBarrier, LockingQueue, Priority, Queue};

struct Side {
    zk: ZkMini,
    client: Client,
}

impl Side {
    async fn start() -> Self {
        let zk = ZkMini::start().await.expect("a free port");
        let client = Client::connect(&zk.connect_string()).await.expect("it has just started");
        Self { zk, client }
    }

    /// Starts a program that does these steps with kazoo.
    fn kazoo(&self, recipe: &str, steps: &[&str]) -> Process {
        let mut command = programs::python("tests/interop/recipes.py");
        Process::start(command.arg(self.zk.connect_string()).arg(recipe).args(steps))
    }
}

/// Waits for an answer, with a bound.
async fn soon<F: Future>(answer: F) -> F::Output {
    timeout(PATIENCE, answer).await.expect("done long ago")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_has_entries_of_kazoo_and_of_ours_in_one_order() {
    let side = Side::start().await;
    let queue = Queue::new(&side.client, "/queue");
    queue.put("ours").await.unwrap();
    let kazoo = side.kazoo("queue", &["put=theirs", "put_first=urgent", "count"]);
    finish(kazoo, r#"["count", 3]"#);
    for expected in ["urgent", "ours", "theirs"] {
        assert_eq!(soon(queue.take()).await.unwrap().data, expected);
    }

    queue.put_all(["a", "b"]).await.unwrap();
    queue.put_with_priority("urgent", Priority::new(1)).await.unwrap();
    let mut kazoo = side.kazoo("queue", &["get", "get", "get", "count"]);
    for expected in ["urgent", "a", "b"] {
        kazoo.line_with(&format!(r#"["get", "{expected}"]"#));
    }
    finish(kazoo, r#"["count", 0]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_claimed_in_a_locking_queue_the_other_leaves_alone() {
    let side = Side::start().await;
    let queue = LockingQueue::new(&side.client, "/locking_queue");
    queue.put_all(["a", "b"]).await.unwrap();
    let ours = queue.claim().await.unwrap();
    assert_eq!(ours.data(), "a");
    let mut kazoo = side.kazoo("locking_queue", &["get", "consume", "put=c", "get", "die"]);
    kazoo.line_with(r#"["get", "b"]"#);
    kazoo.line_with(r#"["consume", true]"#);
    kazoo.line_with(r#"["get", "c"]"#);
    assert!(kazoo.wait().success(), "{kazoo}");
    assert!(queue.try_claim().await.unwrap().is_none(), "it is claimed up to the end of the session");

    let taken = side.zk.children("/locking_queue/taken").unwrap();
    assert_eq!(taken.len(), 2);
    let theirs = taken.iter().max().unwrap();
    side.zk.session_of(&format!("/locking_queue/taken/{theirs}")).unwrap().expire().await;
    let again = soon(queue.claim()).await.unwrap();
    assert_eq!(again.data(), "c");
    again.done().await.unwrap();
    ours.give_back().await.unwrap();
    let kazoo = side.kazoo("locking_queue", &["get", "consume", "count"]);
    finish(kazoo, r#"["count", 0]"#);
    assert_eq!(side.zk.children("/locking_queue/taken").unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_has_what_both_have_added() {
    let side = Side::start().await;
    for (path, format) in [("/counter", CounterFormat::Text), ("/curator_counter", CounterFormat::Int32)] {
        let counter = Counter::new(&side.client, path).format(format).attempts(1_000);
        counter.add(-10).await.unwrap();
        let mut kazoo = side.kazoo(&path[1..], &["add=50"]);
        for _ in 0..50 {
            soon(counter.add(1)).await.unwrap();
        }
        kazoo.line_with(r#"["add", null]"#);
        assert!(kazoo.wait().success(), "{kazoo}");
        assert_eq!(counter.get().await.unwrap(), 90);
        finish(side.kazoo(&path[1..], &["value"]), r#"["value", 90]"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_that_one_closes_and_opens_holds_back_the_other() {
    let side = Side::start().await;
    let barrier = Barrier::new(&side.client, "/barrier");
    finish(side.kazoo("barrier", &["create"]), r#"["create", null]"#);
    assert!(barrier.is_closed().await.unwrap());
    let waiting = tokio::spawn({
        let barrier = barrier.clone();
        async move { barrier.wait().await }
    });
    finish(side.kazoo("barrier", &["remove"]), r#"["remove", true]"#);
    soon(waiting).await.unwrap().unwrap();

    barrier.close().await.unwrap();
    let mut kazoo = side.kazoo("barrier", &["wait"]);
    kazoo.line_with("waiting");
    barrier.open().await.unwrap();
    finish(kazoo, r#"["wait", true]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_kazoo_and_of_ours_pass_a_double_barrier_together() {
    let side = Side::start().await;
    let barrier = DoubleBarrier::new(&side.client, "/double_barrier", 3);
    let mut kazoo = side.kazoo("double_barrier", &["enter", "leave"]);
    let (one, other) = soon(async { tokio::try_join!(barrier.enter(), barrier.enter()) }).await.unwrap();
    kazoo.line_with(r#"["enter", true]"#);
    soon(async { tokio::try_join!(one.leave(), other.leave()) }).await.unwrap();
    finish(kazoo, r#"["leave", null]"#);
    assert_eq!(side.zk.children("/double_barrier").unwrap(), [""; 0]);
}

/// Waits for the last line of a program, and for its end.
fn finish(mut kazoo: Process, last: &str) {
    kazoo.line_with(last);
    assert!(kazoo.wait().success(), "{kazoo}");
}
