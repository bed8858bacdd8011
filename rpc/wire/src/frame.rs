//! The frames of `PROTOCOL.md`. They borrow from the bytes that they are decoded from.

use std::time::Duration;

use crate::layout::{MAGIC, Reader, Writer, flag, kind};
use crate::{CallId, Code, DecodeError, EncodeError, Format};

/// Time left, on the wire, of a call without a deadline.
const NO_DEADLINE: u32 = u32::MAX;

/// A frame of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// The first frame in each direction.
    Hello(Hello<'a>),
    /// The sender takes no new calls on this connection and will close it.
    GoAway(GoAway<'a>),
    /// Requests a [`Frame::Pong`] with the same number.
    Ping(u64),
    /// Answers a [`Frame::Ping`].
    Pong(u64),
    /// Opens a call.
    Request(Request<'a>),
    /// A further message of a streaming call. Reserved: version 1 does not send it.
    Message(Message<'a>),
    /// Ends a call.
    Reply(Reply<'a>),
    /// Cancels a call; no reply follows.
    Cancel(CallId),
    /// A kind that this version does not know and skips.
    Unknown(u8),
}

/// Identity and abilities of the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello<'a> {
    /// From the client: its newest version. From the server: the version that both use.
    pub version: u16,
    /// Payload format of the connection. The client chooses it, and the server repeats it.
    pub format: Format,
    /// The largest frame body that the sender of this hello accepts.
    pub max_frame: u32,
    /// From the client: the service that it wants, or empty for any. From the server: the service that it offers.
    pub service: &'a str,
    /// From the client: a name for logs, which may be empty. From the server: the identity of its process, the same as in
    /// the registry.
    pub instance: &'a str,
}

/// End of a connection: no new calls are taken on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoAway<'a> {
    /// The last call that was taken. Calls with a higher id were not run and never will be.
    pub last: CallId,
    /// [`Code::UNAVAILABLE`] if the server shuts down; any other code refuses the connection.
    pub code: Code,
    /// Reason, for a human.
    pub message: &'a str,
}

/// The opening of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// The call.
    pub id: CallId,
    /// Name of the method, at most 255 bytes.
    pub method: &'a str,
    /// Time for which the caller waits, from the arrival of the frame; `None` for no deadline.
    pub time_left: Option<Duration>,
    /// True if further messages follow. Servers of version 1 refuse that.
    pub more: bool,
    /// The argument, in the connection's format.
    pub payload: &'a [u8],
}

/// A further message of a streaming call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// The call.
    pub id: CallId,
    /// True if further messages follow in this direction.
    pub more: bool,
    /// The message, in the connection's format.
    pub payload: &'a [u8],
}

/// The end of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply<'a> {
    /// The call succeeded.
    Ok {
        /// The call.
        id: CallId,
        /// The result, in the connection's format.
        payload: &'a [u8],
    },
    /// The call failed.
    Failed {
        /// The call.
        id: CallId,
        /// Reason, for the program. [`Code::OK`] is written as [`Code::UNKNOWN`].
        code: Code,
        /// Reason, for a human.
        message: &'a str,
        /// True if no part of the call ran, so that it may be sent to another server.
        not_run: bool,
    },
}

impl<'a> Frame<'a> {
    /// Decodes the body of one frame, as [`split_frame`](crate::split_frame) returns it.
    ///
    /// # Errors
    /// The body is not a frame of this protocol.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, flags, id, mut input) = Reader::new(body)?;
        let more = flags & flag::MORE != 0;
        Ok(match kind {
            kind::HELLO => Self::Hello(Hello::decode(input)?),
            kind::GOAWAY => Self::GoAway(GoAway {
                last: CallId(id),
                code: Code(input.u8("go-away code")?),
                message: input.rest_as_text("go-away message")?,
            }),
            kind::PING => Self::Ping(id),
            kind::PONG => Self::Pong(id),
            kind::REQUEST => Self::Request(Request {
                id: CallId(id),
                time_left: time_left(input.u32("time left")?),
                method: input.text("method")?,
                more,
                payload: input.rest(),
            }),
            kind::MESSAGE => Self::Message(Message { id: CallId(id), more, payload: input.rest() }),
            kind::REPLY => Self::Reply(match Code(input.u8("reply code")?) {
                Code::OK => Reply::Ok { id: CallId(id), payload: input.rest() },
                code => Reply::Failed {
                    id: CallId(id),
                    code,
                    message: input.rest_as_text("reply message")?,
                    not_run: flags & flag::NOT_RUN != 0,
                },
            }),
            kind::CANCEL => Self::Cancel(CallId(id)),
            kind if kind >= kind::FIRST_SKIPPABLE => Self::Unknown(kind),
            kind => return Err(DecodeError::UnknownKind(kind)),
        })
    }

    /// Appends the frame with its length prefix to `out`. After an error `out` is unchanged.
    ///
    /// # Errors
    /// The body is longer than `max`, the receiver's limit, or a text field is longer than 255 bytes.
    pub fn encode(&self, out: &mut Vec<u8>, max: usize) -> Result<(), EncodeError> {
        let writer = match *self {
            Self::Hello(hello) => hello.encode(out)?,
            Self::GoAway(GoAway { last, code, message }) => {
                let mut writer = Writer::new(out, kind::GOAWAY, 0, last.0);
                writer.u8(code.0);
                writer.bytes(message.as_bytes());
                writer
            }
            Self::Ping(number) => Writer::new(out, kind::PING, 0, number),
            Self::Pong(number) => Writer::new(out, kind::PONG, 0, number),
            Self::Request(request) => {
                let mut writer = Writer::new(out, kind::REQUEST, more_flag(request.more), request.id.0);
                writer.u32(millis_left(request.time_left));
                writer.text("method", request.method)?;
                writer.bytes(request.payload);
                writer
            }
            Self::Message(Message { id, more, payload }) => {
                let mut writer = Writer::new(out, kind::MESSAGE, more_flag(more), id.0);
                writer.bytes(payload);
                writer
            }
            Self::Reply(Reply::Ok { id, payload }) => {
                let mut writer = Writer::new(out, kind::REPLY, 0, id.0);
                writer.u8(Code::OK.0);
                writer.bytes(payload);
                writer
            }
            Self::Reply(Reply::Failed { id, code, message, not_run }) => {
                let flags = if not_run { flag::NOT_RUN } else { 0 };
                let mut writer = Writer::new(out, kind::REPLY, flags, id.0);
                // Code 0 would make the receiver read the failure as a success.
                writer.u8(if code == Code::OK { Code::UNKNOWN } else { code }.0);
                writer.bytes(message.as_bytes());
                writer
            }
            Self::Cancel(id) => Writer::new(out, kind::CANCEL, 0, id.0),
            Self::Unknown(kind) => Writer::new(out, kind, 0, 0),
        };
        writer.finish(max)
    }
}

impl<'a> Hello<'a> {
    fn decode(mut input: Reader<'a>) -> Result<Self, DecodeError> {
        if input.array("magic")? != MAGIC {
            return Err(DecodeError::BadMagic);
        }
        // Bytes after the known fields come from a newer version and are skipped.
        Ok(Self {
            version: input.u16("version")?,
            format: Format(input.u8("format")?),
            max_frame: input.u32("max frame")?,
            service: input.text("service")?,
            instance: input.text("instance")?,
        })
    }

    fn encode<'o>(&self, out: &'o mut Vec<u8>) -> Result<Writer<'o>, EncodeError> {
        let mut writer = Writer::new(out, kind::HELLO, 0, 0);
        writer.bytes(&MAGIC);
        writer.u16(self.version);
        writer.u8(self.format.0);
        writer.u32(self.max_frame);
        writer.text("service", self.service)?;
        writer.text("instance", self.instance)?;
        Ok(writer)
    }
}

fn time_left(millis: u32) -> Option<Duration> {
    (millis != NO_DEADLINE).then(|| Duration::from_millis(u64::from(millis)))
}

/// Rounds up, so that a part of a millisecond does not become a deadline in the past.
fn millis_left(time_left: Option<Duration>) -> u32 {
    let Some(left) = time_left else { return NO_DEADLINE };
    u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(NO_DEADLINE).min(NO_DEADLINE - 1)
}

fn more_flag(more: bool) -> u8 {
    if more { flag::MORE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_is_rounded_up() {
        assert_eq!(millis_left(Some(Duration::from_micros(1))), 1);
        assert_eq!(millis_left(Some(Duration::ZERO)), 0);
        assert_eq!(millis_left(None), u32::MAX);
    }

    #[test]
    fn a_deadline_in_many_years_differs_from_none() {
        assert_eq!(millis_left(Some(Duration::MAX)), u32::MAX - 1);
    }
}
