//! The ways to the end of a session: silence, refusals, a drain, the loss of the connection.

use common::Millis;
use rpc_wire::Status;

use super::phase::{Due, Phase, deadline, is_over};
use super::reply::TOO_OLD;
use super::{End, Session};

impl<T> Session<T> {
    /// Does what is due.
    pub(super) fn time_out(&mut self, now: Millis) {
        match &self.phase {
            Phase::Greeting { until } if is_over(*until, now) => {
                self.refuse(now, Status::deadline_exceeded("no hello in time"));
            }
            Phase::Open => {
                if self.calls.expire(now) {
                    self.active = now;
                }
                if self.expires.take_if(|at| *at <= now).is_some() {
                    self.drain(now, TOO_OLD);
                }
                match self.due().filter(|(due, _)| *due <= now) {
                    Some((_, Due::Frame)) => {
                        let why = "a frame was begun and not completed in time";
                        self.refuse(now, Status::deadline_exceeded(why));
                    }
                    Some((_, Due::Write)) => self.close(End::Unread),
                    Some((_, Due::Activity)) => {
                        self.refuse(now, Status::unavailable("the connection has been idle for too long"));
                    }
                    None => {}
                }
            }
            Phase::Parting { until, end } | Phase::Lingering { until, end } if is_over(*until, now) => {
                self.close(end.clone());
            }
            _ => {}
        }
    }

    /// Returns the next timeout of an open session, and its kind.
    pub(super) fn due(&self) -> Option<(Millis, Due)> {
        let limits = &self.config.limits;
        let begun = self.input.begun().filter(|_| self.wants_bytes());
        [
            (begun, limits.frame_timeout, Due::Frame),
            (self.blocked, limits.write_timeout, Due::Write),
            (self.idle_since(), limits.idle_timeout, Due::Activity),
        ]
        .into_iter()
        .filter_map(|(since, patience, due)| Some((deadline(since?, patience.into())?, due)))
        .min()
    }

    /// Excludes a time in which the owner could neither read nor write.
    pub(super) fn excuse(&mut self, now: Millis, time: Millis) {
        self.input.excuse(time);
        self.blocked = self.blocked.map(|since| since + time);
        self.active = (self.active + time).min(now);
    }

    /// Ends the connection with a GOAWAY that gives the reason.
    pub(super) fn refuse(&mut self, now: Millis, status: Status) {
        self.calls.abort_all();
        self.calls.go_away(&status);
        let until = deadline(now, self.config.limits.write_timeout.into());
        self.phase = Phase::Parting { until, end: End::Refused(status) };
    }

    /// Refuses new calls from now on.
    pub(super) fn drain(&mut self, now: Millis, why: &'static str) {
        self.calls.draining.get_or_insert(why);
        match &mut self.phase {
            Phase::Open => {
                self.calls.end_watches(why);
                self.calls.say_draining();
            }
            // A client that says nothing is not waited for as long as one that may have something to say.
            Phase::Greeting { until } => {
                let soon = deadline(now, self.config.limits.linger.into());
                *until = [*until, soon].into_iter().flatten().min();
            }
            Phase::Parting { .. } | Phase::Lingering { .. } | Phase::Closed => {}
        }
    }

    /// Makes room for others: with a goodbye, if nothing else is being written.
    pub(super) fn evict(&mut self, now: Millis) {
        match &self.phase {
            Phase::Greeting { .. } | Phase::Open if self.unwritten == 0 => {
                self.calls.abort_all();
                self.calls.go_away(&Status::unavailable("closed to make room for others; connect again"));
                self.phase = Phase::Parting { until: Some(now), end: End::Evicted };
            }
            Phase::Greeting { .. } | Phase::Open => self.close(End::Evicted),
            Phase::Parting { end, .. } | Phase::Lingering { end, .. } => self.close(end.clone()),
            Phase::Closed => {}
        }
    }

    /// Notes the end of the connection.
    pub(super) fn lose(&mut self) {
        match &self.phase {
            Phase::Greeting { .. } | Phase::Open => self.close(End::Lost),
            Phase::Parting { end, .. } | Phase::Lingering { end, .. } => self.close(end.clone()),
            Phase::Closed => {}
        }
    }

    /// Ends the session at once.
    pub(super) fn close(&mut self, end: End) {
        self.calls.abort_all();
        self.phase = Phase::Closed;
        self.shut_down = false;
        self.ended = Some(end);
    }

    /// Enters the next phase if nothing is left to do in this one, and notes times in which nothing is read.
    pub(super) fn settle(&mut self, now: Millis) {
        match &self.phase {
            Phase::Open if self.calls.is_drained() && self.is_quiet() => self.linger(now, End::Drained),
            Phase::Parting { end, .. } if self.is_sent() => self.linger(now, end.clone()),
            Phase::Open if self.wants_bytes() => {
                if let Some(since) = self.deaf.take() {
                    self.input.excuse(now.since(since));
                }
            }
            Phase::Open => {
                self.deaf.get_or_insert(now);
            }
            _ => {}
        }
    }

    fn is_quiet(&self) -> bool {
        self.is_sent() && self.starting.is_none() && !self.input.is_waiting()
    }

    /// Waits, for a bounded time, until the client closes first. To close with unread bytes resets the connection, and
    /// the client may lose replies that are on their way.
    fn linger(&mut self, now: Millis, end: End) {
        self.input.discard();
        self.shut_down = true;
        self.phase = Phase::Lingering { until: deadline(now, self.config.limits.linger.into()), end };
    }
}
