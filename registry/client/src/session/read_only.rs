//! Servers in read-only mode: cut off from the majority, they answer reads to clients that accept it.
//!
//! A session that such a server gives lives on that server alone: it is not used anywhere else. Meanwhile the client asks other
//! servers, at growing intervals, if they are in read-write mode, and moves to the first one that is.

use common::{Backoff, Millis};

use super::{DisconnectCause, LinkState, Output, Session};
use crate::session_state::{SessionState, WatchLost};

/// Pauses between two questions.
const PAUSES: Backoff = Backoff::new(Millis(200), Millis(10_000));

/// Search for a server in read-write mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Time of the next question.
    at: Millis,
    asked: u32,
}

impl<C> Session<C> {
    /// Begins to look for a read-write server.
    pub(super) fn begin_search(&mut self, now: Millis) {
        self.search = Some(Search { at: now + self.route.pause(&PAUSES, 0), asked: 0 });
    }

    pub(super) fn next_question(&self) -> Option<Millis> {
        self.search.map(|search| search.at)
    }

    pub(super) fn ask_if_due(&mut self, now: Millis) {
        let Some(Search { at, asked }) = self.search else { return };
        if at > now {
            return;
        }
        self.outputs.push_back(Output::AskMode { server: self.route.any_server() });
        let asked = asked.saturating_add(1);
        self.search = Some(Search { at: now + self.route.pause(&PAUSES, asked), asked });
    }

    /// Moves to a server that is in read-write mode.
    pub(super) fn handle_read_write(&mut self, now: Millis, server: usize) {
        if self.search.is_some() && matches!(self.link, LinkState::Live { .. }) && self.closing.is_none() {
            self.route.prefer(server);
            self.disconnect(now, DisconnectCause::ReadWriteFound);
        }
    }

    /// Ends the session of a read-only server: another one is given in its place. Waiting calls are made in that one.
    pub(super) fn end_local_session(&mut self) {
        self.is_local = false;
        self.credentials = None;
        self.publish(SessionState::Connecting);
        self.lose_watches(WatchLost::SessionExpired);
    }
}
