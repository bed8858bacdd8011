//! Time: handles input that has arrived, then does due work, in steps.

use std::future::pending;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use common::SharedClock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::{spawn_blocking, yield_now};
use zk_wire::Millis;

use crate::core::{ConnId, Input, NextDeletion, Now};
use crate::shell::accept_barrier::AcceptBarrier;
use crate::shell::clock::LATEST;
use crate::shell::engine::Engine;
use crate::shell::panics::{PAUSE, surviving};
use crate::shell::state::ServerState;
use crate::shell::turn::{Turn, Wakers};
use crate::sys;

/// Maximum time that due work waits for input that has arrived.
const MAX_PENDING_INPUT: Duration = Duration::from_secs(2);

/// Maximum number of rounds. Each one looks at the connections that came during the previous one.
const MAX_ROUNDS: usize = 4;

impl ServerState {
    /// Moves a clock that is held, with a stop at each deadline on the way.
    fn advance(&mut self, by: Duration, turn: &mut Turn<'_>) {
        self.clock.advance(by);
        let target = Millis::from(self.clock.mono());
        let mut known = None;
        loop {
            let deadline = self.next_event(turn.now, target, &mut known);
            // What is overdue is done now.
            let to = deadline.unwrap_or(target).max(turn.now.mono);
            self.core.skip_checks_before(to);
            turn.now = self.clock.at(to);
            self.time_passes(turn);
            if deadline.is_none() {
                return;
            }
        }
    }

    /// Returns the time until something happens without any input, here or with those who follow the clock.
    pub(crate) fn until_next_event(&self) -> Option<Duration> {
        let event = self.next_event(self.clock.now(), LATEST.into(), &mut None);
        let sleeper = self.clock.followers().and_then(SharedClock::next_deadline);
        let deadline = [event, sleeper].into_iter().flatten().min()?;
        Some(Duration::from(deadline).saturating_sub(self.clock.mono()))
    }

    /// Returns the next time, up to `limit`, at which something happens without any input, if the wall clock runs with
    /// the monotonic one.
    pub(super) fn next_event(
        &self,
        now: Now,
        limit: Millis,
        known: &mut Option<NextDeletion>,
    ) -> Option<Millis> {
        let closes = self.connections.next_deadline().filter(|at| *at <= limit);
        self.core.next_event(now, closes.unwrap_or(limit), known).or(closes)
    }
}

impl Engine {
    /// Holds the clock. What is due by then is not done yet.
    pub(crate) fn hold_clock(&self) {
        self.turn(|state, _| state.clock.hold());
    }

    /// Lets a clock that is held run on.
    pub(crate) fn release_clock(&self) {
        self.turn(|state, _| state.clock.release());
        self.clock_runs();
    }

    /// Holds the clock, or lets it run, as at the start of the server.
    pub(crate) fn restore_clock(&self) {
        self.turn(|state, _| state.clock.restore());
        self.clock_runs();
    }

    /// Lets all who sleep look at a clock that may run now: timers do not watch a clock that is held.
    fn clock_runs(&self) {
        self.deadline_nearer.notify_one();
        if let Some(followers) = self.followers() {
            followers.wake_all();
        }
    }

    /// Moves the wall clock alone, by milliseconds.
    pub(crate) fn jump_wall_clock(&self, by: i64) {
        self.turn(|state, _| state.clock.move_wall(by));
    }

    /// Moves a clock that is held, with a stop at each deadline on the way. Returns false if it is not held.
    pub(crate) fn advance(&self, by: Duration) -> bool {
        self.turn(|state, turn| {
            let is_held = state.clock.is_held();
            if is_held {
                state.advance(by, turn);
            }
            is_held
        })
    }

    /// Moves a clock that is held to the next time at which something happens. Returns how far, if anything will happen;
    /// `None` if the clock is not held.
    pub(crate) fn advance_to_next_deadline(&self) -> Option<Option<Duration>> {
        self.turn(|state, turn| {
            if !state.clock.is_held() {
                return None;
            }
            let deadline = state.next_event(turn.now, LATEST.into(), &mut None);
            Some(deadline.map(|deadline| {
                let by = Duration::from(deadline).saturating_sub(state.clock.mono());
                state.advance(by, turn);
                by
            }))
        })
    }

    /// Acts at each deadline, after the input that has arrived by then: the process may have been stopped or starved of
    /// CPU time. Never returns.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let (clock, due) = self.look(|state| {
                let now = Millis::from(state.clock.mono());
                (state.clock.clone(), (!state.clock.is_held() && state.is_due(now)).then_some(now))
            });
            if let Some(due) = due {
                // Peers that send without end do not hold up time.
                let _ = self.runtime.timeout(MAX_PENDING_INPUT, self.handle_pending_input()).await;
                self.catch_up(due).await;
                continue;
            }
            let deadline = self.turn(|state, _| {
                state.armed = state.poll_deadline();
                state.armed
            });
            let sleep = async {
                match deadline.and_then(|deadline| clock.instant_of(deadline)) {
                    Some(at) => self.runtime.sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.deadline_nearer.notified() => {}
            }
        }
    }

    /// Does the work that is due now.
    pub(crate) async fn do_due_work(&self) {
        let due = self.turn(|state, turn| {
            if state.clock.is_held() {
                state.advance(Duration::ZERO, turn);
            }
            turn.now.mono
        });
        self.catch_up(due).await;
    }

    /// Does the work that is due at `due`. Work that becomes due later is done after the input that arrives until
    /// then.
    async fn catch_up(&self, due: Millis) {
        let step = || {
            self.turn(|state, turn| {
                // The clock may have been held meanwhile, and moved by hand.
                if state.clock.is_held() || !state.is_due(due) {
                    return false;
                }
                turn.now.mono = due;
                state.time_passes(turn);
                state.is_due(due)
            })
        };
        loop {
            match surviving(step) {
                Some(true) => yield_now().await,
                Some(false) => return,
                // Without this task no session would ever expire again.
                None => return self.runtime.sleep(PAUSE).await,
            }
        }
    }

    /// Tidies up in steps, between which other tasks run. Never returns.
    pub(crate) async fn tidy_up(self: Arc<Self>) {
        loop {
            self.untidy.notified().await;
            surviving(|| {
                let emptied = self.turn(|state, turn| {
                    let emptied = state.core.tidy_up();
                    state.perform_all(None, turn);
                    emptied
                });
                if !emptied.is_empty() {
                    // Connections are not to wait for it, either.
                    spawn_blocking(move || drop(emptied));
                }
            });
            yield_now().await;
        }
    }

    /// Lets every connection handle the input that has arrived, as far as its turns allow. Connections that come
    /// meanwhile are included.
    pub(crate) async fn handle_pending_input(&self) {
        let mut first = ConnId(0);
        for _ in 0..MAX_ROUNDS {
            self.refresh_readiness().await;
            self.accept_pending().await;
            let signals = self.turn(|state, turn| {
                let signals = state.connections.ask_for_input(first, turn);
                first = state.connections.next_id();
                for conn in state.connections.waiting_for_disk(turn.limits) {
                    state.handle(Input::Waiting { conn }, turn);
                }
                signals
            });
            if signals.is_empty() {
                return;
            }
            for handled in signals {
                // Its sender is dropped when the input is handled.
                let _ = handled.await;
            }
        }
    }

    /// Waits until all pending connections are accepted.
    async fn accept_pending(&self) {
        let mut wakers = Wakers::default();
        let accept_barriers = self.accept_barriers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let signals: Vec<_> = accept_barriers.iter().map(|barrier| barrier.ask(&mut wakers)).collect();
        drop(wakers);
        for accepted in signals {
            // Its sender is dropped when they are accepted.
            let _ = accepted.await;
        }
    }

    /// Adds a source of connections.
    pub(crate) fn add_accept_barrier(&self, barrier: &AcceptBarrier) {
        self.accept_barriers.lock().unwrap_or_else(PoisonError::into_inner).push(barrier.clone());
    }

    async fn refresh_readiness(&self) {
        yield_now().await;
        if self.setup.configuration.listens.is_some() {
            hear_of_sockets(|| self.runtime.with_drivers(sys::connected_pair)).await;
        }
    }
}

/// Waits until the runtime of a new pair of sockets has heard of all sockets that were ready when this was called: it hears of
/// a socket that becomes ready now after them.
pub(super) async fn hear_of_sockets<S: AsyncRead + AsyncWrite + Unpin>(
    pair: impl FnOnce() -> io::Result<(S, S)>,
) {
    if let Ok((mut near, mut far)) = pair()
        && near.write_all(&[0]).await.is_ok()
    {
        // The byte arrives, or the pair is useless.
        let _ = far.read_u8().await;
        yield_now().await;
    }
}
