//! Ways to serve: on TCP, without sockets, on another transport; announced meanwhile.

use std::{io, mem};

use common::log::quietly;
use tokio::net::TcpListener;

use super::{Drained, Server};
use crate::acceptor::{Accept, Acceptors, Mixed};
use crate::announce::announcer::clients_gone;
use crate::announce::{Announcement, advertised};
use crate::listener::{AcceptOn, Listener};
use crate::memory::{MemoryConnector, MemoryListener, in_memory};

/// Host of a server without a socket, for clients.
const MEMORY_HOST: &str = "in-memory";

/// Announcement with the host and the port for clients.
type Announced = (Announcement, String, u16);

impl Server {
    /// Serves until `shutdown` completes. Then it drains: closes the listener, tells clients to leave, gives running calls
    /// [`Limits::drain_timeout`](crate::Limits::drain_timeout) to finish, and returns.
    ///
    /// Dropping the future ends all connections and calls at once.
    ///
    /// # Errors
    /// - A service or a method has a name that no client could call, or that is reserved for the library.
    /// - The server is to be [announced](Self::announce), and its listener has no address that clients could be told.
    /// - The runtime cannot wait for a listener.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let announced = match self.announcement.take() {
            Some(announcement) => {
                let addr = listener.local_addr()?;
                let host = advertised(announcement.host.as_deref(), addr).map_err(invalid)?;
                Some((announcement, host, addr.port()))
            }
            None => None,
        };
        let acceptor = Acceptors::of_tcp(listener, mem::take(&mut self.own_listeners))?;
        self.serve_announced(acceptor, announced, shutdown).await
    }

    /// Serves connections without sockets, as [`serve`](Self::serve) does; see [`in_memory`](crate::in_memory). It is
    /// [announced](Self::announce) at `in-memory:1`, unless the announcement names another address.
    ///
    /// # Errors
    /// Those of [`serve`](Self::serve).
    pub async fn serve_in_memory(
        mut self,
        listener: MemoryListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let announced = self.announcement.take().map(|announcement| (announcement, MEMORY_HOST.into(), 1));
        let acceptor = Acceptors::new(Mixed(listener), mem::take(&mut self.own_listeners))?;
        self.serve_announced(acceptor, announced, shutdown).await
    }

    /// Starts to serve without a socket, in a task of this runtime, and returns the connector that a client takes. The server
    /// drains when the last clone of the connector is dropped. One that cannot serve says so in the log, and takes no
    /// connection.
    ///
    /// A whole service is tested like this:
    ///
    /// ```
    /// use rpc_client::Client;
    /// use rpc_server::{Context, Server, Service, Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rpc_client::Error> {
    /// let length = |text: String, _: Context| async move { Ok::<_, Status>(text.len()) };
    /// let server = Server::new(Service::builder("text").method("length", length).build()).in_memory();
    /// let client = Client::in_memory("text", move || server.connect()).connect().await?;
    ///
    /// assert_eq!(client.call::<_, usize>("length", "hello").await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn in_memory(self) -> MemoryConnector {
        let (mut connector, listener) = in_memory();
        let gone = connector.keep_alive();
        tokio::spawn(async move {
            if let Err(error) = self.serve_in_memory(listener, async { drop(gone.await) }).await {
                quietly(|| tracing::error!(%error, "the server in memory cannot serve"));
            }
        });
        connector
    }

    /// Serves connections of another transport, as [`serve`](Self::serve) does; for example those of a simulated network.
    ///
    /// # Errors
    /// Those of [`serve`](Self::serve). Only the user knows the address of such a listener: an
    /// [announcement](Self::announce) has to name both [host](Announcement::advertise) and [port](Announcement::advertise_port).
    pub async fn serve_on(
        mut self,
        listener: impl Listener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let announced = match self.announcement.take() {
            Some(announcement) => {
                let (host, port) = announcement.address().ok_or_else(|| {
                    invalid("the announcement has no address: set it with `advertise` and `advertise_port`")
                })?;
                Some((announcement, host, port))
            }
            None => None,
        };
        let acceptor = Acceptors::new(Mixed(AcceptOn(listener)), mem::take(&mut self.own_listeners))?;
        self.serve_announced(acceptor, announced, shutdown).await
    }

    /// Serves, and is announced meanwhile if that is wanted.
    async fn serve_announced<A: Accept>(
        self,
        acceptor: A,
        announced: Option<Announced>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        self.check_names().map_err(invalid)?;
        let Some((announcement, host, port)) = announced else {
            return Ok(self.serve_accepted(acceptor, shutdown).await);
        };
        let services = self.service_names();
        let farewell = announcement.farewell;
        let announcer = announcement.into_announcer(services, &self.instance, host, port);
        let open = self.open_connections();
        let leave = async {
            announcer.keep(announcer.entries(), shutdown).await;
            clients_gone(open, farewell).await;
        };
        Ok(self.serve_accepted(acceptor, leave).await)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
