//! Connections in TLS, over those of another connector.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use registry::{Connecting, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Tls;
use super::config::Loaded;
use super::failure::explained;
use crate::connector::Connect;

/// Connects by another connector, and speaks TLS.
pub(crate) struct TlsConnect {
    below: Arc<dyn Connect>,
    tls: Tls,
}

impl TlsConnect {
    pub(crate) fn new(below: Arc<dyn Connect>, tls: Tls) -> Self {
        Self { below, tls }
    }
}

impl Connect for TlsConnect {
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let loaded = self.tls.current();
            let name = match &loaded.name {
                Some(name) => name.clone(),
                None => name_of(addr)?,
            };
            let stream = self.below.connect(addr).await?;
            let connector = TlsConnector::from(Arc::clone(&loaded.config));
            match connector.connect(name, stream).await {
                Ok(stream) => Ok(Box::new(Secret { stream, loaded }) as Box<dyn Stream>),
                Err(error) => Err(explained(error, &loaded.authorities.to_string())),
            }
        })
    }
}

/// Returns the host of an address as TLS names it.
fn name_of(addr: &str) -> io::Result<ServerName<'static>> {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| {
        let why = format!("{host:?} is no name that a certificate can have; set TlsConfig::server_name");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    })
}

/// Stream in TLS whose errors are in words: a server refuses a client's certificate only after the client's handshake.
struct Secret {
    stream: TlsStream<Box<dyn Stream>>,
    loaded: Arc<Loaded>,
}

impl Secret {
    fn explain<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        polled.map_err(|error| explained(error, &self.loaded.authorities.to_string()))
    }
}

impl AsyncRead for Secret {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.explain(polled)
    }
}

impl AsyncWrite for Secret {
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
