//! The hello: agreement on a session.

use common::log::Shown;
use rpc_wire::{Budget, DecodeError, EncodeError, Frame, Hello, OLDEST_VERSION, VERSION};

use super::config::Config;
use super::outbox::Outbox;

/// Reason why there is no session.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HelloError {
    /// The server closed the connection.
    #[error("it closed the connection without a hello")]
    Closed,
    /// The server did not answer in time.
    #[error("it accepts connections and does not answer: no hello in time")]
    Late,
    /// The server refused the connection and said why.
    #[error("it refused the connection: {0}")]
    Refused(String),
    /// The server answered in TLS.
    #[error(
        "it speaks TLS, and this client does not: set `ClientBuilder::tls`, or `--tls` of the command rpc"
    )]
    Tls,
    /// The server sent bytes that are no frame.
    #[error("it does not speak this protocol: {0}")]
    Protocol(DecodeError),
    /// The server sent another frame.
    #[error("it answered the hello with something else")]
    NotAHello,
    /// The server is another service, or chose another version or format.
    #[error("it is the service {0}, or answers with another version or format than was asked for")]
    Disagrees(String),
    /// The name of the service is too long.
    #[error("the name of the service cannot be sent: {0}")]
    Name(#[from] EncodeError),
}

impl From<DecodeError> for HelloError {
    fn from(error: DecodeError) -> Self {
        if error == DecodeError::Tls { Self::Tls } else { Self::Protocol(error) }
    }
}

/// Appends the client's hello.
pub(super) fn write(config: &Config, outbox: &mut Outbox) -> Result<(), EncodeError> {
    let hello = Hello {
        version: VERSION,
        format: config.format,
        max_frame: u32::try_from(config.max_frame).unwrap_or(u32::MAX),
        service: &config.service,
        instance: "",
        budget: Some(config.budget),
    };
    outbox.append(&Frame::Hello(hello))
}

/// Server, as its hello describes it.
#[derive(Debug)]
pub(super) struct Server {
    /// Identity of its process.
    pub(super) instance: String,
    /// Maximum length of a frame for it.
    pub(super) max_frame: usize,
    /// Bytes that it takes; `None` if it speaks version 1.
    pub(super) budget: Option<Budget>,
}

/// Reads the server's answer.
pub(super) fn read(config: &Config, body: &[u8]) -> Result<Server, HelloError> {
    match Frame::decode(body)? {
        Frame::Hello(hello) => {
            let agreed = (OLDEST_VERSION..=VERSION).contains(&hello.version) && hello.format == config.format;
            if !agreed || (!config.service.is_empty() && hello.service != config.service) {
                return Err(HelloError::Disagrees(Shown::text(hello.service).to_string()));
            }
            let max_frame = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
            Ok(Server { instance: hello.instance.to_owned(), max_frame, budget: hello.budget })
        }
        Frame::GoAway(go_away) => {
            Err(HelloError::Refused(format!("{}: {}", go_away.code, Shown::text(go_away.message))))
        }
        _ => Err(HelloError::NotAHello),
    }
}
