//! Property tests of clients: random bad days, played on a server in memory. Needs the cargo feature `testing`.
//!
//! A [`Day`] is a list of [`Incident`]s: time passes, a session expires, a connection breaks or freezes, a reply is lost,
//! the server starts again. [`days`] makes random ones for [`proptest`], which makes a day that breaks a test as short as
//! it can be, and prints it as sentences. [`Day::play`] lets a day happen on a server while the clients do what they do.
//! At the end everything is mended; then check what must be true after any day.
//!
//! In [virtual time](in_virtual_time) a day takes milliseconds. With a [seed](crate::Builder::seed) the server does the
//! same again whenever its clients do.
//!
//! ```
//! use std::time::Duration;
//! use zk_client::{Client, CreateMode, connect_fn};
//! use zk_mini::ZkMini;
//! use zk_mini::testing::{days, in_virtual_time, proptest::prelude::*};
//!
//! const TIMEOUT: Duration = Duration::from_secs(10);
//!
//! proptest! {
//!     # /*
//!     #[test]
//!     # */
//!     fn a_lasting_node_outlives_any_day(day in days(TIMEOUT)) {
//!         in_virtual_time(async {
//!             let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
//!             let connector = zk.connector();
//!             let via = connect_fn(move || std::future::ready(connector.connect()));
//!             let client = Client::builder().via(via).session_timeout(TIMEOUT).connect().await.unwrap();
//!             client.create("/config", "on", CreateMode::Persistent).await.unwrap();
//!
//!             day.play(&zk).await;
//!             assert_eq!(zk.get("/config").unwrap().0, "on");
//!         });
//!     }
//! }
//! # a_lasting_node_outlives_any_day();
//! ```
//!
//! The example `any_day` has an election, a mistake in it, and the shortest day that shows the mistake.
//!
//! A day that once broke a test can be kept as a test of its own: build it from its incidents.

mod day;
mod days;
mod incident;

pub use day::Day;
pub use days::days;
pub use incident::Incident;
/// The crate that makes and shortens random days, in the version that [`days`] needs.
pub use proptest;

/// Runs a test on a runtime of its own, in virtual time: whenever all tasks wait, time jumps to the next timer. Servers in
/// memory take part with [`Builder::auto_advance`](crate::Builder::auto_advance); sockets do not.
///
/// # Panics
/// If the system gives no runtime, or the test panics.
pub fn in_virtual_time<F: Future>(test: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("no runtime for the test: {error}")).block_on(test)
}
