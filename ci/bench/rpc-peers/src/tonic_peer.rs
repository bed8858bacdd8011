//! tonic: gRPC, with prost's messages.

use std::fs;
use std::net::SocketAddr;

use futures::{StreamExt, stream};
use peer::{Echo, Echoes, Peer};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, async_trait};

mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.Echo.rs"));
}

use generated::echo_client::EchoClient;
use generated::echo_server::{Echo as EchoService, EchoServer};

/// An echo as a protobuf message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub body: String,
}

struct Service;

#[async_trait]
impl EchoService for Service {
    async fn call(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type StreamStream = Repeated;

    async fn stream(&self, request: Request<Message>) -> Result<Response<Repeated>, Status> {
        Ok(Response::new(stream::repeat(Ok(request.into_inner()))))
    }
}

/// The same message again and again.
type Repeated = stream::Repeat<Result<Message, Status>>;

/// tonic.
pub struct Tonic;

impl Peer for Tonic {
    type Client = EchoClient<Channel>;

    async fn serve(listener: TcpListener) -> anyhow::Result<()> {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let mut server = Server::builder();
        if let Some((certificate, key)) = peer::tls() {
            let identity = Identity::from_pem(fs::read(certificate)?, fs::read(key)?);
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
        }
        Ok(server.add_service(EchoServer::new(Service)).serve_with_incoming(incoming).await?)
    }

    async fn connect(addr: SocketAddr) -> anyhow::Result<EchoClient<Channel>> {
        let endpoint = match peer::tls() {
            None => Endpoint::new(format!("http://{addr}"))?,
            Some((authority, _)) => {
                let authority = Certificate::from_pem(fs::read(authority)?);
                let config = ClientTlsConfig::new().ca_certificate(authority).domain_name("localhost");
                Endpoint::new(format!("https://{addr}"))?.tls_config(config)?
            }
        };
        Ok(EchoClient::new(endpoint.tcp_nodelay(true).connect().await?))
    }

    async fn call(client: &EchoClient<Channel>, echo: Echo) -> anyhow::Result<Echo> {
        let Echo { id, body } = echo;
        let Message { id, body } = client.clone().call(Message { id, body }).await?.into_inner();
        Ok(Echo { id, body })
    }

    async fn stream(client: &EchoClient<Channel>, echo: Echo) -> anyhow::Result<Echoes> {
        let Echo { id, body } = echo;
        let messages = client.clone().stream(Message { id, body }).await?.into_inner();
        Ok(Box::pin(messages.map(|message| {
            let Message { id, body } = message?;
            Ok(Echo { id, body })
        })))
    }
}
