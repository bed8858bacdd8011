//! Connecting, and the hellos.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rpc_wire::{DecodeError, EncodeError, Frame, Hello, Shown, VERSION, split_frame};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::connection::Options;

/// A connection whose server has said who it is.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) stream: TcpStream,
    /// What has been read behind the hello.
    pub(crate) input: BytesMut,
    pub(crate) instance: String,
    pub(crate) server_max: usize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection without a hello")]
    Closed,
    #[error("it refused the connection: {0}")]
    Refused(String),
    #[error("it does not speak this protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("it answered the hello with something else")]
    NotAHello,
    #[error("it is the service {0}, or answers with another version or format than was asked for")]
    Disagrees(String),
    #[error("the name of the service cannot be sent: {0}")]
    Name(#[from] EncodeError),
}

/// Connects and exchanges hellos; the caller bounds the time.
pub(crate) async fn connect(addr: &str, service: &str, options: &Options) -> Result<Greeted, ConnectError> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    let mut out = Vec::new();
    let hello = Hello {
        version: VERSION,
        format: options.format,
        max_frame: u32::try_from(options.max_frame).unwrap_or(u32::MAX),
        service,
        instance: "",
    };
    Frame::Hello(hello).encode(&mut out, rpc_wire::DEFAULT_MAX_FRAME)?;
    stream.write_all(&out).await?;

    let mut input = BytesMut::new();
    loop {
        if let Some((body, rest)) = split_frame(&input, options.max_frame)? {
            let (instance, server_max) = check(&Frame::decode(body)?, service, options)?;
            let used = input.len() - rest.len();
            input.advance(used);
            return Ok(Greeted { stream, input, instance, server_max });
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Err(ConnectError::Closed);
        }
    }
}

fn check(frame: &Frame<'_>, service: &str, options: &Options) -> Result<(String, usize), ConnectError> {
    match frame {
        Frame::Hello(hello) => {
            let agreed = hello.version == VERSION && hello.format == options.format;
            if !agreed || (!service.is_empty() && hello.service != service) {
                return Err(ConnectError::Disagrees(Shown(hello.service).to_string()));
            }
            let server_max = usize::try_from(hello.max_frame).unwrap_or(usize::MAX);
            Ok((hello.instance.to_owned(), server_max))
        }
        Frame::GoAway(go_away) => {
            Err(ConnectError::Refused(format!("{}: {}", go_away.code, Shown(go_away.message))))
        }
        _ => Err(ConnectError::NotAHello),
    }
}

const KEEPALIVE: Duration = Duration::from_secs(60);
