//! A running server, and its end.

use std::ops::Deref;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinHandle};

use crate::builder::Builder;
use crate::error::Error;
use crate::handle::Handle;
use crate::shell::accept;
use crate::shell::engine::Engine;
use crate::shell::keeper;
use crate::shell::panics::surviving;
use crate::storage::Store;

/// A running ZooKeeper server; it stops when it is stopped or dropped. All servers of a process that listen share one
/// thread, which is not the caller's: the caller may block. Thousands of servers in one process are fine. See
/// [`Builder::start`]. It dereferences to its [`Handle`], which has everything but the end.
#[derive(Debug)]
pub struct ZkMini {
    handle: Handle,
    tasks: Vec<AbortHandle>,
    /// The task that writes to the disk. It ends when everything is written.
    keeper: Option<JoinHandle<()>>,
    prints_history: bool,
}

impl ZkMini {
    /// Starts a server on a free port of 127.0.0.1. When this returns, the server serves.
    ///
    /// # Errors
    /// [`Error`] if the system gives no port or no thread.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Configures a server; finish with [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn run(engine: Arc<Engine>, store: Option<Store>, prints_history: bool) -> Self {
        let mut tasks = Vec::new();
        if let Some(listener) = &engine.setup.listener {
            let accept = accept::accept(Arc::clone(listener), Arc::clone(&engine));
            tasks.push(engine.runtime.spawn(accept).abort_handle());
        }
        tasks.push(engine.runtime.spawn(Arc::clone(&engine).tidy_up()).abort_handle());
        // A clock that is held may be released.
        tasks.push(engine.runtime.spawn(Arc::clone(&engine).keep_time()).abort_handle());
        let keeper = store.map(|store| {
            let writing = engine.runtime.spawn(keeper::keep(Arc::clone(&engine), store));
            let engine = Arc::clone(&engine);
            engine.runtime.clone().spawn(async move {
                if writing.await.is_err_and(|error| error.is_panic()) {
                    log!(ERROR, "a defect of zk-mini has stopped the writing to the disk: the server closes all connections");
                    engine.stop();
                }
                engine.keeper_ended();
            })
        });
        Self { handle: Handle::new(engine), tasks, keeper, prints_history }
    }

    /// Stops the server. When this returns, the port is free, every connection is closed, and the data directory may be
    /// opened again.
    pub async fn stop(mut self) {
        self.close();
        self.engine.emptied().await;
        if let Some(keeper) = self.keeper.take() {
            // The task does not panic; if its runtime ends first, this ends, too.
            let _ = keeper.await;
        }
    }

    /// Prints the end of the history, for a test that has failed, unless the builder has turned it off.
    pub(crate) fn report(&self) {
        if self.prints_history {
            self.handle.print_history();
        }
    }

    fn close(&self) {
        if let Some(listener) = &self.engine.setup.listener {
            listener.close();
        }
        for task in &self.tasks {
            task.abort();
        }
        self.engine.stop();
    }
}

impl Deref for ZkMini {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Stops the server. The port is free at once; the connections are closed, and the data directory is free, as soon as
/// their runtime runs. In a thread that panics, as a test that fails, it prints the end of the history first; see
/// [`Builder::print_history_on_panic`].
impl Drop for ZkMini {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The output may be closed, and a second panic would end the process.
            surviving(|| self.report());
        }
        self.close();
    }
}
