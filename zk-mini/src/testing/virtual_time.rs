//! Tests in virtual time.

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
