//! The books of all calls: who asked for them, who ran them, and what came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rpc_client::Error;

/// Books of all calls, shared by callers and instances.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    calls: Arc<Mutex<BTreeMap<u64, Entry>>>,
}

#[derive(Default)]
struct Entry {
    idempotent: bool,
    /// Number of times that an instance has begun to run it.
    runs: usize,
    /// Ends, as its caller heard them.
    ends: Vec<Result<u64, Error>>,
}

impl Ledger {
    /// Notes that a caller begins a call, and returns its number.
    pub(crate) fn begun(&self, idempotent: bool) -> u64 {
        let mut calls = self.lock();
        let number = calls.len() as u64;
        calls.insert(number, Entry { idempotent, ..Entry::default() });
        number
    }

    /// Notes that an instance runs a call.
    pub(crate) fn ran(&self, number: u64) {
        self.lock().entry(number).or_default().runs += 1;
    }

    /// Notes the end of a call, as its caller heard it.
    pub(crate) fn ended(&self, number: u64, end: Result<u64, Error>) {
        self.lock().entry(number).or_default().ends.push(end);
    }

    /// Checks that no call was lost, answered twice, run twice although it must not be, or belied.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (number, Entry { idempotent, runs, ends }) in &*self.lock() {
            let [end] = &ends[..] else {
                return Err(format!("call {number} has {} ends", ends.len()));
            };
            if *runs > 1 && !idempotent {
                return Err(format!("call {number} is not idempotent and ran {runs} times"));
            }
            match end {
                Ok(echoed) if echoed != number => {
                    return Err(format!("call {number} got the answer of call {echoed}"));
                }
                Ok(_) if *runs == 0 => return Err(format!("call {number} was answered and never ran")),
                Err(error) if *runs > 0 && !error.may_have_been_applied() => {
                    return Err(format!("call {number} ran, and its caller heard that it did not: {error}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
