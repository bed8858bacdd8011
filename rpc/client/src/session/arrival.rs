//! Bytes that have arrived, cut into inputs.

use bytes::{Buf, Bytes, BytesMut};
use rpc_wire::{DecodeError, MessageRun, split_frame, split_messages};

use super::message::Input;

/// Length of the prefix of a frame.
const PREFIX: usize = 4;

/// Number of bytes from which on messages are taken in several steps, because callers on other threads need the session, too.
const MESSAGES_AT_ONCE: usize = 64 << 10;

/// Takes the first frame off `input`, or all messages of one call that are in front; `None` while there is no whole frame.
///
/// # Errors
/// The frame is longer than `max`.
pub fn next_input(input: &mut BytesMut, max: usize) -> Result<Option<Input>, DecodeError> {
    if let Some((MessageRun { id, frames, last, .. }, _)) = split_messages(input, max, MESSAGES_AT_ONCE) {
        let len = frames.len();
        return Ok(Some(Input::Messages { id, frames: input.split_to(len).freeze(), last }));
    }
    Ok(next_frame(input, max)?.map(Input::Frame))
}

/// Takes the body of the first frame off `input`; `None` while it is incomplete.
///
/// # Errors
/// The frame is longer than `max`.
pub fn next_frame(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, DecodeError> {
    let Some((body, _)) = split_frame(input, max)? else { return Ok(None) };
    let len = PREFIX + body.len();
    let mut frame = input.split_to(len).freeze();
    frame.advance(PREFIX);
    Ok(Some(frame))
}
