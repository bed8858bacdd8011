//! The hello: what is agreed on before the first call.

use crate::connection::{End, Shared};
use rpc_wire::{Code, Format, Frame, Hello, VERSION, split_frame};

/// Result of a hello.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) format: Format,
    /// The largest frame that the client takes.
    pub(crate) client_max: usize,
}

impl Shared {
    /// Reads the client's hello, and how long it was; `None` while it is incomplete.
    pub(crate) fn hear(&self, input: &[u8]) -> Result<Option<(usize, Agreed)>, End> {
        let split = split_frame(input, MAX_HELLO)
            .map_err(|_| End::refused(Code::INVALID_ARGUMENT, "the first frame is too long for a hello"))?;
        let Some((body, rest)) = split else { return Ok(None) };
        let Frame::Hello(hello) = Frame::decode(body)? else {
            return Err(End::refused(Code::INVALID_ARGUMENT, "the first frame is not a hello"));
        };
        Ok(Some((input.len() - rest.len(), self.agree(&hello)?)))
    }

    fn agree(&self, hello: &Hello<'_>) -> Result<Agreed, End> {
        let (name, formats) = (self.service.name(), &self.limits.formats);
        if hello.version < VERSION {
            let why = format!("this server speaks version {VERSION} of the protocol and no older one");
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        if !hello.format.is_known() || !formats.contains(&hello.format) {
            let known: Vec<_> = formats.iter().map(Format::to_string).collect();
            let why =
                format!("payload format {} is not taken here; use {}", hello.format, known.join(" or "));
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        if !hello.service.is_empty() && hello.service != name {
            let why = format!("this is the service {name}, not {}", hello.service);
            return Err(End::refused(Code::NOT_FOUND, &why));
        }
        let client_max = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        if client_max < MIN_FRAME {
            let why = format!("a client must accept frames of {MIN_FRAME} bytes at least");
            return Err(End::refused(Code::FAILED_PRECONDITION, &why));
        }
        Ok(Agreed { format: hello.format, client_max })
    }

    /// The answer.
    pub(crate) fn answer(&self, agreed: Agreed) -> Hello<'_> {
        Hello {
            version: VERSION,
            format: agreed.format,
            max_frame: u32::try_from(self.limits.max_frame).unwrap_or(u32::MAX),
            service: self.service.name(),
            instance: &self.instance,
        }
    }
}

/// No client may ask for smaller frames: a hello and a short status must fit.
pub(crate) const MIN_FRAME: usize = 1024;

/// A stranger may not make us hold more.
const MAX_HELLO: usize = 4096;
