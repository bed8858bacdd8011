//! Session of a worker in the registry, which the parent closes if the worker dies.

use common::log::quietly;
use registry::Registry;
use rpc_prefork::Worker;
use tokio::time::timeout;

use super::plan::{Plan, WorkerError};
use crate::announce::announcer::GOODBYE;

/// Opens the registry, if there is one. An urgent worker does not wait for it.
pub(crate) async fn open(plan: &Plan, urgent: bool) -> Result<Option<Registry>, WorkerError> {
    let Some(servers) = &plan.zookeeper else { return Ok(None) };
    let builder =
        plan.registry.to(servers).session_timeout(plan.session_timeout).connect_timeout(plan.connect_timeout);
    Ok(Some(if urgent { builder.connect_in_background().await? } else { builder.connect().await? }))
}

/// Returns the credentials of the session, with which the parent can close it; empty without a session.
pub(crate) fn note(registry: Option<&Registry>) -> Vec<u8> {
    let credentials = registry.and_then(Registry::credentials);
    credentials.map(|credentials| credentials.to_bytes().to_vec()).unwrap_or_default()
}

/// Tells the parent the session.
pub(crate) fn tell(worker: &Worker, registry: &Registry) {
    let note = note(Some(registry));
    // Between two sessions the earlier one may still hold the entry.
    if !note.is_empty()
        && let Err(error) = worker.set_note(&note)
    {
        quietly(|| tracing::warn!(%error, "cannot tell the parent the session"));
    }
}

/// Closes the session, if there is one. After a failure the parent's helper tries again.
pub(crate) async fn say_goodbye(worker: &Worker, registry: Option<Registry>) -> Result<(), WorkerError> {
    let Some(registry) = registry.filter(|registry| registry.credentials().is_some()) else { return Ok(()) };
    timeout(GOODBYE, registry.close()).await.map_err(|_| WorkerError::NoGoodbye)??;
    // An error means that the parent is gone and has no use for the note.
    let _ = worker.set_note(&[]);
    Ok(())
}
