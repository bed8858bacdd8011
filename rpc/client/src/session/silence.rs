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
    /// Ticks since bytes arrived; [`TICKS`] while a ping is on its way to the transport.
    unheard: u32,
    /// Ticks since the server took bytes of a transmission that is not done.
    unread: u32,
    is_writing: bool,
    question: Question,
}

/// Way of the last ping since bytes arrived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Question {
    #[default]
    NotAsked,
    /// It waits behind bytes that the transport has not taken yet.
    Waiting,
    /// It is in the transmission that the transport takes.
    Leaving,
    /// The transport has taken it.
    Asked,
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
        self.question = Question::NotAsked;
    }

    /// Notes that a transmission is done and the next one begins, which has all urgent frames.
    pub(super) fn transmit(&mut self) {
        self.question = match self.question {
            Question::Waiting => Question::Leaving,
            Question::Leaving => Question::Asked,
            question => question,
        };
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
        // A server that still reads what is before the ping cannot answer it. One that does not read is found by `unread`.
        let is_held = matches!(self.question, Question::Waiting | Question::Leaving);
        let verdict = match self.unheard {
            GIVE_UP => Verdict::Silent,
            _ if self.unread == GIVE_UP => Verdict::Unread,
            TICKS if self.question == Question::NotAsked => Verdict::Ask,
            _ => Verdict::Fine,
        };
        if verdict == Verdict::Ask {
            self.question = Question::Waiting;
        }
        self.unheard = if is_held { TICKS } else { self.unheard + 1 };
        self.unread = if self.is_writing { self.unread + 1 } else { 0 };
        verdict
    }
}
