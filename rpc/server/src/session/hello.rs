//! Hello: the agreement before the first call.

use rpc_wire::{
    Budget, DecodeError, EncodeError, Format, Frame, Hello, OLDEST_VERSION, Status, VERSION, split_frame,
};

use super::config::SessionConfig;
use super::methods::ServiceId;
use super::reply::broken;

/// Smallest frame limit that a client may name: a hello and a short status fit.
pub(super) const MIN_FRAME: usize = 1024;

/// Maximum length of a client's hello, which bounds the memory for strangers.
const MAX_HELLO: usize = 4096;

/// Answer to a hello of TLS. It is for the log: such a client cannot read it.
const NO_TLS: &str =
    "the client speaks TLS, and this port does not: set `Server::tls`, or no TLS at the client";

/// Parameters that a hello has settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) version: u16,
    /// Service of plain method names; `None` if the client names none and there are several.
    pub(super) service: Option<ServiceId>,
    pub(super) format: Format,
    /// Maximum length of a frame's body for the client.
    pub(super) client_max: usize,
    /// Bytes that the client takes; `None` if it speaks version 1.
    pub(super) client_budget: Option<Budget>,
}

impl SessionConfig {
    /// Reads the client's hello and returns its length; `None` while it is incomplete.
    pub(super) fn hear(&self, input: &[u8]) -> Result<Option<(usize, Agreed)>, Status> {
        let split = split_frame(input, MAX_HELLO).map_err(|error| match error {
            DecodeError::Tls => Status::failed_precondition(NO_TLS),
            _ => Status::invalid_argument("the first frame is too long for a hello"),
        })?;
        let Some((body, rest)) = split else { return Ok(None) };
        let Frame::Hello(hello) = Frame::decode(body).map_err(|error| broken(&error))? else {
            return Err(Status::invalid_argument("the first frame is not a hello"));
        };
        Ok(Some((input.len() - rest.len(), self.agree(&hello)?)))
    }

    fn agree(&self, hello: &Hello<'_>) -> Result<Agreed, Status> {
        let formats = &self.limits.formats;
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
        let service = match hello.service {
            "" => self.methods.only_service(),
            name => Some(self.methods.service(name).ok_or_else(|| self.no_service(name))?),
        };
        let client_max = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
        if client_max < MIN_FRAME {
            let why = format!("a client must accept frames of {MIN_FRAME} bytes at least");
            return Err(Status::failed_precondition(why));
        }
        let (version, client_budget) = (hello.version.min(VERSION), hello.budget);
        Ok(Agreed { version, service, format: hello.format, client_max, client_budget })
    }

    fn no_service(&self, wanted: &str) -> Status {
        let offered: Vec<_> = self.methods.offered().collect();
        match *offered {
            [name] => Status::not_found(format!("this is the service {name}, not {wanted}")),
            _ => Status::not_found(format!("no service {wanted} here; there are {}", offered.join(", "))),
        }
    }

    /// Appends the server's hello to `out`.
    pub(super) fn answer(&self, agreed: Agreed, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let hello = Hello {
            version: agreed.version,
            format: agreed.format,
            max_frame: u32::try_from(self.limits.max_frame).unwrap_or(u32::MAX),
            service: self.methods.service_name(agreed.service),
            instance: &self.instance,
            budget: Some(self.limits.budget()),
        };
        Frame::Hello(hello).encode(out, agreed.client_max)
    }
}
