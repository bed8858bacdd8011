//! Certificates and keys that follow their files.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pem::Stamp;
use super::{Pem, TlsError};

/// Settings that are made of certificates and keys.
pub trait Load {
    /// Result of loading them.
    type Loaded: Debug;

    /// Returns the sources to watch.
    fn sources(&self) -> Vec<&Pem>;

    /// Reads the sources.
    ///
    /// # Errors
    /// One of them cannot be used.
    fn load(&self) -> Result<Self::Loaded, TlsError>;
}

/// Settings that are loaded again when a file has changed.
#[derive(Debug)]
pub struct Watched<C: Load> {
    state: Mutex<InUse<C>>,
}

#[derive(Debug)]
struct InUse<C: Load> {
    settings: C,
    current: Arc<C::Loaded>,
    /// States of the sources before they were read last.
    seen: Vec<Stamp>,
}

impl<C: Load> Watched<C> {
    /// Loads settings.
    ///
    /// # Errors
    /// A source cannot be used.
    pub fn new(settings: C) -> Result<Self, TlsError> {
        let (seen, current) = (stamps(&settings), Arc::new(settings.load()?));
        Ok(Self { state: Mutex::new(InUse { settings, current, seen }) })
    }

    /// Returns what is loaded, after a look at the files. If one has changed and cannot be used, for example because its
    /// neighbour has not changed yet, what was loaded stays, and the error comes with it, once for each change.
    pub fn current(&self) -> (Arc<C::Loaded>, Option<TlsError>) {
        let mut state = self.lock();
        let stamps = stamps(&state.settings);
        let failed = if stamps == state.seen {
            None
        } else {
            state.seen = stamps;
            state.settings.load().map(|loaded| state.current = Arc::new(loaded)).err()
        };
        (Arc::clone(&state.current), failed)
    }

    /// Loads the sources again, whether their files have changed or not.
    ///
    /// # Errors
    /// A source cannot be used; what was loaded stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut state = self.lock();
        state.seen = stamps(&state.settings);
        state.current = Arc::new(state.settings.load()?);
        Ok(())
    }

    /// Takes other settings.
    ///
    /// # Errors
    /// A source cannot be used; the settings stay.
    pub fn replace(&self, settings: C) -> Result<(), TlsError> {
        let new = Self::new(settings)?.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.lock() = new;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, InUse<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(settings: &impl Load) -> Vec<Stamp> {
    settings.sources().into_iter().map(Pem::stamp).collect()
}
