//! The layout of frames: the common header, checked reading, and writing with the length filled in at the end.

use crate::{CallId, Code, DecodeError, EncodeError};

/// Number of bytes before the fields of a frame: length, kind, flags, id.
pub const HEADER_LEN: usize = 14;

/// The first field of a hello.
pub const MAGIC: [u8; 4] = *b"\x7fRPC";

/// Number of bytes of kind, flags and id, which the length counts.
const BODY_HEADER_LEN: usize = HEADER_LEN - 4;

pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0x01;
    pub(crate) const GOAWAY: u8 = 0x02;
    pub(crate) const PING: u8 = 0x03;
    pub(crate) const PONG: u8 = 0x04;
    pub(crate) const REQUEST: u8 = 0x10;
    pub(crate) const MESSAGE: u8 = 0x11;
    pub(crate) const REPLY: u8 = 0x12;
    pub(crate) const CANCEL: u8 = 0x13;
    pub(crate) const END: u8 = 0x14;
    pub(crate) const CREDIT: u8 = 0x15;
    /// First kind that a receiver skips if it does not know it; an unknown kind below is an error.
    pub(crate) const FIRST_SKIPPABLE: u8 = 0x80;
}

pub(crate) mod flag {
    /// The client's messages follow.
    pub(crate) const MORE: u8 = 0x01;
    /// No part of the call ran.
    pub(crate) const NOT_RUN: u8 = 0x02;
    /// Metadata follow.
    pub(crate) const METADATA: u8 = 0x04;
    /// Particulars of the failure follow.
    pub(crate) const DETAILS: u8 = 0x08;
    /// The client takes messages before the reply.
    pub(crate) const STREAM: u8 = 0x10;
}

/// Body of a frame, and the bytes after it.
pub type BodyAndRest<'a> = (&'a [u8], &'a [u8]);

/// Splits the first frame off `buf`. Returns its body and the bytes after it, or `None` while it is incomplete.
///
/// The length is checked as soon as it has arrived, so a caller never buffers more than `max` bytes and one read.
///
/// # Errors
/// The body is longer than `max`; [`DecodeError::Tls`] if that is because the peer speaks TLS.
pub fn split_frame(buf: &[u8], max: usize) -> Result<Option<BodyAndRest<'_>>, DecodeError> {
    let Some((prefix, rest)) = buf.split_first_chunk::<4>() else { return Ok(None) };
    // A length that does not fit `usize` is over every limit.
    let len = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if len > max {
        return Err(if is_tls(*prefix) { DecodeError::Tls } else { DecodeError::TooLong { len, max } });
    }
    Ok(rest.split_at_checked(len))
}

/// Returns true for the first bytes of a TLS record: an alert or a handshake, and a version of TLS.
fn is_tls([content, major, minor, _]: [u8; 4]) -> bool {
    matches!(content, 0x15 | 0x16) && major == 3 && minor <= 4
}

/// Kind of a frame that waits behind others, by its header alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ahead {
    /// The frame opens this call.
    Request(CallId),
    /// The frame cancels this call.
    Cancel(CallId),
    /// Any other frame, and bytes that do not decode.
    Other,
}

/// Reads the header of a frame's body, and checks nothing else.
pub fn look_ahead(body: &[u8]) -> Ahead {
    match body.first_chunk::<BODY_HEADER_LEN>() {
        Some([kind::REQUEST, _, id @ ..]) => Ahead::Request(CallId(u64::from_be_bytes(*id))),
        Some([kind::CANCEL, _, id @ ..]) => Ahead::Cancel(CallId(u64::from_be_bytes(*id))),
        _ => Ahead::Other,
    }
}

/// Messages of one call that stand one behind the other: whole frames, so that they are looked at once and copied at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MessageRun<'a> {
    /// The call.
    pub id: CallId,
    /// The frames. Their length is the cost of the messages.
    pub frames: &'a [u8],
    /// Length of the last frame.
    pub last: usize,
    /// Number of frames.
    pub count: usize,
}

/// Splits the messages of one call off the front of `buf`, until they have `most` bytes or more. Returns them and the bytes after
/// them; `None` if there is no whole message of at most `max` bytes in front.
#[must_use]
pub fn split_messages(buf: &[u8], max: usize, most: usize) -> Option<(MessageRun<'_>, &[u8])> {
    let id = message_id(buf)?;
    let (mut rest, mut last, mut count) = (buf, 0, 0);
    while buf.len() - rest.len() < most && message_id(rest) == Some(id) {
        // What is too long or not complete is for `split_frame` to judge.
        let Ok(Some((body, behind))) = split_frame(rest, max) else { break };
        if body.len() < BODY_HEADER_LEN {
            break;
        }
        (last, rest, count) = (rest.len() - behind.len(), behind, count + 1);
    }
    let frames = &buf[..buf.len() - rest.len()];
    (count > 0).then_some((MessageRun { id, frames, last, count }, rest))
}

/// Returns the call of the message that `buf` begins with, by its header alone.
fn message_id(buf: &[u8]) -> Option<CallId> {
    match buf.first_chunk::<HEADER_LEN>() {
        Some([_, _, _, _, kind::MESSAGE, _, id @ ..]) => Some(CallId(u64::from_be_bytes(*id))),
        _ => None,
    }
}

/// Splits the first message off frames of a [`MessageRun`]. Returns its payload and the frames after it.
#[must_use]
pub fn next_message(frames: &[u8]) -> Option<BodyAndRest<'_>> {
    let (prefix, rest) = frames.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*prefix) as usize)?;
    Some((body.get(BODY_HEADER_LEN..)?, rest))
}

/// Writes a successful reply in place: the payload goes straight into the buffer for the socket.
///
/// Without [`ReplyWriter::finish`], for example after a panic, drop leaves the buffer unchanged.
///
/// ```
/// use rpc_wire::{CallId, DEFAULT_MAX_FRAME, ReplyWriter};
///
/// let mut out = Vec::new();
/// let mut reply = ReplyWriter::new(&mut out, CallId(7));
/// reply.payload().extend_from_slice(b"42");
/// reply.finish(DEFAULT_MAX_FRAME)?;
/// assert_eq!(out.len(), 4 + 10 + 1 + 2);
/// # Ok::<(), rpc_wire::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct ReplyWriter<'a>(Writer<'a>);

impl<'a> ReplyWriter<'a> {
    /// Begins a reply to the call `id` at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, id: CallId) -> Self {
        let mut writer = Writer::new(out, kind::REPLY, 0, id.0);
        writer.u8(Code::OK.0);
        Self(writer)
    }

    /// Returns the buffer to append the payload to.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.0.out
    }

    /// Puts the bytes of metadata before the payload, once.
    pub(crate) fn put_metadata(&mut self, bytes: &[u8]) {
        let Some(len) = u16::try_from(bytes.len()).ok().filter(|len| *len > 0) else { return };
        let Writer { out, start, .. } = &mut self.0;
        out[*start + 5] |= flag::METADATA;
        let payload = *start + HEADER_LEN + 1;
        out.splice(payload..payload, len.to_be_bytes().into_iter().chain(bytes.iter().copied()));
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// The body is longer than `max`, the receiver's limit. The buffer is unchanged then.
    pub fn finish(self, max: usize) -> Result<(), EncodeError> {
        self.0.finish(max)
    }
}

/// Writes a message of a stream in place, as [`ReplyWriter`] writes a reply.
///
/// ```
/// use rpc_wire::{CallId, DEFAULT_MAX_FRAME, Frame, Message, MessageWriter, split_frame};
///
/// let mut out = Vec::new();
/// let mut message = MessageWriter::new(&mut out, CallId(7));
/// message.payload().extend_from_slice(b"42");
/// message.finish(DEFAULT_MAX_FRAME)?;
/// let (body, _) = split_frame(&out, DEFAULT_MAX_FRAME)?.ok_or("a frame")?;
/// assert_eq!(Frame::decode(body)?, Frame::Message(Message { id: CallId(7), payload: b"42" }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageWriter<'a>(Writer<'a>);

impl<'a> MessageWriter<'a> {
    /// Begins a message of the call `id` at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, id: CallId) -> Self {
        Self(Writer::new(out, kind::MESSAGE, 0, id.0))
    }

    /// Returns the buffer to append the payload to.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.0.out
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// The body is longer than `max`, the receiver's limit. The buffer is unchanged then.
    pub fn finish(self, max: usize) -> Result<(), EncodeError> {
        self.0.finish(max)
    }
}

/// A frame that is being written at the end of a buffer. Drop removes it unless it is finished.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    finished: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, kind: u8, flags: u8, id: u64) -> Self {
        let start = out.len();
        let mut header = [0; HEADER_LEN];
        header[4] = kind;
        header[5] = flags;
        header[6..].copy_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&header);
        Self { out, start, finished: false }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// Appends a text of at most 255 bytes, after its length.
    pub(crate) fn text(&mut self, what: &'static str, value: &str) -> Result<(), EncodeError> {
        let len = u8::try_from(value.len()).map_err(|_| too_long(what, value.len(), u8::MAX.into()))?;
        self.u8(len);
        self.bytes(value.as_bytes());
        Ok(())
    }

    /// Appends bytes, at most 65,535, after their length.
    pub(crate) fn long(&mut self, what: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(value.len()).map_err(|_| too_long(what, value.len(), u16::MAX.into()))?;
        self.u16(len);
        self.bytes(value);
        Ok(())
    }

    /// Appends a text of at most 65,535 bytes, after its length.
    pub(crate) fn long_text(&mut self, what: &'static str, value: &str) -> Result<(), EncodeError> {
        self.long(what, value.as_bytes())
    }

    pub(crate) fn finish(mut self, max: usize) -> Result<(), EncodeError> {
        let len = self.out.len() - self.start - 4;
        let prefix =
            u32::try_from(len).ok().filter(|_| len <= max).ok_or(EncodeError::TooLong { len, max })?;
        self.out[self.start..self.start + 4].copy_from_slice(&prefix.to_be_bytes());
        self.finished = true;
        Ok(())
    }
}

fn too_long(what: &'static str, len: usize, max: usize) -> EncodeError {
    EncodeError::FieldTooLong { what, len, max }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// Reads the body of a frame field by field.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Returns kind, flags and id, and a reader of the fields.
    pub(crate) fn new(body: &'a [u8]) -> Result<(u8, u8, u64, Self), DecodeError> {
        let (header, rest) =
            body.split_first_chunk::<BODY_HEADER_LEN>().ok_or(DecodeError::Truncated { what: "header" })?;
        let [kind, flags, id @ ..] = *header;
        Ok((kind, flags, u64::from_be_bytes(id), Self(rest)))
    }

    /// Returns a reader of fields without a header.
    pub(crate) fn rest_of(fields: &'a [u8]) -> Self {
        Self(fields)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (value, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated { what })?;
        self.0 = rest;
        Ok(*value)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[value]| value)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let len = usize::from(self.u8(what)?);
        let value = self.take(len, what)?;
        std::str::from_utf8(value).map_err(|_| DecodeError::NotUtf8 { what })
    }

    /// Reads bytes after their length of two bytes.
    pub(crate) fn long(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16(what)?);
        self.take(len, what)
    }

    pub(crate) fn long_text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.long(what)?).map_err(|_| DecodeError::NotUtf8 { what })
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (value, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated { what })?;
        self.0 = rest;
        Ok(value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn rest_as_text(self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.0).map_err(|_| DecodeError::NotUtf8 { what })
    }
}
