//! The thread that serves HTTP.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// Returns the runtime of the thread that serves HTTP for all servers of the process. It starts with the first call, and lasts as
/// long as the process.
///
/// # Errors
/// If the system gives no thread or descriptors.
pub(crate) fn runtime() -> io::Result<Handle> {
    static SHARED: Mutex<Option<Handle>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*shared {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("zk-mini-http".into()).spawn(run)?;
    *shared = Some(handle.clone());
    Ok(handle)
}
