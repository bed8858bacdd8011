//! Patience with a server that does not answer or does not read.

use common::Millis;

use super::transmission::Transmission;

/// Number of ticks in one keepalive time. Silence is counted in ticks, because a timer for every frame would cost more,
/// and because a runtime that was held up must not take its own pause for the server's.
const TICKS: u32 = 4;

/// Number of ticks of silence after which a session ends.
const GIVE_UP: u32 = 2 * TICKS;

/// Counts of ticks without a sign of life.
#[derive(Debug, Default)]
pub(super) struct Silence {
    tick: Millis,
    next_tick: Millis,
    /// Ticks since bytes arrived.
    unheard: u32,
    /// Ticks since the server took bytes of a transmission that is not done.
    unread: u32,
    is_writing: bool,
}

/// Result of a tick.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Fine,
    /// The server should be asked whether it is alive.
    Ask,
    Silent,
    Unread,
}

impl Silence {
    pub(super) fn new(now: Millis, keepalive: Millis) -> Self {
        let tick = Millis((keepalive.0 / u64::from(TICKS)).max(1));
        Self { tick, next_tick: now + tick, ..Self::default() }
    }

    pub(super) fn next_tick(&self) -> Millis {
        self.next_tick
    }

    /// Notes that bytes have arrived.
    pub(super) fn hear(&mut self) {
        self.unheard = 0;
    }

    /// Notes the progress of a transmission.
    pub(super) fn look(&mut self, transmission: &mut Transmission) {
        if transmission.take_progress() {
            self.unread = 0;
        }
        self.is_writing = !transmission.is_done();
    }

    /// Counts a tick if one is due.
    pub(super) fn tick(&mut self, now: Millis) -> Verdict {
        if now < self.next_tick {
            return Verdict::Fine;
        }
        // Not `next_tick + tick`, because missed ticks are not made up for.
        self.next_tick = now + self.tick;
        let verdict = match self.unheard {
            GIVE_UP => Verdict::Silent,
            _ if self.unread == GIVE_UP => Verdict::Unread,
            TICKS => Verdict::Ask,
            _ => Verdict::Fine,
        };
        self.unheard += 1;
        self.unread = if self.is_writing { self.unread + 1 } else { 0 };
        verdict
    }
}
