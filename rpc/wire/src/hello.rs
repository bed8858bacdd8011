//! The first frame in each direction: who the sender is, and what it can take.

use crate::layout::{MAGIC, Reader, Writer, kind};
use crate::{DecodeError, EncodeError, Format};

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
    /// Bytes that the sender takes before it gives credit; `None` in version 1.
    pub budget: Option<Budget>,
}

/// Bytes that the sender of a [`Hello`] is ready to hold for its peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Maximum number of bytes of messages of one call that wait to be taken.
    pub stream: u32,
    /// Maximum number of bytes of messages of all calls that wait to be taken.
    pub connection: u32,
    /// From the server: maximum number of bytes of arguments of unfinished calls. From the client: maximum number of bytes of
    /// replies that wait to be read.
    pub calls: u32,
}

impl<'a> Hello<'a> {
    pub(crate) fn decode(mut input: Reader<'a>) -> Result<Self, DecodeError> {
        if input.array("magic")? != MAGIC {
            return Err(DecodeError::BadMagic);
        }
        let version = input.u16("version")?;
        Ok(Self {
            version,
            format: Format(input.u8("format")?),
            max_frame: input.u32("max frame")?,
            service: input.text("service")?,
            instance: input.text("instance")?,
            // Bytes after the known fields come from a newer version and are skipped.
            budget: (version >= 2).then(|| Budget::decode(&mut input)).transpose()?,
        })
    }

    pub(crate) fn encode<'o>(&self, out: &'o mut Vec<u8>) -> Result<Writer<'o>, EncodeError> {
        let mut writer = Writer::new(out, kind::HELLO, 0, 0);
        writer.bytes(&MAGIC);
        writer.u16(self.version);
        writer.u8(self.format.0);
        writer.u32(self.max_frame);
        writer.text("service", self.service)?;
        writer.text("instance", self.instance)?;
        if let Some(Budget { stream, connection, calls }) = self.budget.filter(|_| self.version >= 2) {
            writer.u32(stream);
            writer.u32(connection);
            writer.u32(calls);
        }
        Ok(writer)
    }
}

impl Default for Budget {
    /// Returns what a client of this project announces: 256 KiB a call, 4 MiB a connection, 32 MiB of replies.
    fn default() -> Self {
        Self { stream: 256 << 10, connection: 4 << 20, calls: 32 << 20 }
    }
}

impl Budget {
    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            stream: input.u32("stream budget")?,
            connection: input.u32("connection budget")?,
            calls: input.u32("budget of calls")?,
        })
    }
}
