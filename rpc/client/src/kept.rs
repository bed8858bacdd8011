//! The life of a client's links: as long as somebody uses them.

use std::sync::Arc;

use tokio::task::AbortHandle;

use crate::shared::Shared;

/// State of a client whose links are kept. Its clones and its streams, which may outlive them, have one in common; the links close
/// when the last of them drops it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) shared: Arc<Shared>,
    keeper: AbortHandle,
}

impl Kept {
    /// Takes the task that keeps the links.
    pub(crate) fn new(shared: Arc<Shared>, keeper: AbortHandle) -> Self {
        Self { shared, keeper }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}
