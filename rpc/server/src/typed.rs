//! Typed services by the attribute `service`.

use std::pin::Pin;

use futures_core::Stream;
use rpc_wire::Status;

/// Messages that a handler of a [`service`] sends: any stream, by `Box::pin`.
///
/// ```
/// use futures_util::stream;
/// use rpc_server::{MessageStream, Messages, Result};
///
/// #[rpc_server::service]
/// trait Numbers {
///     /// Sends the numbers up to this one.
///     async fn count(&self, to: u32) -> Result<MessageStream<u32>>;
///
///     /// Returns the sum of what the client sends.
///     async fn sum(&self, numbers: Messages<u32>) -> Result<u64>;
/// }
///
/// struct Calculator;
///
/// impl Numbers for Calculator {
///     async fn count(&self, to: u32) -> Result<MessageStream<u32>> {
///         Ok(Box::pin(stream::iter((1..=to).map(Ok))))
///     }
///
///     async fn sum(&self, mut numbers: Messages<u32>) -> Result<u64> {
///         let mut sum = 0;
///         while let Some(number) = numbers.next().await {
///             sum += u64::from(number?);
///         }
///         Ok(sum)
///     }
/// }
/// # Calculator.into_service();
/// ```
pub type MessageStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Makes a typed service of a trait: a server implements the trait, and each of its methods can be called.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
///
/// use rpc_client::{Client, Code};
/// use rpc_server::{Context, Result, Server, Status};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// pub struct Order {
///     item: String,
///     count: u32,
/// }
///
/// /// A shop.
/// #[rpc_server::service(client)]
/// pub trait Shop {
///     /// Returns the price of an order.
///     #[idempotent]
///     async fn price(&self, order: &Order) -> Result<u32, Status>;
///
///     /// Returns what is left of the caller's time.
///     async fn time_left(&self, context: Context) -> Result<Option<Duration>>;
///
///     /// Returns `a` to the power of `b`, which are texts.
///     async fn power(&self, a: &str, b: String) -> Result<u32>;
/// }
///
/// struct Till {
///     prices: BTreeMap<String, u32>,
/// }
///
/// impl Shop for Till {
///     async fn price(&self, order: &Order) -> Result<u32, Status> {
///         let price = self.prices.get(&order.item);
///         let price = price.ok_or_else(|| Status::not_found(format!("no {} here", order.item)))?;
///         Ok(price * order.count)
///     }
///
///     async fn time_left(&self, context: Context) -> Result<Option<Duration>> {
///         Ok(context.time_left())
///     }
///
///     async fn power(&self, a: &str, b: String) -> Result<u32> {
///         Ok(a.parse::<u32>()?.pow(b.parse()?)) // any error: the caller gets INTERNAL, the log gets the reason
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let till = Till { prices: BTreeMap::from([("tea".into(), 3)]) };
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?.to_string();
/// tokio::spawn(Server::new(till.into_service()).serve(listener, std::future::pending()));
///
/// let shop = ShopClient::new(Client::direct(ShopClient::SERVICE, [addr]).connect().await?);
/// assert_eq!(shop.price(&Order { item: "tea".into(), count: 2 }).await?, 6);
/// assert!(shop.time_left().deadline(Duration::from_secs(5)).await?.is_some());
/// assert_eq!(shop.power("2", "5".into()).await?, 32);
/// assert_eq!(shop.power("two", "5".into()).await.unwrap_err().code(), Code::INTERNAL);
/// # Ok(())
/// # }
/// ```
///
/// # What it makes
/// - The trait, for `&self` that all calls share, with `async fn` whose futures are [`Send`]. `Arc<T>` implements it as `T` does.
/// - Its method `into_service`, which makes a [`Service`](crate::Service) of the value, with the docs for `rpc.reflect`.
/// - With the argument `client`, the typed client `ShopClient`, as `rpc_client::service` makes it alone.
///
/// # Methods
/// | part | meaning |
/// | --- | --- |
/// | parameters | what the caller sends: nothing is `null` in JSON, one is itself, several are an array. Types of serde; `&str`, `&[T]` and `&T` borrow from what arrived |
/// | parameter of the type `Context` | the circumstances of the call; not sent |
/// | result | `Result<T, E>` with a type of serde, and any [`HandlerError`](crate::HandlerError): a [`Status`](crate::Status), a type that becomes one, or [`Error`](crate::Error), which `?` makes of everything |
/// | the only parameter, of the type [`Messages<T>`](crate::Messages) | what the client sends, one after the other |
/// | result, `Result<MessageStream<T>, E>` | what the server sends, one after the other: a [`MessageStream`] |
/// | `#[method(name = "…")]` | the name for clients, where it is not that of the method |
/// | `#[idempotent]` | the client repeats the call if its connection breaks, as by `Call::idempotent` |
///
/// # Arguments
/// | argument | meaning |
/// | --- | --- |
/// | `name = "shop"` | the name of the service for clients; else that of the trait in snake case |
/// | `client` | makes the client, too, in a crate that depends on `rpc-server` and `rpc-client` |
/// | `client = path`, `crate = path` | the paths of `rpc-client` and `rpc-server`, where they have other names |
///
/// Two programs that share a definition have it in a crate of their own. If the clients are not to depend on `rpc-server`,
/// that crate has a feature for it: `#[cfg_attr(feature = "server", rpc_server::service(client))]`, and without it
/// `rpc_client::service`.
pub use rpc_macros::server_service as service;
