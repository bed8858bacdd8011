//! The error that the end of an attempt becomes.

use common::Millis;
use common::log::Shown;
use rpc_wire::{Code, Status};

use crate::error::Error;
use crate::session::Ended;
use crate::shared::Shared;

/// Lead that a server's clock may have over ours at the end of a call: rounding, and the time of a timer.
pub(crate) const CLOCK_SLACK: Millis = Millis(10);

/// An attempt at a call or a stream that has ended, as its error tells of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedAttempt<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) method: &'a str,
    /// Identity of the process that was called.
    pub(crate) instance: &'a str,
    pub(crate) deadline: Option<Millis>,
    /// An earlier attempt may have run.
    pub(crate) may_have_run: bool,
}

impl EndedAttempt<'_> {
    /// Returns the error of the call.
    pub(crate) fn error(self, ended: Ended) -> Error {
        let (service, method) = (self.shared.config.service.clone(), self.method.to_owned());
        match ended {
            Ended::Late => Error::Deadline { service, method, sent: true },
            Ended::Failed(status) if self.is_late(&status) => Error::Deadline { service, method, sent: true },
            Ended::Failed(status) => Error::Status { service, method, status, not_run: false },
            Ended::NotRun(status) => Error::Status { service, method, status, not_run: !self.may_have_run },
            Ended::NotSent => {
                let reason = format!("connection to {} lost", Shown::text(self.instance));
                Error::Unreachable { service, reason }
            }
            Ended::Lost(reason) => {
                let (instance, reason) = (self.instance.to_owned(), reason.to_string());
                Error::ConnectionLost { service, method, instance, reason }
            }
        }
    }

    /// Returns true if the server has told the end of our deadline before we saw it, because its clock was a little ahead.
    /// An earlier answer is the handler's, about a deadline of its own.
    pub(crate) fn is_late(&self, status: &Status) -> bool {
        status.code == Code::DEADLINE_EXCEEDED
            && self.deadline.is_some_and(|deadline| self.shared.clock.now() + CLOCK_SLACK >= deadline)
    }
}
