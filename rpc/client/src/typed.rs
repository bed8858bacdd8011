//! Typed clients by the attribute `service`.

/// Makes the typed client of a service of a trait: one method for each of the service's.
///
/// ```
/// use std::time::Duration;
///
/// use rpc_client::Client;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// pub struct Order {
///     item: String,
///     count: u32,
/// }
///
/// #[rpc_client::service]
/// pub trait Shop {
///     /// Returns the price of an order.
///     #[idempotent]
///     async fn price(&self, order: &Order) -> Result<u32, Status>;
/// }
///
/// # use rpc_server::{Context, Server, Service, Status};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let price = |order: Order, _: Context| async move { Ok::<_, Status>(3 * order.count) };
/// # let service = Service::builder("shop").method("price", price).build();
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let addr = listener.local_addr()?.to_string();
/// # tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
/// // With a registry: `Client::builder(registry, ShopClient::SERVICE).connect().await?`.
/// let shop = ShopClient::new(Client::direct(ShopClient::SERVICE, [addr]).connect().await?);
/// let order = Order { item: "tea".into(), count: 2 };
/// assert_eq!(shop.price(&order).deadline(Duration::from_secs(1)).await?, 6);
/// # Ok(())
/// # }
/// ```
///
/// Of the trait it makes `ShopClient`, which wraps a [`Client`](crate::Client). Its methods return a [`Call`](crate::Call): set
/// its options, and await it. `#[idempotent]` sets that option for all calls of a method. The attribute of the crate
/// `rpc-server`, whose documentation has the table of what a method may have, makes the server's half, or both.
///
/// | argument | meaning |
/// | --- | --- |
/// | `name = "shop"` | the name of the service; else that of the trait in snake case |
/// | `crate = path` | the path of `rpc-client`, where it has another name |
pub use rpc_macros::client_service as service;
