//! Bytes: the common header, checked reading, and writing with the length patched at the end.

use crate::{CallId, Code, DecodeError, EncodeError};

/// The length prefix and the header that every frame has: length, kind, flags, id.
pub const HEADER_LEN: usize = 14;

/// The first bytes of a hello.
pub const MAGIC: [u8; 4] = *b"\x7fRPC";

/// Kind, flags and id: the part of the header that the length counts.
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
    /// From here on a kind that the receiver does not know is skipped; below it is an error.
    pub(crate) const FIRST_SKIPPABLE: u8 = 0x80;
}

pub(crate) mod flag {
    /// More messages of this call follow in this direction: a stream.
    pub(crate) const MORE: u8 = 0x01;
    /// The call was refused before any of it ran.
    pub(crate) const NOT_RUN: u8 = 0x02;
}

/// The body of a frame, and the bytes behind it.
pub type BodyAndRest<'a> = (&'a [u8], &'a [u8]);

/// Takes the first frame off `buf`: its body and what follows it, or `None` while it is incomplete.
///
/// The length is checked before the rest has arrived, so a caller never buffers more than `max` and a read.
pub fn split_frame(buf: &[u8], max: usize) -> Result<Option<BodyAndRest<'_>>, DecodeError> {
    let Some((prefix, rest)) = buf.split_first_chunk::<4>() else { return Ok(None) };
    // A length that usize cannot hold is over every limit.
    let len = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if len > max {
        return Err(DecodeError::TooLong { len, max });
    }
    Ok(rest.split_at_checked(len))
}

/// A look at a frame that waits behind others; nothing of it is checked beyond its header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ahead {
    /// It opens this call.
    Request(CallId),
    /// It cancels this call.
    Cancel(CallId),
    /// Anything else, also what does not decode.
    Other,
}

/// Looks at the header of a frame's body.
pub fn look_ahead(body: &[u8]) -> Ahead {
    match body.first_chunk::<BODY_HEADER_LEN>() {
        Some([kind::REQUEST, _, id @ ..]) => Ahead::Request(CallId(u64::from_be_bytes(*id))),
        Some([kind::CANCEL, _, id @ ..]) => Ahead::Cancel(CallId(u64::from_be_bytes(*id))),
        _ => Ahead::Other,
    }
}

/// A successful reply, written in place: the payload goes straight to the buffer that goes to the socket.
///
/// Dropped without [`ReplyWriter::finish`], also by a panic, it leaves the buffer as it found it.
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
    /// Begins the reply to `id` at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, id: CallId) -> Self {
        let mut writer = Writer::new(out, kind::REPLY, 0, id.0);
        writer.u8(Code::OK.0);
        Self(writer)
    }

    /// Where the payload is to be appended.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.0.out
    }

    /// Ends the frame; one over `max`, the receiver's limit, is taken back and an error.
    pub fn finish(self, max: usize) -> Result<(), EncodeError> {
        self.0.finish(max)
    }
}

/// One frame being written at the end of a buffer; taken back unless finished.
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

    /// A text of at most 255 bytes after its length.
    pub(crate) fn text(&mut self, what: &'static str, value: &str) -> Result<(), EncodeError> {
        let len =
            u8::try_from(value.len()).map_err(|_| EncodeError::FieldTooLong { what, len: value.len() })?;
        self.u8(len);
        self.bytes(value.as_bytes());
        Ok(())
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

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// A frame's body being read, field by field.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Kind, flags and id, and a reader of what follows them.
    pub(crate) fn new(body: &'a [u8]) -> Result<(u8, u8, u64, Self), DecodeError> {
        let (header, rest) =
            body.split_first_chunk::<BODY_HEADER_LEN>().ok_or(DecodeError::Truncated { what: "header" })?;
        let [kind, flags, id @ ..] = *header;
        Ok((kind, flags, u64::from_be_bytes(id), Self(rest)))
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
        let (value, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated { what })?;
        self.0 = rest;
        std::str::from_utf8(value).map_err(|_| DecodeError::NotUtf8 { what })
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn rest_as_text(self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.0).map_err(|_| DecodeError::NotUtf8 { what })
    }
}
