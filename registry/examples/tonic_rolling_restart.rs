//! Restarts all servers of a gRPC service, one after another, while clients call it: no call fails.
//!
//! The servers are those of tonic, with its compiled health service. Each registers itself; the client is balanced over a
//! subscription in three lines.
//!
//! `cargo run -p zk-registry --features embedded,tower --example tonic_rolling_restart`

use std::error::Error;
use std::time::Duration;

use registry::{Instance, Registration, Registry};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tonic::Status;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{self, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::load::{CompleteOnResponse, PendingRequests};

const SERVERS: usize = 3;
const CALLERS: usize = 8;
/// Number of calls between two restarts.
const CALLS_BETWEEN: u64 = 200;
/// Time for the client to hear that a server leaves.
const GRACE: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;
    let mut running = Vec::new();
    for _ in 0..SERVERS {
        running.push(Server::start(&registry).await?);
    }

    // The client: each address of the service is a connection, and a call goes to one that waits for fewer answers.
    let servers = registry.subscribe("shop").await?.discover_by_addr(|instance| {
        let server = Endpoint::from_shared(format!("http://{}", instance.addr())).ok()?;
        Some(PendingRequests::new(server.connect_lazy(), CompleteOnResponse::default()))
    });
    let channel = Buffer::new(Balance::new(servers), 1024).map_err(Status::from_error).boxed_clone();
    let shop = HealthClient::new(channel);

    let calls = watch::Sender::new(0);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (mut shop, calls) = (shop.clone(), calls.clone());
        callers.spawn(async move {
            loop {
                match shop.check(HealthCheckRequest::default()).await {
                    Ok(_) => calls.send_modify(|count| *count += 1),
                    Err(failed) => return failed,
                }
            }
        });
    }
    let mut answered = calls.subscribe();
    let mut more_calls = async || {
        let wanted = *answered.borrow() + CALLS_BETWEEN;
        // A caller that fails ends the waiting.
        tokio::select! {
            _ = answered.wait_for(|count| *count >= wanted) => Ok(()),
            Some(failed) = callers.join_next() => Err(format!("a call has failed: {failed:?}")),
        }
    };

    more_calls().await?;
    let mut restarted = Vec::new();
    for old in running {
        restarted.push(Server::start(&registry).await?);
        old.stop().await?;
        more_calls().await?;
        println!("{} of {SERVERS} servers are restarted", restarted.len());
    }
    println!("{} calls, none failed", *calls.borrow());
    registry.close().await?;
    Ok(())
}

/// A gRPC server, and its place in the registry.
struct Server {
    registration: Registration,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), transport::Error>>,
}

impl Server {
    /// Starts a server at a free port. It registers when it accepts connections.
    async fn start(registry: &Registry) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let instance = Instance::new("127.0.0.1", listener.local_addr()?.port());
        let (_, health) = tonic_health::server::health_reporter();
        let (stop, stopped) = oneshot::channel();
        let server = transport::Server::builder()
            .add_service(health)
            .serve_with_incoming_shutdown(TcpIncoming::from(listener), async { drop(stopped.await) });
        let task = tokio::spawn(server);
        Ok(Self { registration: registry.register("shop", instance).await?, stop, task })
    }

    /// Leaves the registry while it still serves, and ends when every call has its answer.
    async fn stop(self) -> Result<(), Box<dyn Error>> {
        // In production a second: see the documentation of `drain`.
        self.registration.drain(GRACE).await?;
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}
