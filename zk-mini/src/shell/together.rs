//! Time of a server and of those who follow its clock, such as clients in the same process: they move together, from
//! deadline to deadline.
//!
//! At each one, those act whose time has come, one after another; the server handles what they send; those act who hear of
//! that; until nobody has anything to do. Who does not act in real time, for instance because its runtime is blocked, is not
//! waited for until it acts again.

use std::sync::Arc;
use std::time::Duration;

use common::SharedClock;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use zk_wire::Millis;

use crate::core::NextDeletion;
use crate::shell::clock::LATEST;
use crate::shell::engine::Engine;
use crate::shell::state::ServerState;
use crate::shell::time::hear_of_sockets;
use crate::shell::turn::Turn;
use crate::sys;

/// Maximum real time that a move waits for a follower, or for its runtime.
const PATIENCE: Duration = Duration::from_secs(2);

/// Maximum number of exchanges at one time. Those who never have enough, such as a loop of calls, do not hold up time.
const MAX_EXCHANGES: usize = 100;

/// Number of turns that a runtime gives to all of its tasks: those that do not follow the clock may react to those that do.
const TURNS: usize = 4;

/// Step of a move.
enum Step {
    /// The clock runs.
    None,
    /// The server has acted.
    Server,
    /// Followers may act.
    Followers,
    /// The move is done.
    Last,
}

impl ServerState {
    /// Moves a clock that is held to the next deadline, up to `target`. What followers send at a time counts before what is
    /// due in the server at that time.
    fn step(
        &mut self,
        target: Duration,
        followers: &SharedClock,
        known: &mut Option<NextDeletion>,
        turn: &mut Turn<'_>,
    ) -> Step {
        if !self.clock.is_held() {
            return Step::None;
        }
        let end = Millis::from(target);
        let sleeper = followers.next_deadline().filter(|at| *at <= end);
        let event = self.next_event(turn.now, sleeper.unwrap_or(end), known);
        let (to, step) = match (event, sleeper) {
            (_, Some(at)) if event.is_none_or(|event| at <= event) => (at, Step::Followers),
            (Some(at), _) => (at, Step::Server),
            (None, _) => (end, Step::Last),
        };
        let by = match step {
            Step::Last => target.saturating_sub(self.clock.mono()),
            _ => Duration::from(to).saturating_sub(self.clock.mono()),
        };
        self.clock.advance(by);
        // What is overdue is done now.
        turn.now = self.clock.at(to.max(turn.now.mono));
        self.core.skip_checks_before(turn.now.mono);
        if !matches!(step, Step::Followers) {
            self.time_passes(turn);
        }
        step
    }
}

impl Engine {
    /// Returns a clock that follows this server's.
    pub(crate) fn share_clock(&self) -> SharedClock {
        self.turn(|state, _| {
            let clock = state.clock.share(self.runtime.timers()).clone();
            if state.stopped {
                state.clock.part();
            }
            clock
        })
    }

    /// Returns the clock of those who follow this server's, if somebody does.
    pub(crate) fn followers(&self) -> Option<SharedClock> {
        self.look(|state| state.clock.followers().cloned())
    }

    /// Moves a clock that is held, and all who follow it, by a time that is asked for once nobody has anything to do. Returns that
    /// time; `None` if the clock is not held.
    pub(crate) async fn move_together(
        self: &Arc<Self>,
        followers: &SharedClock,
        by: impl FnOnce(&ServerState) -> Option<Duration>,
    ) -> Option<Option<Duration>> {
        let _moving = self.moving.lock().await;
        self.settle(followers).await;
        let (from, by) = self.look(|state| state.clock.is_held().then(|| (state.clock.mono(), by(state))))?;
        let Some(by) = by else { return Some(None) };
        let target = from.saturating_add(by).min(LATEST);
        let mut known = None;
        loop {
            let step = self.turn(|state, turn| state.step(target, followers, &mut known, turn));
            match step {
                Step::None => return None,
                Step::Followers => {
                    while followers.wake_next() {
                        self.acted(followers).await;
                    }
                }
                Step::Server | Step::Last => {}
            }
            self.settle(followers).await;
            if let Step::Last = step {
                return Some(Some(by));
            }
        }
    }

    /// Lets every connection handle the input that has arrived, on the server's runtime: the caller's may have no drivers for
    /// sockets.
    pub(crate) async fn handle_arrived_input(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        // This fails only if the runtime has ended.
        let _ = self.runtime.spawn(async move { engine.handle_pending_input().await }).await;
    }

    /// Waits until all effects of a move have been performed.
    pub(crate) async fn passed(&self) {
        self.settled().await;
        for barrier in self.barriers() {
            // Its sender is dropped when the barrier is passed.
            let _ = barrier.await;
        }
    }

    /// Lets the server and all who follow act until nobody has anything to do at this time.
    async fn settle(self: &Arc<Self>, followers: &SharedClock) {
        for _ in 0..MAX_EXCHANGES {
            self.acted(followers).await;
            let acts = followers.acts();
            self.handle_arrived_input().await;
            self.passed().await;
            for runtime in followers.runtimes() {
                self.refresh(followers, &runtime).await;
            }
            if followers.acts() == acts && !followers.is_busy() {
                return;
            }
        }
    }

    /// Waits until each follower that was woken has acted.
    async fn acted(&self, followers: &SharedClock) {
        if followers.is_busy() && self.runtime.timeout(PATIENCE, followers.acted()).await.is_err() {
            followers.give_up();
        }
    }

    /// Waits until a runtime has heard of what the server has sent, and each of its tasks has had a few turns.
    async fn refresh(&self, followers: &SharedClock, runtime: &Handle) {
        // A runtime with one thread asks for news whenever it has nothing else to do. One with several may be about to
        // tell on another thread.
        let may_be_telling = runtime.runtime_flavor() == RuntimeFlavor::MultiThread
            && self.look(|state| state.connections.iter().any(|(_, entry)| entry.remote.is_some()));
        let refreshed = runtime.spawn(async move {
            if may_be_telling {
                hear_of_sockets(sys::connected_pair).await;
            }
            for _ in 0..TURNS {
                yield_now().await;
            }
        });
        if self.runtime.timeout(PATIENCE, refreshed).await.is_err() {
            followers.give_up_on(runtime);
        }
    }
}
