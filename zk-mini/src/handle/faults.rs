//! Faults: rules by which the server misbehaves.

use std::net::SocketAddr;

use crate::core::history::count;
use crate::core::{FaultId, FaultInfo, FaultState, Hit, On, Rule, RuleError, Then};
use crate::handle::Handle;
use crate::shell::state::ServerState;

/// Fault rule of a server. Dropping it removes the rule; [`keep`](Self::keep) does not.
///
/// It counts and remembers what the rule has hit, also when the rule has been removed by
/// [`remove_fault`](Handle::remove_fault) or the server has stopped.
#[derive(Debug)]
#[must_use = "the rule is removed when this is dropped; `keep()` leaves it in place"]
pub struct Fault {
    handle: Handle,
    id: FaultId,
    is_kept: bool,
}

/// Result of waiting for a rule that can fire no more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the rule \"{rule}\" has fired {} and fires no more: {why}", count(*.fired, "time"))]
#[non_exhaustive]
pub struct FiresNoMore {
    /// The rule.
    pub rule: String,
    /// Number of times that it has fired.
    pub fired: u64,
    /// Reason.
    pub why: WhyNoMore,
}

/// Reason why a rule can fire no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNoMore {
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
    /// The rule was removed.
    #[error("it was removed")]
    Removed,
    /// The cases that its condition allows are used up.
    #[error("its condition allows no more")]
    UsedUp,
}

impl Handle {
    /// Adds a fault rule: when something happens, then the server misbehaves so. It holds until the guard is dropped.
    ///
    /// Several rules are asked in the order in which they were added, and the first that fires decides.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    ///
    /// let lost = zk.fault(On::create("/demo").nth(1), Then::apply_and_lose_reply());
    /// assert!(client.create("/demo", "", CreateMode::Persistent).await.is_err());
    /// assert_eq!(lost.fired(), 1);
    /// assert!(zk.get("/demo").is_some(), "it was created all the same");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the condition and the effect are not a rule; the text is that of the [`RuleError`]. See
    /// [`try_fault`](Self::try_fault).
    #[track_caller]
    pub fn fault(&self, on: On, then: Then) -> Fault {
        match Rule::new(on, then).and_then(|rule| self.try_fault(rule)) {
            Ok(fault) => fault,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds a rule that was made from data; see [`fault`](Self::fault).
    ///
    /// # Errors
    /// [`RuleError::NoSuchListener`] if the condition names an address that the server does not listen at;
    /// [`RuleError::TooMany`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_mini::{On, Rule, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let on = On::op_named("getData")?.path("/config/**").every(3);
    /// let fault = zk.try_fault(Rule::new(on, Then::disconnect())?)?;
    /// assert_eq!(fault.fired(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_fault(&self, rule: Rule) -> Result<Fault, RuleError> {
        let listener = match rule.on().listening_address() {
            Some(addr) => Some(self.listener_at(addr).ok_or(RuleError::NoSuchListener(addr))?),
            None => None,
        };
        let id = self.engine.turn(|state, _| state.core.add_guarded_fault(rule, listener))?;
        Ok(Fault { handle: self.clone(), id, is_kept: false })
    }

    /// Returns all rules, in the order in which they were added.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultInfo> {
        self.engine.look(|state| state.core.faults())
    }

    /// Returns a rule and its counts; `None` if there is none with this id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let id = zk.fault(On::connect(), Then::refuse()).keep();
    /// assert_eq!(zk.fault_info(id).map(|rule| rule.fired), Some(0));
    /// assert!(zk.fault_hits(id).is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fault_info(&self, id: FaultId) -> Option<FaultInfo> {
        self.engine.look(|state| state.core.fault(id))
    }

    /// Returns what a rule has hit, in order: the latest hundred. Nothing if there is no rule with this id.
    #[must_use]
    pub fn fault_hits(&self, id: FaultId) -> Vec<Hit> {
        self.engine.look(|state| state.core.fault_hits(id))
    }

    /// Removes a rule. Returns `false` if there is none with this id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), zk_mini::Error> {
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let id = zk.fault(On::connect(), Then::refuse()).keep();
    /// assert_eq!(zk.faults()[0].rule.to_string(), "connect: refuse");
    /// assert!(zk.remove_fault(id));
    /// assert!(!zk.remove_fault(id), "it is gone");
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.engine.turn(|state, turn| {
            let is_removed = state.core.remove_fault(turn.now, id);
            state.perform_all(None, turn);
            is_removed
        })
    }

    /// Removes all rules.
    pub fn remove_faults(&self) {
        self.engine.turn(|state, turn| {
            state.core.remove_faults(turn.now);
            state.perform_all(None, turn);
        });
    }

    /// Returns the index of the listener that connections to `addr` come to.
    pub(super) fn listener_at(&self, addr: SocketAddr) -> Option<usize> {
        let is_at = |listens: &SocketAddr| {
            *listens == addr || (listens.ip().is_unspecified() && listens.port() == addr.port())
        };
        let socket = self.engine.setup.addrs().iter().position(is_at)?;
        let listener = self.engine.setup.listener.as_ref()?;
        let is_ensemble = self.engine.look(|state| state.core.server_count() > 0);
        if is_ensemble { listener.server_of(socket) } else { Some(socket) }
    }
}

impl Fault {
    /// Returns the number of the rule.
    #[must_use]
    pub fn id(&self) -> FaultId {
        self.id
    }

    /// Returns the number of times that the rule has fired.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.handle.fault_info(self.id).map_or(0, |fault| fault.fired)
    }

    /// Returns what the rule has hit, in order: the latest hundred.
    #[must_use]
    pub fn hits(&self) -> Vec<Hit> {
        self.handle.fault_hits(self.id)
    }

    /// Waits until the rule has fired, and returns what it hit first; see [`until_fired_times`](Self::until_fired_times).
    ///
    /// # Errors
    /// [`FiresNoMore`] if the rule can fire no more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::{On, Then, ZkMini};
    ///
    /// let zk = ZkMini::start().await?;
    /// let dropped = zk.fault(On::exists("/lock").nth(2), Then::disconnect());
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let asks = tokio::spawn(async move { while client.exists("/lock").await.is_ok() {} });
    /// assert_eq!(dropped.until_fired().await?.path.as_deref(), Some("/lock"));
    /// asks.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn until_fired(&self) -> Result<Hit, FiresNoMore> {
        self.until_fired_times(1).await
    }

    /// Waits until the rule has fired `n` times, and returns the hit of that number; the oldest that is still kept, if
    /// that is later.
    ///
    /// # Errors
    /// [`FiresNoMore`] if the rule can fire no more: the server has stopped, the rule was removed, or the cases that its
    /// condition allows are used up.
    pub async fn until_fired_times(&self, n: u64) -> Result<Hit, FiresNoMore> {
        loop {
            let news = self.handle.engine.fault_news.notified();
            if let Some(hit) = self.handle.engine.look(|state| state.core.fault_hit(self.id, n)) {
                return Ok(hit);
            }
            if let Some(end) = self.handle.engine.look(|state| self.end(state)) {
                return Err(end);
            }
            news.await;
        }
    }

    /// Leaves the rule in place for as long as the server runs, and returns its number.
    pub fn keep(mut self) -> FaultId {
        self.is_kept = true;
        self.handle.engine.turn(|state, _| state.core.keep_fault(self.id));
        self.id
    }

    /// Returns the reason why the rule can fire no more, if there is one.
    fn end(&self, state: &ServerState) -> Option<FiresNoMore> {
        let fault = state.core.fault(self.id)?;
        let why = match fault.state {
            FaultState::Removed => WhyNoMore::Removed,
            FaultState::UsedUp => WhyNoMore::UsedUp,
            FaultState::Active if state.stopped => WhyNoMore::Stopped,
            FaultState::Active => return None,
        };
        Some(FiresNoMore { rule: fault.rule.to_string(), fired: fault.fired, why })
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if !self.is_kept {
            self.handle.engine.turn(|state, turn| {
                state.core.forget_fault(turn.now, self.id);
                state.perform_all(None, turn);
            });
        }
    }
}
