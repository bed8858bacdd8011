//! Between the core and the disk: nothing is told before what it tells of is durable.
//!
//! While one batch is being written the next one gathers, so that one sync serves all that wait for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::core::{Output, Txn};
use crate::engine::Engine;
use crate::storage::Store;

/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Outputs that wait for the disk.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    held: Vec<Output>,
    /// A batch is being written.
    writing: bool,
}

impl Journal {
    /// Holds an output back if it is a transaction, or comes after one that is not durable; otherwise gives it back.
    pub(crate) fn hold(&mut self, output: Output) -> Option<Output> {
        if self.is_idle() && !matches!(output, Output::Persist(_)) {
            return Some(output);
        }
        self.held.push(output);
        None
    }

    /// What is to be written now, and performed then.
    fn take(&mut self) -> Option<Vec<Output>> {
        if !self.has_work() {
            return None;
        }
        self.writing = true;
        Some(std::mem::take(&mut self.held))
    }

    /// What was taken has been written and performed.
    pub(crate) fn written(&mut self) {
        self.writing = false;
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.writing && !self.held.is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.writing && self.held.is_empty()
    }
}

/// Writes what is to be kept, until the server has stopped and everything is written.
pub(crate) async fn keep(engine: Arc<Engine>, mut store: Store) {
    let mut snapshot: Option<JoinHandle<()>> = None;
    loop {
        let (batch, stopped) =
            engine.turn(|state, _, _| (state.journal.as_mut().and_then(Journal::take), state.stopped));
        let Some(batch) = batch else {
            if stopped {
                break;
            }
            engine.to_keep.notified().await;
            continue;
        };
        let Some((kept, batch)) = write(&engine, store, batch).await else { return };
        store = kept;
        engine.kept(batch);
        // Those who were answered may have more to write: it goes with the next batch.
        tokio::task::yield_now().await;
        if store.wants_snapshot() && snapshot.as_ref().is_none_or(JoinHandle::is_finished) {
            snapshot = Some(take_snapshot(&engine, &mut store));
        }
    }
    if let Some(snapshot) = snapshot {
        // Its failure has been logged.
        let _ = snapshot.await;
    }
}

/// Writes a batch, as often as it takes. `None` if the server has stopped before it could be written, or its runtime
/// has.
async fn write(engine: &Engine, mut store: Store, mut batch: Vec<Output>) -> Option<(Store, Vec<Output>)> {
    let mut failed = false;
    loop {
        let written;
        (store, batch, written) = spawn_blocking(move || {
            let written = store.append(batch.iter().filter_map(transaction));
            (store, batch, written)
        })
        .await
        .ok()?;
        match written {
            Ok(()) => {
                if failed {
                    tracing::info!(log = %store.place().display(), "written: the server goes on");
                }
                return Some((store, batch));
            }
            Err(error) if !failed => {
                failed = true;
                tracing::error!(
                    %error, log = %store.place().display(),
                    "cannot write: nothing is acknowledged until this succeeds; trying again every second"
                );
            }
            Err(_) => {}
        }
        if engine.look(|state| state.stopped) {
            tracing::error!(log = %store.place().display(), "stopped before what was not acknowledged could be written");
            return None;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes a snapshot of the state as it is, and writes it beside everything else.
fn take_snapshot(engine: &Engine, store: &mut Store) -> JoinHandle<()> {
    let image = engine.look(|state| state.core.image());
    let rolled = store.roll();
    let snapshots = store.snapshots();
    spawn_blocking(move || {
        let written: io::Result<()> = rolled.and_then(|()| snapshots.write(&image));
        match written {
            Ok(()) => tracing::info!(zxid = %image.last_zxid, nodes = image.nodes.len(), "snapshot written"),
            Err(error) => tracing::error!(%error, zxid = %image.last_zxid, "no snapshot: the logs are kept"),
        }
    })
}

fn transaction(output: &Output) -> Option<&Txn> {
    match output {
        Output::Persist(txn) => Some(txn),
        Output::Send { .. } | Output::Close { .. } => None,
    }
}
