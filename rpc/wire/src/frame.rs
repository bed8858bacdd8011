//! The frames of `PROTOCOL.md`. They borrow from the bytes that they are decoded from.

use std::time::Duration;

use crate::layout::{Reader, Writer, flag, kind};
use crate::{CallId, Code, DecodeError, EncodeError, Hello, MetadataRef};

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
    /// A message of a stream.
    Message(Message<'a>),
    /// Ends the client's messages of this call; the server's go on.
    End(CallId),
    /// Permission to send more bytes of messages.
    Credit(Credit),
    /// Ends a call.
    Reply(Reply<'a>),
    /// Cancels a call; no reply follows.
    Cancel(CallId),
    /// A kind that this version does not know and skips.
    Unknown(u8),
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
    /// Names and values beside the argument. Version 1 has none.
    pub metadata: MetadataRef<'a>,
    /// True if the client's messages follow. The payload is empty then.
    pub more: bool,
    /// True if the client takes messages before the reply.
    pub stream: bool,
    /// The argument, in the connection's format.
    pub payload: &'a [u8],
}

/// A message of a stream, from either side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// The call.
    pub id: CallId,
    /// The message, in the connection's format.
    pub payload: &'a [u8],
}

/// Permission to send more bytes of messages: each message costs the length of its frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Credit {
    /// The call; `CallId(0)` for all calls of the connection together.
    pub id: CallId,
    /// Number of further bytes.
    pub bytes: u32,
}

/// The end of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply<'a> {
    /// The call succeeded.
    Ok {
        /// The call.
        id: CallId,
        /// Names and values beside the result. Version 1 has none.
        metadata: MetadataRef<'a>,
        /// The result, in the connection's format; empty after a stream of the server's messages.
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
        /// Particulars of the failure as JSON; empty for none. Version 1 has none.
        details: &'a str,
        /// Names and values beside the failure. Version 1 has none.
        metadata: MetadataRef<'a>,
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
                metadata: metadata(flags, &mut input)?,
                more: flags & flag::MORE != 0,
                stream: flags & flag::STREAM != 0,
                payload: input.rest(),
            }),
            kind::MESSAGE => Self::Message(Message { id: CallId(id), payload: input.rest() }),
            kind::REPLY => Self::Reply(Reply::decode(CallId(id), flags, input)?),
            kind::END => Self::End(CallId(id)),
            kind::CREDIT => Self::Credit(Credit { id: CallId(id), bytes: input.u32("credit")? }),
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
            Self::Request(request) => request.encode(out)?,
            Self::Message(Message { id, payload }) => {
                let mut writer = Writer::new(out, kind::MESSAGE, 0, id.0);
                writer.bytes(payload);
                writer
            }
            Self::Reply(reply) => reply.encode(out)?,
            Self::End(id) => Writer::new(out, kind::END, 0, id.0),
            Self::Credit(Credit { id, bytes }) => {
                let mut writer = Writer::new(out, kind::CREDIT, 0, id.0);
                writer.u32(bytes);
                writer
            }
            Self::Cancel(id) => Writer::new(out, kind::CANCEL, 0, id.0),
            Self::Unknown(kind) => Writer::new(out, kind, 0, 0),
        };
        writer.finish(max)
    }
}

impl Request<'_> {
    /// Makes a unary request without method, deadline, metadata and argument.
    #[must_use]
    pub fn new(id: CallId) -> Self {
        let metadata = MetadataRef::default();
        Self { id, method: "", time_left: None, metadata, more: false, stream: false, payload: &[] }
    }

    fn encode<'o>(&self, out: &'o mut Vec<u8>) -> Result<Writer<'o>, EncodeError> {
        let mut flags = if self.more { flag::MORE } else { 0 };
        flags |= if self.stream { flag::STREAM } else { 0 };
        flags |= metadata_flag(self.metadata);
        let mut writer = Writer::new(out, kind::REQUEST, flags, self.id.0);
        writer.u32(millis_left(self.time_left));
        writer.text("method", self.method)?;
        write_metadata(&mut writer, self.metadata)?;
        writer.bytes(self.payload);
        Ok(writer)
    }
}

impl<'a> Reply<'a> {
    /// Makes a successful reply without metadata.
    #[must_use]
    pub fn ok(id: CallId, payload: &'a [u8]) -> Self {
        Self::Ok { id, metadata: MetadataRef::default(), payload }
    }

    /// Makes a failed reply without details and metadata.
    #[must_use]
    pub fn failed(id: CallId, code: Code, message: &'a str) -> Self {
        Self::Failed { id, code, message, details: "", metadata: MetadataRef::default(), not_run: false }
    }

    fn decode(id: CallId, flags: u8, mut input: Reader<'a>) -> Result<Self, DecodeError> {
        let code = Code(input.u8("reply code")?);
        let metadata = metadata(flags, &mut input)?;
        if code == Code::OK {
            return Ok(Self::Ok { id, metadata, payload: input.rest() });
        }
        let details = if flags & flag::DETAILS != 0 { input.long_text("details")? } else { "" };
        let not_run = flags & flag::NOT_RUN != 0;
        Ok(Self::Failed {
            id,
            code,
            message: input.rest_as_text("reply message")?,
            details,
            metadata,
            not_run,
        })
    }

    fn encode<'o>(&self, out: &'o mut Vec<u8>) -> Result<Writer<'o>, EncodeError> {
        match *self {
            Self::Ok { id, metadata, payload } => {
                let mut writer = Writer::new(out, kind::REPLY, metadata_flag(metadata), id.0);
                writer.u8(Code::OK.0);
                write_metadata(&mut writer, metadata)?;
                writer.bytes(payload);
                Ok(writer)
            }
            Self::Failed { id, code, message, details, metadata, not_run } => {
                let mut flags = if not_run { flag::NOT_RUN } else { 0 };
                flags |= if details.is_empty() { 0 } else { flag::DETAILS };
                flags |= metadata_flag(metadata);
                let mut writer = Writer::new(out, kind::REPLY, flags, id.0);
                // Code 0 would make the receiver read the failure as a success.
                writer.u8(if code == Code::OK { Code::UNKNOWN } else { code }.0);
                write_metadata(&mut writer, metadata)?;
                if !details.is_empty() {
                    writer.long_text("details", details)?;
                }
                writer.bytes(message.as_bytes());
                Ok(writer)
            }
        }
    }
}

fn metadata<'a>(flags: u8, input: &mut Reader<'a>) -> Result<MetadataRef<'a>, DecodeError> {
    if flags & flag::METADATA == 0 {
        return Ok(MetadataRef::default());
    }
    MetadataRef::decode(input.long("metadata")?)
}

fn metadata_flag(metadata: MetadataRef<'_>) -> u8 {
    if metadata.is_empty() { 0 } else { flag::METADATA }
}

fn write_metadata(writer: &mut Writer<'_>, metadata: MetadataRef<'_>) -> Result<(), EncodeError> {
    if metadata.is_empty() { Ok(()) } else { writer.long("metadata", metadata.as_bytes()) }
}

fn time_left(millis: u32) -> Option<Duration> {
    (millis != NO_DEADLINE).then(|| Duration::from_millis(u64::from(millis)))
}

/// Rounds up, so that a part of a millisecond does not become a deadline in the past.
fn millis_left(time_left: Option<Duration>) -> u32 {
    let Some(left) = time_left else { return NO_DEADLINE };
    u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(NO_DEADLINE).min(NO_DEADLINE - 1)
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
