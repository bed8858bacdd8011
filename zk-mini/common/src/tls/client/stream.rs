//! The handshake of a client, and its stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{ClientTls, LoadedClient};
use crate::tls::words::explained;

/// Handshake with one server, before its connection is open.
#[derive(Debug)]
pub struct ClientHandshake {
    loaded: Arc<LoadedClient>,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Stream in TLS whose errors are in words: a server refuses a client's certificate only after the client's handshake.
#[derive(Debug)]
pub struct ClientStream<S> {
    stream: TlsStream<S>,
    loaded: Arc<LoadedClient>,
}

impl ClientTls {
    /// Prepares a handshake with the server at `addr`, as `host:port`, that speaks `protocol` (ALPN), if one is named.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if no certificate can have the name of the host.
    pub fn handshake(&self, addr: &str, protocol: Option<&[u8]>) -> io::Result<ClientHandshake> {
        let loaded = self.current();
        let name = match &loaded.name {
            Some(name) => name.clone(),
            None => name_of(addr)?,
        };
        let config = match protocol {
            None => Arc::clone(&loaded.config),
            Some(protocol) => {
                // A copy shares the certificates and the sessions to resume.
                let mut config = ClientConfig::clone(&loaded.config);
                config.alpn_protocols = vec![protocol.to_vec()];
                Arc::new(config)
            }
        };
        Ok(ClientHandshake { loaded, config, name })
    }
}

impl ClientHandshake {
    /// Performs the handshake over a connection.
    ///
    /// # Errors
    /// The error of the stream, or in words the check that failed.
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) -> io::Result<ClientStream<S>> {
        let Self { loaded, config, name } = self;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => Ok(ClientStream { stream, loaded }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let why =
                    "the server ended the connection in the TLS handshake; it may not speak TLS on this port";
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
            Err(error) => Err(explained(error, &loaded.authorities.to_string())),
        }
    }
}

/// Returns the host of an address as TLS names it.
fn name_of(addr: &str) -> io::Result<ServerName<'static>> {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| {
        let why = format!("{host:?} is no name that a certificate can have; set the server name for TLS");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}

impl<S> ClientStream<S> {
    fn explain<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        polled.map_err(|error| explained(error, &self.loaded.authorities.to_string()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.explain(polled)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.explain(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.explain(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.explain(polled)
    }
}
