//! Replies of failed calls.

use common::Millis;
use rpc_wire::{CallId, DecodeError, EncodeError, Format, Frame, HEADER_LEN, MetadataRef, Reply, Status};

/// Length of the body of a failed reply without its message.
const FAILED_LEN: usize = HEADER_LEN - 4 + 1;

/// Properties of a call that its reply needs.
#[derive(Clone, Copy, Debug)]
pub struct CallHead {
    /// Number of the call.
    pub id: CallId,
    /// Version of the protocol that the client speaks.
    pub version: u16,
    /// Payload format of the session.
    pub format: Format,
    /// Maximum length of the reply frame's body.
    pub max_frame: usize,
    /// Time at which the session answers in place of the handler and aborts it.
    pub deadline: Option<Millis>,
}

impl CallHead {
    /// Appends the reply of a call that failed.
    pub fn fail(&self, status: &Status, out: &mut Vec<u8>) {
        if self.has_metadata()
            && let Some(details) = &status.details
            && write_detailed(out, self.id, status, details, self.max_frame).is_ok()
        {
            return;
        }
        write_failed(out, self.id, status, false, self.max_frame);
    }

    /// Returns true if the client takes metadata and details of a status.
    pub(crate) fn has_metadata(&self) -> bool {
        self.version >= 2
    }

    /// Appends the reply of a call whose result is too long.
    pub(crate) fn fail_too_long(&self, error: &EncodeError, out: &mut Vec<u8>) {
        self.fail(&Status::resource_exhausted(format!("the reply is too long: {error}")), out);
    }

    /// Appends the reply of a call whose result found no room.
    pub(crate) fn fail_unread(&self, out: &mut Vec<u8>) {
        let why = "the call ran, but its client does not read the replies that there are";
        self.fail(&Status::resource_exhausted(why), out);
    }
}

/// Appends the reply of a failed call. The message is cut to the client's limit.
pub(super) fn write_failed(out: &mut Vec<u8>, id: CallId, status: &Status, not_run: bool, max_frame: usize) {
    let (code, details, metadata) = (status.code, "", MetadataRef::default());
    let reply = |message| Frame::Reply(Reply::Failed { id, code, message, details, metadata, not_run });
    // The smallest limit that a hello may name has room for the other fields.
    let _ = reply(cut(&status.message, max_frame.saturating_sub(FAILED_LEN))).encode(out, max_frame);
}

/// Appends the reply of a failed call with its details, if all of it is within the client's limit.
fn write_detailed(
    out: &mut Vec<u8>,
    id: CallId,
    status: &Status,
    details: &str,
    max_frame: usize,
) -> Result<(), EncodeError> {
    let (code, message, metadata) = (status.code, status.message.as_str(), MetadataRef::default());
    let reply = Reply::Failed { id, code, message, details, metadata, not_run: false };
    Frame::Reply(reply).encode(out, max_frame)
}

/// Returns the first characters of a text, up to `max` bytes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(super) fn broken(error: &DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn too_late() -> Status {
    Status::deadline_exceeded("the time for the call was over before it ended")
}

pub(super) fn no_time(left: Millis) -> Status {
    Status::resource_exhausted(format!(
        "only {left} of the call's time remain, and this method usually needs longer"
    ))
}

pub(super) fn leaving() -> Status {
    Status::unavailable("the server is shutting down")
}

pub(crate) fn panicked() -> Status {
    Status::internal("the handler panicked; the server's standard error has the details")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_wire::split_frame;

    #[test]
    fn a_message_over_the_limit_of_the_client_is_cut_not_lost() {
        let mut out = Vec::new();
        let status = Status::not_found("ü".repeat(10_000));
        write_failed(&mut out, CallId(1), &status, false, 1_024);
        let (body, _) = split_frame(&out, 1_024).unwrap().unwrap();
        let Frame::Reply(Reply::Failed { message, .. }) = Frame::decode(body).unwrap() else {
            panic!("a failure")
        };
        assert_eq!(message, "ü".repeat((1_024 - FAILED_LEN) / 2));
    }
}
