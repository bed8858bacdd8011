//! A server a test.

use crate::builder::Builder;
use crate::server::ZkMini;

/// Result of a test, for [`run`].
pub trait Outcome {
    /// Returns true if the test has failed.
    fn is_failure(&self) -> bool;
}

impl Outcome for () {
    fn is_failure(&self) -> bool {
        false
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn is_failure(&self) -> bool {
        self.is_err()
    }
}

/// Runs a test with a server of its own, which listens on a free port, on a tokio runtime of its own with one thread. If the test
/// panics or returns an error, the end of the server's [history](crate::history) is printed: who did what. At the end the server is
/// stopped and the tasks of the test have ended.
///
/// ```
/// # /*
/// #[test]
/// # */
/// fn a_leader_whose_session_expires_is_gone() -> Result<(), Box<dyn std::error::Error>> {
///     zk_mini::testing::run(async |zk| {
///         let client = zk_client::Client::connect(&zk.connect_string()).await?; // the code under test
///         client.create("/leader", "me", zk_client::CreateMode::Ephemeral).await?;
///         zk.session_of("/leader").ok_or("nobody leads")?.expire().await; // now, on the server
///         assert!(zk.get("/leader").is_none());
///         Ok(())
///     })
/// }
/// # a_leader_whose_session_expires_is_gone().unwrap();
/// ```
///
/// # Panics
/// If the test panics, if the system gives no runtime, or no port for the server, and in async code: there, use
/// [`ZkMini::start`].
pub fn run<T: Outcome>(test: impl AsyncFnOnce(&ZkMini) -> T) -> T {
    run_with(ZkMini::builder(), test)
}

/// Runs a test as [`run`] does, with a server of these settings.
///
/// ```
/// use std::time::Duration;
/// use zk_client::{Client, CreateMode};
/// use zk_mini::ZkMini;
///
/// # /*
/// #[test]
/// # */
/// fn a_leader_that_falls_silent_is_gone() {
///     zk_mini::testing::run_with(ZkMini::builder().manual_clock(), async |zk| {
///         let client = Client::connect(&zk.connect_string()).await.unwrap();
///         client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
///         zk.advance(Duration::from_secs(30)).await;
///         assert!(zk.get("/leader").is_none());
///     });
/// }
/// # a_leader_that_falls_silent_is_gone();
/// ```
///
/// # Panics
/// As [`run`], and if the server does not start.
pub fn run_with<T: Outcome>(builder: Builder, test: impl AsyncFnOnce(&ZkMini) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime for the test: {error}"));
    runtime.block_on(async {
        let zk = builder.start().await.unwrap_or_else(|error| panic!("zk-mini does not start: {error}"));
        let outcome = test(&zk).await;
        if outcome.is_failure() {
            zk.report();
        }
        zk.stop().await;
        outcome
    })
}
