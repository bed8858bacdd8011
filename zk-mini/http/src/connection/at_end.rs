//! Tasks for the time after the last answer of a connection: an answer that the program is ended would be lost with the program.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type Action = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks for the time after the last answer of a connection; once it is set, the next answer is the last.
#[derive(Clone, Default)]
pub(crate) struct AtEnd(Arc<Mutex<Option<Action>>>);

impl AtEnd {
    pub(crate) fn set(&self, action: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(action));
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) async fn run(self) {
        let action = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(action) = action {
            action.await;
        }
    }
}

impl fmt::Debug for AtEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtEnd")
    }
}
