//! Replies of failed calls.

use common::{Millis, beginning};
use rpc_wire::{
    CallId, Code, DecodeError, EncodeError, Format, Frame, HEADER_LEN, Metadata, MetadataRef, Reply, Status,
};

use super::methods::MethodKind;

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
    pub max_reply: usize,
    /// Maximum length of a message frame's body.
    pub max_message: usize,
    /// Time at which the session answers in place of the handler and aborts it.
    pub deadline: Option<Millis>,
}

impl CallHead {
    /// Appends the reply of a call that failed.
    pub fn fail(&self, status: &Status, out: &mut Vec<u8>) {
        self.write_failed(status, false, out);
    }

    /// Appends the reply of a call that failed, and returns its code.
    pub(crate) fn fail_with(&self, status: &Status, out: &mut Vec<u8>) -> Code {
        self.fail(status, out);
        status.code
    }

    /// Appends the reply of a call of which no part ran. A client of version 1 is told so only where that version says it.
    pub fn refuse(&self, status: &Status, out: &mut Vec<u8>) {
        let is_told = self.version > 1 || matches!(status.code, Code::RESOURCE_EXHAUSTED | Code::UNAVAILABLE);
        self.write_failed(status, is_told, out);
    }

    /// Appends the reply of a stream that a client of version 1 wants to open.
    pub(super) fn refuse_stream(&self, out: &mut Vec<u8>) {
        self.write_failed(&Status::unimplemented("streams are not part of version 1"), true, out);
    }

    /// Appends the reply of a failed call. What the client's limit has no room for is left out: first the details, then the
    /// metadata and the end of the message.
    fn write_failed(&self, status: &Status, not_run: bool, out: &mut Vec<u8>) {
        let Status { code, message, details, metadata } = status;
        let details = details.as_deref().filter(|_| self.has_metadata()).unwrap_or_default();
        let metadata = metadata.as_deref().filter(|_| self.has_metadata());
        let (metadata, none) = (metadata.map(Metadata::as_ref).unwrap_or_default(), MetadataRef::default());
        let cut = beginning(message, self.max_reply.saturating_sub(FAILED_LEN));
        for (details, metadata, message) in
            [(details, metadata, &**message), ("", metadata, message), ("", none, cut)]
        {
            let reply = Reply::Failed { id: self.id, code: *code, message, details, metadata, not_run };
            // The smallest limit that a hello may name has room for the last one.
            if Frame::Reply(reply).encode(out, self.max_reply).is_ok() {
                return;
            }
        }
    }

    /// Returns true if the client takes metadata and details of a status.
    pub(crate) fn has_metadata(&self) -> bool {
        self.version >= 2
    }

    /// Appends the reply of a call whose result, or message, is too long, and returns its code.
    pub(crate) fn fail_too_long(&self, what: &str, error: &EncodeError, out: &mut Vec<u8>) -> Code {
        self.fail_with(&Status::resource_exhausted(format!("the {what} is too long: {error}")), out)
    }

    /// Appends the reply of a call whose result found no room.
    pub(crate) fn fail_unread(&self, out: &mut Vec<u8>) {
        let why = "the call ran, but its client does not read the replies that there are";
        self.fail(&Status::resource_exhausted(why), out);
    }
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

pub(super) fn other_kind(method: &str, kind: MethodKind, asked: MethodKind) -> Status {
    let (kind, asked) = (kind.name(), asked.name());
    Status::unimplemented(format!("{method} is a {kind} method; it was called as a {asked} method"))
}

pub(super) fn surplus() -> Status {
    Status::invalid_argument("a message for a call that takes no more messages")
}

/// Reasons of a drain.
pub(super) const SHUTTING_DOWN: &str = "the server is shutting down";
pub(super) const TOO_OLD: &str = "the connection has reached its age; connect again";

pub(crate) fn panicked() -> Status {
    Status::internal("the handler panicked; the server's standard error has the details")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpc_wire::split_frame;

    use super::*;

    fn head(version: u16, max: usize) -> CallHead {
        let (id, format) = (CallId(1), Format::JSON);
        CallHead { id, version, format, max_reply: max, max_message: max, deadline: None }
    }

    fn written(status: &Status, version: u16) -> (String, String) {
        let head = head(version, 1_024);
        let mut out = Vec::new();
        head.fail(status, &mut out);
        let (body, _) = split_frame(&out, 1_024).unwrap().unwrap();
        let Frame::Reply(Reply::Failed { message, details, .. }) = Frame::decode(body).unwrap() else {
            panic!("a failure")
        };
        (message.to_owned(), details.to_owned())
    }

    #[test]
    fn metadata_of_a_failure_go_to_clients_that_take_them() {
        let status =
            Status::unavailable("m").with_metadata("queue", "7").with_retry_after(Duration::from_secs(1));
        let failed = |version, max_frame| {
            let head = head(version, max_frame);
            let mut out = Vec::new();
            head.fail(&status.clone().with_details(&"d".repeat(900)), &mut out);
            let (body, _) = split_frame(&out, max_frame).unwrap().unwrap();
            let Frame::Reply(Reply::Failed { metadata, .. }) = Frame::decode(body).unwrap() else {
                panic!("a failure")
            };
            metadata.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(failed(2, 2_000), ["queue", "rpc.retry-after-ms"]);
        assert_eq!(failed(2, 900), ["queue", "rpc.retry-after-ms"], "details go first");
        assert!(failed(1, 2_000).is_empty());
    }

    #[test]
    fn a_message_over_the_limit_of_the_client_is_cut_not_lost() {
        let status = Status::not_found("ü".repeat(10_000));
        assert_eq!(written(&status, 2).0, "ü".repeat((1_024 - FAILED_LEN) / 2));
    }

    #[test]
    fn details_without_room_are_left_out_before_the_message_is_cut_and_version_1_has_none() {
        let details = |len| Status::not_found("m".repeat(500)).with_details(&"d".repeat(len));
        let message = "m".repeat(500);
        assert_eq!(written(&details(5), 2), (message.clone(), r#""ddddd""#.into()));
        assert_eq!(written(&details(600), 2), (message.clone(), String::new()));
        assert_eq!(written(&details(5), 1), (message, String::new()));
    }
}
