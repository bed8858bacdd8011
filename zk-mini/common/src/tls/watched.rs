//! Certificates and keys that follow their files.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use x509_parser::time::ASN1Time;

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

/// Settings that are loaded again when a file has changed, and when the time of a certificate begins that was not valid yet.
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
    /// Time at which what was read last begins to be valid, in seconds since 1970; `None` if that is no reason to read it again.
    begins: Option<i64>,
}

impl<C: Load> Watched<C> {
    /// Loads settings.
    ///
    /// # Errors
    /// A source cannot be used.
    pub fn new(settings: C) -> Result<Self, TlsError> {
        let (seen, current) = (stamps(&settings), Arc::new(settings.load()?));
        Ok(Self { state: Mutex::new(InUse { settings, current, seen, begins: None }) })
    }

    /// Returns what is loaded, after a look at the files. If one has changed and cannot be used, for example because its
    /// neighbour has not changed yet, what was loaded stays, and the error comes with it, once for each change.
    pub fn current(&self) -> (Arc<C::Loaded>, Option<TlsError>) {
        self.current_at(ASN1Time::now().timestamp())
    }

    fn current_at(&self, now: i64) -> (Arc<C::Loaded>, Option<TlsError>) {
        let mut state = self.lock();
        let has_begun = state.begins.is_some_and(|begins| begins <= now);
        let is_new = has_begun || stamps(&state.settings) != state.seen;
        let failed = if is_new { state.load(now).err() } else { None };
        (Arc::clone(&state.current), failed)
    }

    /// Loads the sources again, whether their files have changed or not.
    ///
    /// # Errors
    /// A source cannot be used; what was loaded stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.lock().load(ASN1Time::now().timestamp())
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

impl<C: Load> InUse<C> {
    fn load(&mut self, now: i64) -> Result<(), TlsError> {
        self.seen = stamps(&self.settings);
        let loaded = self.settings.load();
        self.begins = match &loaded {
            Err(TlsError::NotValidNow { begins, .. }) => Some(*begins).filter(|begins| *begins > now),
            _ => None,
        };
        self.current = Arc::new(loaded?);
        Ok(())
    }
}

fn stamps(settings: &impl Load) -> Vec<Stamp> {
    settings.sources().into_iter().map(Pem::stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::fs;

    use super::*;

    /// Settings that give these results one after the other.
    struct Scripted {
        file: Pem,
        results: RefCell<VecDeque<Result<u32, TlsError>>>,
    }

    impl Load for Scripted {
        type Loaded = u32;

        fn sources(&self) -> Vec<&Pem> {
            vec![&self.file]
        }

        fn load(&self) -> Result<u32, TlsError> {
            self.results.borrow_mut().pop_front().unwrap()
        }
    }

    fn not_valid(begins: i64) -> Result<u32, TlsError> {
        let text = String::new;
        Err(TlsError::NotValidNow { pem: text(), from: text(), to: text(), begins })
    }

    #[test]
    fn a_certificate_that_is_not_valid_yet_is_taken_when_its_time_has_come_and_not_read_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.pem");
        let file = Pem::file(&path);
        let results = RefCell::new([Ok(1), not_valid(200), Ok(2), not_valid(250)].into());
        let watched = Watched::new(Scripted { file, results }).unwrap();
        fs::write(&path, "new").unwrap();
        assert!(matches!(watched.current_at(100), (used, Some(TlsError::NotValidNow { .. })) if *used == 1));
        for (now, expected) in [(100, 1), (199, 1), (200, 2), (300, 2)] {
            let (used, error) = watched.current_at(now);
            assert!(*used == expected && error.is_none(), "{now}: {used} {error:?}");
        }
        fs::write(&path, "expired").unwrap();
        assert!(watched.current_at(300).1.is_some());
        assert!(watched.current_at(i64::MAX).1.is_none(), "an expired one is not read again");
    }
}
