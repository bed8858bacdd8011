//! State of a server (core, clock, connections, journal): inputs go to the core, and its outputs are performed.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::Level;
use zk_wire::Millis;

use crate::core::{AuditRecord, ConnId, Core, Frame, Input, Note, Output, Refusal};
use crate::log::is_wanted;
use crate::shell::clock::Clock;
use crate::shell::connections::Connections;
use crate::shell::journal::Journal;
use crate::shell::listens::Listens;
use crate::shell::turn::Turn;
use crate::shell::turn_log::{Line, TurnLog};
use crate::storage::StorageError;

/// Function that takes audit records, in order. It is called while the state is locked.
#[derive(Clone)]
pub(crate) struct AuditSink(pub(crate) Arc<WriteAudit>);

type WriteAudit = dyn Fn(&AuditRecord) + Send + Sync;

impl fmt::Debug for AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSink")
    }
}

/// The state behind the mutex of an engine.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) core: Core,
    pub(crate) clock: Clock,
    pub(crate) connections: Connections,
    /// Outputs that wait for the disk, if there is a data directory.
    pub(crate) journal: Option<Journal>,
    /// The mask that `stmk` sets and `gtmk` shows. It has no other effect.
    pub(crate) trace_mask: i64,
    /// Deadline that the timer sleeps for.
    pub(crate) armed: Option<Millis>,
    /// Function that takes audit records.
    pub(crate) audit: Option<AuditSink>,
    /// Lines to log after the turn.
    pub(crate) log: TurnLog,
    pub(crate) stopped: bool,
    /// Reason why the disk cannot be written; `None` while it works.
    pub(crate) disk_failure: Option<Arc<str>>,
    /// Asks the keeper to lose what is not durable.
    pub(crate) losing: Option<oneshot::Sender<Result<(), StorageError>>>,
}

impl ServerState {
    /// Returns the next time at which something is due without any input.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        let deadlines =
            [self.core.poll_deadline(), self.connections.next_deadline(), self.log.poll_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.poll_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Does one step of due work.
    pub(crate) fn time_passes(&mut self, turn: &mut Turn<'_>) {
        for conn in self.connections.close_sessionless(|conn| self.core.has_session(conn), turn) {
            let remote = self.connections.remote(conn);
            self.log.push(turn.now.mono, Line::Sessionless(remote, conn));
        }
        self.log.time_passes(turn.now.mono);
        self.handle(Input::Timeout, turn);
    }

    /// Hands an input to the core and performs all of its outputs. Returns their number.
    pub(crate) fn handle(&mut self, input: Input, turn: &mut Turn<'_>) -> usize {
        self.core.handle(turn.now, input);
        self.perform_all(None, turn)
    }

    /// Hands a frame to the core and performs all of its outputs. Returns their number.
    pub(crate) fn handle_frame(&mut self, conn: ConnId, frame: &[u8], turn: &mut Turn<'_>) -> usize {
        self.core.handle_frame(turn.now, conn, frame);
        self.perform_all(Some((conn, frame.len())), turn)
    }

    /// Performs all outputs of the core, or holds them back. Returns their number. A `request` that caused them is charged
    /// to its connection while they wait for the disk.
    pub(crate) fn perform_all(&mut self, request: Option<(ConnId, usize)>, turn: &mut Turn<'_>) -> usize {
        self.core.replicate(turn.now);
        let (mut outputs, mut held) = (0, false);
        loop {
            if self.journal.as_ref().is_none_or(Journal::lets_pass)
                && let Some((conn, frame)) = self.core.poll_frame()
            {
                send(&mut self.connections, &mut self.log, conn, &frame, turn);
            } else if let Some(output) = self.core.poll_output() {
                match self.hold(output) {
                    Some(output) => self.perform(output, turn),
                    None => held = true,
                }
            } else {
                break;
            }
            outputs += 1;
        }
        if held
            && let Some(journal) = &mut self.journal
            && let Some((conn, bytes)) = request
        {
            let charged = journal.charge(conn, bytes, turn.limits);
            self.connections.charge(conn, charged);
        }
        outputs
    }

    /// Holds an output back if it must wait for the disk; otherwise returns it.
    fn hold(&mut self, output: Output) -> Option<Output> {
        // Without a journal everything lives in memory: a transaction is as durable as the server.
        let Some(journal) = &mut self.journal else { return Some(output) };
        let waits = match &output {
            Output::Send { conn, frame } => Some((*conn, frame.len())),
            // They tell no peer anything, and a slow disk must not let input pile up.
            Output::Pause { .. } | Output::Resume { .. } => return Some(output),
            Output::Persist(_)
            | Output::Expired { .. }
            | Output::Note(_)
            | Output::Audit(_)
            | Output::Listen { .. }
            | Output::Close { .. } => None,
        };
        let output = journal.hold(output);
        if output.is_none()
            && let Some((conn, bytes)) = waits
        {
            self.connections.charge(conn, bytes);
        }
        output
    }

    /// Performs an output, after those before it. Every effect of the core on a connection passes here.
    pub(crate) fn perform(&mut self, output: Output, turn: &mut Turn<'_>) {
        match output {
            // It is on disk, or the server lives in memory.
            Output::Persist(_) => {}
            Output::Expired { session } => {
                let server = self.core.leading_server().unwrap_or_default();
                self.connections.stats_of(server).sessions_expired += 1;
                self.log.push(turn.now.mono, Line::Expired(session));
            }
            Output::Listen { server, addr, is_new } => turn.listens.push(Listens { server, addr, is_new }),
            Output::Audit(record) => {
                if let Some(AuditSink(write)) = &self.audit {
                    write(&record);
                }
            }
            Output::Note(note) => {
                if let Note::Refused { reason: Refusal::Throttled, .. } = note {
                    self.connections.stats_of_conn(note.conn()).rejected += 1;
                }
                let remote = self.connections.remote(note.conn());
                self.log.push(turn.now.mono, Line::Note(remote, note));
            }
            Output::Send { conn, frame } => {
                send(&mut self.connections, &mut self.log, conn, &Frame::Shared(frame), turn);
            }
            Output::Pause { conn } => self.connections.pause(conn),
            Output::Resume { conn } => self.connections.resume(conn, turn),
            Output::Close { conn } => self.connections.close_by_core(conn, turn),
        }
    }
}

/// Queues a frame for its connection.
fn send(
    connections: &mut Connections,
    log: &mut TurnLog,
    conn: ConnId,
    frame: &Frame<'_>,
    turn: &mut Turn<'_>,
) {
    // Only a subscriber of the level trace pays for the look-up.
    if is_wanted(Level::TRACE) {
        log.sent(conn, frame, connections.is_new(conn));
    }
    if !connections.send(conn, frame, turn) {
        let line =
            Line::DoesNotRead { remote: connections.remote(conn), conn, limit: turn.limits.max_backlog };
        log.push(turn.now.mono, line);
    }
}
