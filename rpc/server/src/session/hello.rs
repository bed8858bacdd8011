//! Hello: the agreement before the first call.

use rpc_wire::{Budget, EncodeError, Format, Frame, Hello, OLDEST_VERSION, Status, VERSION, split_frame};

use super::config::SessionConfig;
use super::reply::broken;

/// Smallest frame limit that a client may name: a hello and a short status fit.
pub(super) const MIN_FRAME: usize = 1024;

/// Maximum length of a client's hello, which bounds the memory for strangers.
const MAX_HELLO: usize = 4096;

/// Parameters that a hello has settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) version: u16,
    pub(super) format: Format,
    /// Maximum length of a frame's body for the client.
    pub(super) client_max: usize,
    /// Bytes that the client takes; `None` if it speaks version 1.
    pub(super) client_budget: Option<Budget>,
}

impl SessionConfig {
    /// Reads the client's hello and returns its length; `None` while it is incomplete.
    pub(super) fn hear(&self, input: &[u8]) -> Result<Option<(usize, Agreed)>, Status> {
        let split = split_frame(input, MAX_HELLO)
            .map_err(|_| Status::invalid_argument("the first frame is too long for a hello"))?;
        let Some((body, rest)) = split else { return Ok(None) };
        let Frame::Hello(hello) = Frame::decode(body).map_err(|error| broken(&error))? else {
            return Err(Status::invalid_argument("the first frame is not a hello"));
        };
        Ok(Some((input.len() - rest.len(), self.agree(&hello)?)))
    }

    fn agree(&self, hello: &Hello<'_>) -> Result<Agreed, Status> {
        let (name, formats) = (&self.service, &self.limits.formats);
        if hello.version < OLDEST_VERSION {
            let why = format!("this server speaks versions {OLDEST_VERSION} to {VERSION} of the protocol");
            return Err(Status::failed_precondition(why));
        }
        if !hello.format.is_known() || !formats.contains(&hello.format) {
            let known: Vec<_> = formats.iter().map(Format::to_string).collect();
            let why =
                format!("payload format {} is not taken here; use {}", hello.format, known.join(" or "));
            return Err(Status::failed_precondition(why));
        }
        if !hello.service.is_empty() && hello.service != name {
            return Err(Status::not_found(format!("this is the service {name}, not {}", hello.service)));
        }
        let client_max = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        if client_max < MIN_FRAME {
            let why = format!("a client must accept frames of {MIN_FRAME} bytes at least");
            return Err(Status::failed_precondition(why));
        }
        let (version, client_budget) = (hello.version.min(VERSION), hello.budget);
        Ok(Agreed { version, format: hello.format, client_max, client_budget })
    }

    /// Appends the server's hello to `out`.
    pub(super) fn answer(&self, agreed: Agreed, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let hello = Hello {
            version: agreed.version,
            format: agreed.format,
            max_frame: u32::try_from(self.limits.max_frame).unwrap_or(u32::MAX),
            service: &self.service,
            instance: &self.instance,
            budget: Some(self.limits.budget()),
        };
        Frame::Hello(hello).encode(out, agreed.client_max)
    }
}
