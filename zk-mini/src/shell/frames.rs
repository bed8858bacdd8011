//! Frames that a connection has sent, handled in turns of the engine; and connections that send something else.

use bytes::{Buf, BytesMut};
use zk_wire::{DecodeError, Millis, first_frame};

use crate::report::stats::FrameBatch;
use crate::shell::clock::TimeSlice;
use crate::shell::engine::{ConnectionGuard, Engine};
use crate::shell::outbox::Close;
use crate::shell::remote::Remote;
use crate::shell::turn_log::Line;

/// Bytes of a frame's length field.
const LENGTH: usize = 4;

/// Number of bytes that take about as long to write as an output takes to perform.
const BYTES_OF_AN_OUTPUT: usize = 64;

/// Progress with the input of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handled {
    /// The rest of the input is not a whole frame.
    All,
    /// There may be more frames: the queued replies must be written first, or the connection is paused.
    UntilBacklog,
    /// There are more frames, but other connections are due first.
    UntilNextTurn,
}

impl Engine {
    /// Handles the whole frames at the front of `input` in one turn. Stops earlier, as the result tells, if the peer must
    /// read its replies first, or if other connections are due.
    pub(crate) fn handle_frames(
        &self,
        guard: &ConnectionGuard,
        input: &mut BytesMut,
    ) -> Result<Handled, DecodeError> {
        let max_frame = self.limits.max_frame;
        let Some(mut frame) = first_frame(input, max_frame)? else { return Ok(Handled::All) };
        // Frames stay in the input until the end of the turn: to take each out would cost as much as to look up its node.
        let mut taken = 0;
        let handled = self.turn(|state, turn| {
            let mut slice = TimeSlice::begin(turn.limits.time_slice, state.clock.repeats(), turn.began);
            let mut batch = FrameBatch::default();
            let mut is_handshake = state.connections.is_new(guard.id);
            let mut unwritten = 0;
            let handled = loop {
                state.log.received(guard.id, frame, is_handshake);
                let before = state.core.last_zxid();
                batch.add(frame, std::mem::take(&mut is_handshake).then_some(before));
                let len = frame.len();
                taken += LENGTH + len;
                let outputs = state.handle_frame(guard.id, frame, turn);
                batch.updates += u64::from(state.core.last_zxid() != before);
                let (backlog, close) = guard.outbox.status();
                if close != Close::No {
                    break Ok(Handled::All);
                }
                if backlog >= turn.limits.pause_reading() {
                    break Ok(Handled::UntilBacklog);
                }
                let written = backlog.saturating_sub(std::mem::replace(&mut unwritten, backlog));
                if slice.is_over(len + written + outputs * BYTES_OF_AN_OUTPUT) {
                    break Ok(Handled::UntilNextTurn);
                }
                match first_frame(&input[taken..], max_frame) {
                    Ok(Some(next)) => frame = next,
                    Ok(None) => break Ok(Handled::All),
                    Err(error) => break Err(error),
                }
            };
            let (then, zxid) = (Millis::from(state.clock.mono()), state.core.last_zxid());
            state.connections.handled(guard.id, &batch, then, then.0.saturating_sub(turn.now.mono.0), zxid);
            handled
        });
        input.advance(taken);
        handled
    }

    /// Closes a connection whose peer sends bytes that are not a frame.
    pub(crate) fn refuse_input(&self, guard: &ConnectionGuard, error: DecodeError) {
        self.turn(|state, turn| {
            let remote = state.connections.remote(guard.id);
            let had_session = !state.connections.is_new(guard.id);
            let line = Line::NoFrame { remote, conn: guard.id, had_session, error };
            state.log.push(turn.now.mono, line);
            guard.outbox.close(Close::Flushed, turn);
        });
    }

    /// Logs a connection without TLS at an address that is for TLS only; the caller closes it.
    pub(crate) fn refuse_plain(&self, guard: &ConnectionGuard) {
        let why = "this address is for TLS only, and the client does not speak it".to_owned();
        let line = Line::NoTls { remote: Remote(guard.remote), conn: guard.id, why };
        self.turn(|state, turn| state.log.push(turn.now.mono, line));
    }
}
