//! Client and server over a simulated network: partitions, repairs, hosts that crash. The time is simulated, too.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream;
use rpc_client::{Client, ClientBuilder, Error, connect_fn};
use rpc_server::{Context, Listener, Server, Service, Status};
use turmoil::net::{TcpListener, TcpStream};

struct Simulated(TcpListener);

impl Listener for Simulated {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

fn simulation() -> turmoil::Sim<'static> {
    let limit = Duration::from_secs(300);
    turmoil::Builder::new().rng_seed(7).simulation_duration(limit).build()
}

async fn serve(name: &'static str) -> turmoil::Result {
    let who = move |(): (), _: Context| async move { Ok::<_, Status>(name.to_owned()) };
    let ticks = |(): (), _: Context| async {
        let tick = stream::unfold(0_u32, |tick| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, Status>(tick), tick + 1))
        });
        Ok::<_, Status>(tick)
    };
    let service = Service::builder("test").method("who", who).server_stream("ticks", ticks).build();
    let listener = Simulated(TcpListener::bind("0.0.0.0:80").await?);
    Server::new(service).instance(name).serve_on(listener, std::future::pending()).await?;
    Ok(())
}

fn client(hosts: &[&str]) -> ClientBuilder {
    let addrs = hosts.iter().map(|host| format!("{host}:80"));
    Client::direct("test", addrs).via(connect_fn(TcpStream::connect)).seed(7)
}

async fn who(client: &Client) -> Result<String, Error> {
    client.call("who", &()).idempotent().deadline(Duration::from_secs(20)).await
}

#[test]
fn calls_go_to_the_other_host_through_a_partition_and_come_back_after_it() {
    let mut sim = simulation();
    sim.host("a", || serve("a"));
    sim.host("b", || serve("b"));
    sim.client("client", async {
        let client = client(&["a", "b"]).connect().await?;
        let both = async |client: &Client| {
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < 2 {
                seen.insert(who(client).await?);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok::<_, Error>(())
        };
        both(&client).await?;
        turmoil::partition("client", "a");
        for _ in 0..20 {
            assert_eq!(who(&client).await?, "b");
        }
        turmoil::repair("client", "a");
        both(&client).await?;
        Ok(())
    });
    sim.run().unwrap();
}

#[test]
fn a_client_finds_a_host_again_that_crashed_and_came_back() {
    let mut sim = simulation();
    sim.host("a", || serve("a"));
    sim.client("client", async {
        let client = client(&["a"]).wait_for_instance(Duration::from_secs(60)).connect().await?;
        for _ in 0..60 {
            client.call::<_, String>("who", &()).idempotent().deadline(Duration::from_secs(60)).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    });
    // The host is away for ten of the sixty seconds.
    let mut crashed = None;
    while !sim.step().unwrap() {
        let now = sim.elapsed();
        if crashed.is_none() && now > Duration::from_secs(20) {
            sim.crash("a");
            crashed = Some(now);
        } else if crashed.is_some_and(|at| now > at + Duration::from_secs(10)) && !sim.is_host_running("a") {
            sim.bounce("a");
        }
    }
    assert!(crashed.is_some());
}

#[test]
fn a_stream_lives_through_a_short_partition_and_ends_in_a_long_one() {
    let mut sim = simulation();
    sim.host("a", || serve("a"));
    sim.client("client", async {
        let client = client(&["a"]).connect().await?;
        let mut ticks = client.server_stream::<_, u32>("ticks", &()).await?;
        for expected in 0..20 {
            assert_eq!(ticks.next().await.transpose()?, Some(expected));
        }
        turmoil::hold("client", "a");
        tokio::time::sleep(Duration::from_secs(2)).await;
        turmoil::release("client", "a");
        for expected in 20..60 {
            assert_eq!(ticks.next().await.transpose()?, Some(expected));
        }
        turmoil::partition("client", "a");
        let error = loop {
            match ticks.next().await.ok_or("no error")? {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
        turmoil::repair("client", "a");
        assert_eq!(who(&client).await?, "a");
        Ok(())
    });
    sim.run().unwrap();
}
