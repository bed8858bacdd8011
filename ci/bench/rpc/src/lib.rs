//! The project's RPC, with either payload format.
#![forbid(unsafe_code)]

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use peer::{Echo, Echoes, Peer};
use rpc_client::{Client, Format};
use rpc_server::{Context, Limits, Pem, Server, Service, Status};
use tokio::net::TcpListener;

/// JSON.
pub struct Json;

/// postcard.
pub struct Compact;

impl Peer for Json {
    type Client = Client;

    async fn serve(listener: TcpListener) -> anyhow::Result<()> {
        serve(listener).await
    }

    async fn connect(addr: SocketAddr) -> anyhow::Result<Client> {
        connect(addr, Format::JSON).await
    }

    async fn call(client: &Client, echo: Echo) -> anyhow::Result<Echo> {
        Ok(client.call("echo", &echo).await?)
    }

    async fn stream(client: &Client, echo: Echo) -> anyhow::Result<Echoes> {
        open(client, echo).await
    }
}

impl Peer for Compact {
    type Client = Client;

    async fn serve(listener: TcpListener) -> anyhow::Result<()> {
        serve(listener).await
    }

    async fn connect(addr: SocketAddr) -> anyhow::Result<Client> {
        connect(addr, Format::POSTCARD).await
    }

    async fn call(client: &Client, echo: Echo) -> anyhow::Result<Echo> {
        Ok(client.call("echo", &echo).await?)
    }

    async fn stream(client: &Client, echo: Echo) -> anyhow::Result<Echoes> {
        open(client, echo).await
    }
}

async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let echo = |echo: Echo, _: Context| async move { Ok::<_, Status>(echo) };
    let stream = |echo: Echo, _: Context| async move { Ok::<_, Status>(stream::repeat(Ok(echo))) };
    let service = Service::builder("echo").method("echo", echo).server_stream("stream", stream).build();
    let mut limits = Limits::default();
    limits.connections = 20_000;
    let mut server = Server::new(service).limits(limits);
    if let Some((certificate, key)) = peer::tls() {
        server = server.tls(rpc_server::TlsConfig::new(Pem::file(certificate), Pem::file(key)).load()?);
    }
    server.serve(listener, pending()).await?;
    Ok(())
}

async fn open(client: &Client, echo: Echo) -> anyhow::Result<Echoes> {
    let messages = client.server_stream::<_, Echo>("stream", &echo).await?;
    Ok(Box::pin(messages.map(|message| Ok(message?))))
}

async fn connect(addr: SocketAddr, format: Format) -> anyhow::Result<Client> {
    // No keepalive traffic while the memory of ten thousand idle connections is measured.
    let mut client =
        Client::direct("echo", [addr.to_string()]).format(format).keepalive(Duration::from_secs(60));
    if let Some((authority, _)) = peer::tls() {
        client = client.tls(rpc_client::TlsConfig::new(Pem::file(authority)).load()?);
    }
    Ok(client.connect().await?)
}
