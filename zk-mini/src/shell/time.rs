//! Time, as it passes for a server: what has arrived goes first, then what ends by itself, in steps.

use std::future::pending;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::task::yield_now;
use zk_wire::Millis;

use crate::core::{ConnId, Input};
use crate::shell::clock::{Clock, manual_now};
use crate::shell::door::Door;
use crate::shell::engine::Engine;
use crate::shell::panics::{PAUSE, surviving};
use crate::shell::turn::Wakers;

/// Maximum time that time itself waits for what has arrived.
const LONGEST_TAKE_IN: Duration = Duration::from_secs(2);

/// Maximum number of rounds of looking at those who came meanwhile.
const MOST_ROUNDS: usize = 4;

impl Engine {
    /// Moves a manual clock, with a stop at each deadline on the way. `false` if the clock cannot be moved.
    pub(crate) fn advance(&self, by: Duration) -> bool {
        self.turn(|state, turn| {
            let Clock::Manual { moved } = &mut state.clock else { return false };
            *moved = moved.saturating_add(by);
            let target = Millis::from(*moved);
            while let Some(deadline) = state.poll_deadline().filter(|deadline| *deadline <= target) {
                turn.now = manual_now(deadline.max(turn.now.mono));
                state.time_passes(turn);
            }
            turn.now = manual_now(target);
            state.time_passes(turn);
            true
        })
    }

    /// Acts at each deadline as it comes, after what has arrived until then: it may come late, if the process was stopped
    /// or had no time. Never returns.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            let (clock, due) = self.look(|state| {
                let now = state.clock.now().mono;
                (state.clock, state.is_due(now).then_some(now))
            });
            if let Some(due) = due {
                // Who sends without end does not hold up time.
                let _ = self.runtime.timeout(LONGEST_TAKE_IN, self.take_in()).await;
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
                () = self.nearer.notified() => {}
            }
        }
    }

    /// Does what is due at `due`: what has become due meanwhile comes after what has arrived meanwhile.
    async fn catch_up(&self, due: Millis) {
        let step = || {
            self.turn(|state, turn| {
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

    /// Tidies up, in steps that let others in between. Never returns.
    pub(crate) async fn tidy_up(self: Arc<Self>) {
        loop {
            self.untidy.notified().await;
            surviving(|| self.turn(|state, _| state.core.tidy_up()));
            yield_now().await;
        }
    }

    /// Has every connection handle what its peer has sent until now: once through, as far as one gets that is not to keep
    /// others waiting. One that came while others did is looked at, too.
    pub(crate) async fn take_in(&self) {
        let mut first = ConnId(0);
        for _ in 0..MOST_ROUNDS {
            self.see_what_is_ready().await;
            self.accept_who_waits().await;
            let asked = self.turn(|state, turn| {
                let asked = state.connections.ask_for_input(first, turn);
                first = state.connections.next_id();
                for conn in state.connections.waiting_for_disk(turn.limits) {
                    state.handle(Input::Waiting { conn }, turn);
                }
                asked
            });
            if asked.is_empty() {
                return;
            }
            for taken in asked {
                // The other half is dropped when it is done.
                let _ = taken.await;
            }
        }
    }

    /// Has everybody accepted who waits for it.
    async fn accept_who_waits(&self) {
        let mut wakers = Wakers::default();
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked: Vec<_> = doors.iter().map(|door| door.ask(&mut wakers)).collect();
        drop(wakers);
        for accepted in asked {
            // The other half is dropped when it is done.
            let _ = accepted.await;
        }
    }

    /// Connections come through this, too.
    pub(crate) fn add_door(&self, door: &Door) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).push(door.clone());
    }

    /// Waits until the runtime has heard which sockets had something to read when this was called: it hears of one that
    /// becomes ready now after them.
    async fn see_what_is_ready(&self) {
        yield_now().await;
        if self.setup.configuration.listens.is_some()
            && let Ok((mut near, far)) = self.runtime.with_drivers(UnixStream::pair)
            && near.write_all(&[0]).await.is_ok()
        {
            let _ = far.readable().await;
            yield_now().await;
        }
    }
}
