//! Listeners of another transport than TCP: announced, and with ports of TCP beside them.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use registry::Registry;
use rpc_client::Client;
use rpc_server::{Announcement, Format, Listener, Server, Service, in_memory};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{RawClient, ok};

/// Listener that the library does not know.
struct Foreign(TcpListener);

impl Listener for Foreign {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

async fn port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn test() -> Service {
    crate::peer::service(tokio::sync::mpsc::unbounded_channel().0).build()
}

#[tokio::test]
async fn a_server_on_a_foreign_listener_is_announced_where_its_user_says() {
    let registry = Registry::embedded().await.unwrap();
    let (listener, addr) = port().await;
    let entry = Announcement::new(&registry).advertise(addr.ip().to_string()).advertise_port(addr.port());
    tokio::spawn(Server::new(test()).announce(entry).serve_on(Foreign(listener), pending()));
    let client = Client::builder(registry, "test").connect().await.unwrap();
    assert_eq!(client.call::<_, String>("echo", "hello").await.unwrap(), "hello");
}

#[tokio::test]
async fn an_announcement_of_a_foreign_listener_without_an_address_is_an_error() {
    let registry = Registry::embedded().await.unwrap();
    let half = Announcement::new(&registry).advertise("127.0.0.1");
    for entry in [Announcement::new(&registry), half] {
        let server = Server::new(test()).announce(entry);
        let error = server.serve_on(Foreign(port().await.0), pending()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`advertise_port`"), "{error}");
    }
}

#[tokio::test]
async fn further_listeners_are_served_beside_each_first_one() {
    let (own, addr) = port().await;
    let (connector, listener) = in_memory();
    let server = Server::new(test()).instance("me").also_listen(own);
    tokio::spawn(server.serve_in_memory(listener, pending()));
    let client = Client::in_memory("test", move || connector.connect()).connect().await.unwrap();
    assert_eq!(client.call::<_, String>("echo", "hello").await.unwrap(), "hello");
    let mut other = RawClient::greeted(addr, Format::JSON).await;
    assert_eq!(other.call(1, "echo", &"there").await, ok(1, b"\"there\""));

    let ((first, first_addr), (own, own_addr)) = (port().await, port().await);
    let server = Server::new(test()).instance("me").also_listen(own);
    tokio::spawn(server.serve_on(Foreign(first), pending()));
    for addr in [first_addr, own_addr] {
        let mut client = RawClient::greeted(addr, Format::JSON).await;
        assert_eq!(client.call(1, "echo", &"here").await, ok(1, b"\"here\""));
    }
}
