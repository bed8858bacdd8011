//! A typed client: one method of Rust for each method of the service, and the types that both sides share. The service here
//! is made of closures; where it is made of the same trait, `rpc_server::service(client)` makes both.
//!
//! `cargo run -p rpc-client --example typed_client`

use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;

use rpc_client::Client;
use rpc_server::{Context, Server, Service, Status};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

// In a real system these types are a crate that the server and its clients share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Receipt {
    order: Order,
    cents: u64,
}

/// The part of the service that a client needs to know.
#[rpc_client::service]
trait Orders {
    /// Returns the price in cents.
    #[idempotent]
    async fn price(&self, order: &Order) -> Result<u64, Status>;

    /// Places an order. Not idempotent: one that may have been placed must not be placed again.
    async fn place(&self, order: &Order) -> Result<Receipt, Status>;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = serve().await?.to_string();
    let orders = OrdersClient::new(Client::direct(OrdersClient::SERVICE, [addr]).connect().await?);

    let order = Order { item: "apple".to_owned(), count: 3 };
    println!("{} x {} costs {} cents", order.count, order.item, orders.price(&order).await?);
    let receipt = orders.place(&order).await?;
    assert_eq!(receipt, Receipt { order, cents: 90 });
    println!("{receipt:?}");

    let none = Order { item: "pear".to_owned(), count: 1 };
    let Err(error) = orders.place(&none).await else { return Err("there are no pears".into()) };
    assert!(error.code() == rpc_client::Code::NOT_FOUND && !error.is_retryable());
    println!("{error}");
    Ok(())
}

async fn serve() -> Result<SocketAddr, std::io::Error> {
    let service = Service::builder("orders")
        .method("price", |order: Order, _: Context| async move { cents(&order) })
        .method("place", |order: Order, _: Context| async move {
            let cents = cents(&order)?;
            Ok::<_, Status>(Receipt { order, cents })
        })
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(Server::new(service).serve(listener, pending()));
    Ok(addr)
}

fn cents(order: &Order) -> Result<u64, Status> {
    match order.item.as_str() {
        "apple" => Ok(30 * u64::from(order.count)),
        other => Err(Status::not_found(format!("no {other} in stock"))),
    }
}
