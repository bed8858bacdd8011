//! The frames of `PROTOCOL.md`, borrowed from the bytes that they were decoded from.

use std::fmt;
use std::time::Duration;

use crate::layout::{MAGIC, Reader, Writer, flag, kind};
use crate::{Code, DecodeError, EncodeError, Format};

/// The number of a call on its connection: chosen by the client, strictly increasing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// The first frame in each direction.
    Hello(Hello<'a>),
    /// The sender takes no new calls on this connection and will close it.
    GoAway(GoAway<'a>),
    /// Asks for a [`Frame::Pong`] with the same number.
    Ping(u64),
    /// Answers a [`Frame::Ping`].
    Pong(u64),
    /// Opens a call; for a unary call it is all that the client sends.
    Request(Request<'a>),
    /// A further message of a call that streams; reserved, no side of version 1 sends it.
    Message(Message<'a>),
    /// Ends a call.
    Reply(Reply<'a>),
    /// The client is not interested in the call any more; no reply follows.
    Cancel(CallId),
    /// A kind that this version does not know and may skip.
    Unknown(u8),
}

/// Who is there and what it speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello<'a> {
    /// The client's newest version; the server answers with the one that both will use.
    pub version: u16,
    /// The payload format of the connection: the client chooses, the server repeats it.
    pub format: Format,
    /// The largest frame body that the sender of this hello accepts.
    pub max_frame: u32,
    /// The client: the service it wants, or empty for any. The server: the service it is.
    pub service: &'a str,
    /// The server: the identity of this very process, as it is in the registry. The client: a name for
    /// logs, may be empty.
    pub instance: &'a str,
}

/// No new calls on this connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoAway<'a> {
    /// Calls with a higher id were not run and never will be.
    pub last: CallId,
    /// [`Code::UNAVAILABLE`] for a drain; anything else is a refusal of the connection.
    pub code: Code,
    /// Why, for a human.
    pub message: &'a str,
}

/// A call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// Its number.
    pub id: CallId,
    /// The name of the method; at most 255 bytes.
    pub method: &'a str,
    /// How long the caller will wait, from now; hosts share no clock.
    pub time_left: Option<Duration>,
    /// Whether further messages follow, which no server of version 1 takes.
    pub more: bool,
    /// The argument, in the connection's format.
    pub payload: &'a [u8],
}

/// A further message of a streaming call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// The call.
    pub id: CallId,
    /// Whether further messages follow in this direction.
    pub more: bool,
    /// The message, in the connection's format.
    pub payload: &'a [u8],
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply<'a> {
    /// It succeeded.
    Ok {
        /// The call.
        id: CallId,
        /// The result, in the connection's format.
        payload: &'a [u8],
    },
    /// It failed.
    Failed {
        /// The call.
        id: CallId,
        /// The reason, for a program; [`Code::OK`] is written as [`Code::UNKNOWN`].
        code: Code,
        /// Why, for a human.
        message: &'a str,
        /// Whether it was refused before any of it ran: safe to send elsewhere.
        not_run: bool,
    },
}

impl<'a> Frame<'a> {
    /// Reads the body of one frame, as [`crate::split_frame`] gives it.
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

    /// Appends the frame with its length prefix to `out`; `max` is the limit that the receiver named. After
    /// an error `out` is as it was.
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
                // A failure that calls itself a success must not be read as one.
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
        // What follows the known fields is a newer version's and is skipped.
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

/// On the wire: milliseconds, all ones for "no deadline".
const NO_DEADLINE: u32 = u32::MAX;

fn time_left(millis: u32) -> Option<Duration> {
    (millis != NO_DEADLINE).then(|| Duration::from_millis(u64::from(millis)))
}

/// Rounded up, so that what is left of a millisecond does not become a deadline in the past.
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
    fn a_part_of_a_millisecond_is_not_lost() {
        assert_eq!(millis_left(Some(Duration::from_micros(1))), 1);
        assert_eq!(millis_left(Some(Duration::ZERO)), 0);
        assert_eq!(millis_left(None), u32::MAX);
    }

    #[test]
    fn a_deadline_of_many_years_is_not_taken_for_none() {
        assert_eq!(millis_left(Some(Duration::MAX)), u32::MAX - 1);
    }
}
