//! A server in memory, its clients, and waits with a bound.

use std::time::Duration;

use tokio::{runtime, task};
use zk_client::{Builder, Client, connect_fn};
use zk_mini::testing::in_virtual_time;
use zk_mini::{Handle, ZkMini};

/// Session timeout of the clients.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a test with a server, in virtual time.
pub(crate) fn with_server(test: impl AsyncFnOnce(&ZkMini)) {
    in_virtual_time(async {
        let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
        fastrand::seed(7);
        test(&zk).await;
    });
}

pub(crate) async fn client(zk: &ZkMini) -> Client {
    builder(zk).connect().await.unwrap()
}

pub(crate) fn builder(zk: &ZkMini) -> Builder {
    let connector = zk.connector();
    let via = connect_fn(move || {
        let stream = connector.connect();
        async move { stream }
    });
    Client::builder().via(via).session_timeout(TIMEOUT).seed(7)
}

/// Waits with a bound for a future that should end by itself, also one that plays a bad day: that may take many timeouts, of
/// virtual time.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(100 * TIMEOUT, future).await.expect("done long ago")
}

/// Waits with a bound for a state of the server.
pub(crate) async fn until(zk: &Handle, condition: impl FnMut(&Handle) -> bool) {
    zk.wait_for(condition, 10 * TIMEOUT).await.unwrap();
}

/// Asserts that a client ends although no server is there: once its last handle is dropped, with what was `held` by it.
pub(crate) async fn ends_without_a_server(zk: &ZkMini, client: Client, held: impl Sized) {
    let mut states = client.states();
    zk.take_down().await;
    drop((held, client));
    assert_eq!(soon(states.wait_for(|_| false)).await, None);
    zk.bring_up().await.unwrap();
}

/// Waits until nothing moves any more.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Returns the number of children.
pub(crate) fn count(zk: &Handle, path: &str) -> usize {
    zk.children(path).unwrap_or_default().len()
}

/// Runs a future in a runtime of its own, which ends with it.
pub(crate) async fn elsewhere<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let run = move || runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future);
    task::spawn_blocking(run).await.unwrap()
}
