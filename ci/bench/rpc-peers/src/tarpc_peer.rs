//! tarpc, with its two formats.

use std::marker::PhantomData;
use std::net::SocketAddr;

use futures::StreamExt;
use peer::{Echo, Peer};
use tarpc::client::{self, RpcError};
use tarpc::server::{BaseChannel, Channel};
use tarpc::{ClientMessage, Response, context, serde_transport};
use tokio::net::{TcpListener, TcpStream};
use tokio_serde::formats::{Bincode, Json};
use tokio_util::codec::LengthDelimitedCodec;

#[tarpc::service]
pub trait Service {
    async fn echo(echo: Echo) -> Echo;
}

#[derive(Clone)]
struct Server;

impl Service for Server {
    async fn echo(self, _: context::Context, echo: Echo) -> Echo {
        echo
    }
}

type Incoming = ClientMessage<ServiceRequest>;
type Outgoing = Response<ServiceResponse>;

/// tarpc with a format.
pub struct Tarpc<F>(PhantomData<F>);

/// JSON.
pub struct AsJson;

/// bincode.
pub struct AsBincode;

macro_rules! peer {
    ($format:ty, $codec:ident) => {
        impl Peer for Tarpc<$format> {
            type Client = ServiceClient;

            async fn serve(listener: TcpListener) -> anyhow::Result<()> {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    let framed = LengthDelimitedCodec::builder().new_framed(stream);
                    let transport = serde_transport::new(framed, $codec::<Incoming, Outgoing>::default());
                    let calls = BaseChannel::with_defaults(transport).execute(Server.serve());
                    tokio::spawn(calls.for_each(|call| async {
                        tokio::spawn(call);
                    }));
                }
            }

            async fn connect(addr: SocketAddr) -> anyhow::Result<ServiceClient> {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                let framed = LengthDelimitedCodec::builder().new_framed(stream);
                let transport = serde_transport::new(framed, $codec::<Outgoing, Incoming>::default());
                Ok(ServiceClient::new(config(), transport).spawn())
            }

            async fn call(client: &ServiceClient, echo: Echo) -> anyhow::Result<Echo> {
                let replied: Result<Echo, RpcError> = client.echo(context::current(), echo).await;
                Ok(replied?)
            }
        }
    };
}

peer!(AsJson, Json);
peer!(AsBincode, Bincode);

/// Maximum number of calls in flight that is measured.
fn config() -> client::Config {
    let mut config = client::Config::default();
    config.max_in_flight_requests = 2_048;
    config.pending_request_buffer = 2_048;
    config
}
