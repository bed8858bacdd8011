//! Rules that the controller made.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zk_mini::{FaultId, Handle, On, Rule, RuleError, Then};

/// Kind of rule that the controller makes. A server has one of each at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Reject,
    Fail,
    Silence,
    /// It is the last to be asked: a request that is failed or not answered need not be delayed.
    Delay,
}

/// Rules that the controller made, for it to remove no others.
#[derive(Debug, Default)]
pub(crate) struct Made(Mutex<Vec<Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    /// Address of the server. It holds no handle, which would keep the server's memory.
    server: Option<SocketAddr>,
    kind: Kind,
    id: FaultId,
    rule: Rule,
}

impl Made {
    /// Puts a rule in the place of the one of its kind; nothing removes that one only.
    pub(super) fn set(&self, server: &Handle, kind: Kind, rule: Option<(On, Then)>) -> Result<(), RuleError> {
        let mut made = self.lock();
        remove(&mut made, server, |entry| entry.kind == kind);
        let Some((on, then)) = rule else { return Ok(()) };
        let delays = remove(&mut made, server, |entry| entry.kind == Kind::Delay);
        let rules = std::iter::once((kind, Rule::new(on, then)?));
        for (kind, rule) in rules.chain(delays.into_iter().map(|entry| (entry.kind, entry.rule))) {
            let id = server.try_fault(rule.clone())?.keep();
            made.push(Entry { server: server.addr(), kind, id, rule });
        }
        Ok(())
    }

    pub(super) fn reset(&self, server: &Handle) {
        remove(&mut self.lock(), server, |_| true);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the rules of a server that fulfil the condition, and returns them. A rule that has been removed by other means, or that belongs
/// to an earlier server at the address, is only forgotten.
fn remove(made: &mut Vec<Entry>, server: &Handle, condition: impl Fn(&Entry) -> bool) -> Vec<Entry> {
    let addr = server.addr();
    let entries = made.extract_if(.., |entry| entry.server == addr && condition(entry));
    let faults = server.faults();
    let is_there =
        |entry: &Entry| faults.iter().any(|fault| fault.id == entry.id && fault.rule == entry.rule);
    let entries: Vec<_> = entries.filter(is_there).collect();
    for entry in &entries {
        server.remove_fault(entry.id);
    }
    entries
}
