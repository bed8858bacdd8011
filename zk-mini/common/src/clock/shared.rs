//! A clock of several tasks that its owner may hold and move: the time, who sleeps, and who takes part in moves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Clock, Source};
use crate::Millis;

/// A clock that its owner holds and moves, for all who have its [`Clock`].
///
/// A move goes from deadline to deadline: [`next_deadline`](Self::next_deadline), [`show`](Self::show) that time,
/// [`wake_next`](Self::wake_next) until it is false. After each of these, the owner waits until those that were woken
/// [have acted](Self::acted). An owner that lets the clock run tells all sleepers with [`wake_all`](Self::wake_all).
#[derive(Clone)]
pub struct SharedClock(Arc<Shared>);

struct Shared {
    /// Runtime whose clock the time follows while it runs.
    timers: Handle,
    state: Mutex<SharedState>,
    /// Notified when a member has acted.
    acted: Notify,
}

/// Time of a clock that runs, or is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// Time that it showed last, when it began to run or was held.
    pub(super) shown: Duration,
    /// Time on the runtime's clock when it began to run; `None` while it is held.
    pub(super) since: Option<Instant>,
}

pub(super) struct SharedState {
    pub(super) time: Time,
    /// Tasks that sleep: until when, and in which order they began.
    pub(super) sleepers: BTreeMap<(Millis, u64), Waker>,
    members: BTreeMap<u64, MemberState>,
    /// Runtimes whose members did not act in time, until one of them does.
    stalled: Vec<Id>,
    /// Number of sleeps and members so far.
    given: u64,
    /// Number of times that members have acted.
    acts: u64,
}

/// State of a member.
#[derive(Debug, Default)]
struct MemberState {
    /// It was woken, and has not begun to act.
    is_woken: bool,
    /// It is acting now.
    is_acting: bool,
    /// It did not act in time, and is not waited for until it does.
    is_late: bool,
    /// Number of times that it has acted.
    acts: u64,
    /// Its runtime, once it has acted there.
    runtime: Option<Handle>,
}

impl SharedClock {
    /// Makes a clock with this time; it runs since `since`, or is held. Its runtime is `timers`: that clock it follows while it
    /// runs.
    #[must_use]
    pub fn new(timers: Handle, shown: Duration, since: Option<Instant>) -> Self {
        let state = SharedState {
            time: Time { shown, since },
            sleepers: BTreeMap::new(),
            members: BTreeMap::new(),
            stalled: Vec::new(),
            given: 0,
            acts: 0,
        };
        Self(Arc::new(Shared { timers, state: Mutex::new(state), acted: Notify::new() }))
    }

    /// Returns the clock for those who follow it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock { source: Source::Shared(self.clone()) }
    }

    /// Shows this time from now on; it runs since `since`, or is held. Wakes nobody.
    pub fn show(&self, shown: Duration, since: Option<Instant>) {
        self.lock().time = Time { shown, since };
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Millis {
        let time = self.lock().time;
        self.reading(time)
    }

    /// Returns the earliest time that a task sleeps until.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.lock().sleepers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Wakes the first task whose time has come: of several with the same deadline, the one that has slept longest. Returns false
    /// if there is none.
    pub fn wake_next(&self) -> bool {
        let now = self.now();
        let mut state = self.lock();
        let Some(first) = state.sleepers.first_entry().filter(|first| first.key().0 <= now) else {
            return false;
        };
        let woken = first.remove();
        drop(state);
        woken.wake();
        true
    }

    /// Wakes all who sleep, so that they look at the time again.
    pub fn wake_all(&self) {
        let woken = std::mem::take(&mut self.lock().sleepers);
        woken.into_values().for_each(Waker::wake);
    }

    /// Returns true if a member has yet to act, on a runtime that works.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let state = self.lock();
        state.members.values().any(|member| state.is_awaited(member))
    }

    /// Returns the number of times that members have acted.
    #[must_use]
    pub fn acts(&self) -> u64 {
        self.lock().acts
    }

    /// Waits until each member that was woken has acted once. Those of stalled runtimes are not waited for.
    pub async fn acted(&self) {
        let mut awaited: Vec<_> = {
            let state = self.lock();
            let members = state.members.iter().filter(|(_, member)| state.is_awaited(member));
            // One that was woken while it acts acts again.
            let goal =
                |member: &MemberState| member.acts + 1 + u64::from(member.is_acting && member.is_woken);
            members.map(|(id, member)| (*id, goal(member))).collect()
        };
        loop {
            let acted = self.0.acted.notified();
            {
                let members = &self.lock().members;
                awaited.retain(|(id, goal)| members.get(id).is_some_and(|member| member.acts < *goal));
            }
            if awaited.is_empty() {
                return;
            }
            acted.await;
        }
    }

    /// Waits no longer for members that have yet to act, nor for others on their runtimes, until they act.
    pub fn give_up(&self) {
        let mut state = self.lock();
        let late = state.members.iter().filter(|(_, member)| state.is_awaited(member));
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        for id in late {
            let Some(member) = state.members.get_mut(&id) else { continue };
            member.is_late = true;
            let runtime = member.runtime.as_ref().map(Handle::id);
            runtime.into_iter().for_each(|runtime| state.stall(runtime));
        }
    }

    /// Waits no longer for the members of a runtime, until one of them acts.
    pub fn give_up_on(&self, runtime: &Handle) {
        self.lock().stall(runtime.id());
    }

    /// Returns the runtimes of the members that are not stalled.
    #[must_use]
    pub fn runtimes(&self) -> Vec<Handle> {
        let state = self.lock();
        let mut runtimes: Vec<Handle> = Vec::new();
        for runtime in state.members.values().filter_map(|member| member.runtime.as_ref()) {
            let is_same = |known: &Handle| known.id() == runtime.id();
            if !runtimes.iter().any(is_same) && !state.stalled.contains(&runtime.id()) {
                runtimes.push(runtime.clone());
            }
        }
        runtimes
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn timers(&self) -> &Handle {
        &self.0.timers
    }

    /// Tells the owner that a member has acted or left.
    pub(super) fn tell(&self) {
        self.0.acted.notify_waiters();
    }

    pub(super) fn reading(&self, time: Time) -> Millis {
        let ran = time.since.map_or(Duration::ZERO, |since| {
            let _entered = self.timers().enter();
            since.elapsed()
        });
        time.shown.saturating_add(ran).into()
    }
}

impl SharedState {
    pub(super) fn next_number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Adds a member, which acts when it is polled first. Returns its number.
    pub(super) fn join(&mut self) -> u64 {
        let id = self.next_number();
        self.members.insert(id, MemberState { is_woken: true, ..MemberState::default() });
        id
    }

    /// Notes that a member begins to act.
    pub(super) fn begin(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        (member.is_woken, member.is_acting, member.is_late) = (false, true, false);
        if member.runtime.is_none() {
            member.runtime = Handle::try_current().ok();
        }
        if let Some(runtime) = &member.runtime {
            let id = runtime.id();
            self.stalled.retain(|stalled| *stalled != id);
        }
    }

    /// Notes that a member has acted.
    pub(super) fn end(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.is_acting = false;
        member.acts += 1;
        self.acts += 1;
    }

    /// Notes that a member was woken.
    pub(super) fn wake(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.is_woken = true;
        }
    }

    /// Removes a member. Returns its runtime, for the caller to drop without the lock.
    pub(super) fn leave(&mut self, id: u64) -> Option<Handle> {
        self.members.remove(&id)?.runtime
    }

    fn stall(&mut self, runtime: Id) {
        if !self.stalled.contains(&runtime) {
            self.stalled.push(runtime);
        }
    }

    fn is_awaited(&self, member: &MemberState) -> bool {
        let is_stalled = |runtime: &Handle| self.stalled.contains(&runtime.id());
        (member.is_woken || member.is_acting)
            && !member.is_late
            && !member.runtime.as_ref().is_some_and(is_stalled)
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClock").field("time", &self.lock().time).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn held() -> SharedClock {
        SharedClock::new(Handle::current(), Duration::ZERO, None)
    }

    #[tokio::test]
    async fn sleepers_are_woken_at_their_times_one_after_another() {
        let shared = held();
        let (clock, woken) = (shared.clock(), Arc::new(Mutex::new(Vec::new())));
        for (name, at) in [("late", 9), ("first", 5), ("second", 5)] {
            let (sleeper, woken) = (clock.clone(), Arc::clone(&woken));
            tokio::spawn(clock.attend(async move {
                sleeper.sleep_until(Some(Millis(at))).await;
                woken.lock().unwrap().push((name, sleeper.now()));
            }));
        }
        shared.acted().await;
        assert!(!shared.is_busy() && !shared.wake_next(), "nobody's time has come");
        while let Some(at) = shared.next_deadline() {
            shared.show(at.into(), None);
            while shared.wake_next() {
                shared.acted().await;
            }
        }
        let expected = [("first", Millis(5)), ("second", Millis(5)), ("late", Millis(9))];
        assert_eq!(*woken.lock().unwrap(), expected);
        assert!(shared.lock().members.is_empty(), "they have left");
    }

    #[tokio::test]
    async fn a_member_is_busy_from_any_event_until_it_sleeps_again() {
        let shared = held();
        let event = Arc::new(Notify::new());
        let heard = Arc::clone(&event);
        let task = tokio::spawn(shared.clock().attend(async move {
            heard.notified().await;
            pending::<()>().await;
        }));
        shared.acted().await;
        assert!(!shared.is_busy());
        event.notify_one();
        assert!(shared.is_busy());
        shared.acted().await;
        assert!(!shared.is_busy());
        task.abort();
        let _ = task.await;
        assert!(shared.lock().members.is_empty());
    }

    #[tokio::test]
    async fn a_member_that_was_given_up_counts_again_once_it_acts() {
        let shared = held();
        let clock = shared.clock();
        let never_polled = clock.attend(pending::<()>());
        let task = clock.attend(clock.sleep_until(None));
        tokio::pin!(task);
        assert!(shared.is_busy());
        shared.give_up();
        assert!(!shared.is_busy());
        shared.acted().await;
        assert!(tokio::time::timeout(Duration::ZERO, &mut task).await.is_err(), "it sleeps");
        assert!(shared.acts() > 0 && shared.runtimes().len() == 1);
        shared.give_up_on(&Handle::current());
        assert!(shared.runtimes().is_empty());
        drop(never_polled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_runs_follows_its_runtime_until_it_is_held() {
        let shared = SharedClock::new(Handle::current(), Duration::from_secs(9), Some(Instant::now()));
        let clock = shared.clock();
        clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Millis(10_000));
        let sleeper = clock.clone();
        let task = tokio::spawn(async move { sleeper.sleep_until(Some(Millis(11_000))).await });
        tokio::task::yield_now().await;
        shared.show(Duration::from_millis(10_500), None);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!task.is_finished(), "it is held");
        shared.show(Duration::from_millis(10_500), Some(Instant::now()));
        shared.wake_all();
        task.await.unwrap();
        assert_eq!(clock.now(), Millis(11_000));
    }
}
