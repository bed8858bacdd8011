//! A service to look at with the command `rpc`: it announces itself in ZooKeeper, and ends at Ctrl-C.

use futures_util::{StreamExt, stream};
use registry::Registry;
use rpc_server::{MessageStream, Messages, Result, Server, Status};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Deserialize, Serialize)]
struct Order {
    item: String,
    count: u32,
}

/// Sells tea.
#[rpc_server::service]
trait Shop {
    /// Returns the price of an order.
    async fn price(&self, order: Order) -> Result<u32, Status>;

    /// Sends the orders of a day.
    async fn orders(&self, day: String) -> Result<MessageStream<Order>>;

    /// Returns the price of all orders that the client sends.
    async fn total(&self, orders: Messages<Order>) -> Result<u32, Status>;

    /// Returns the price of each order, as it comes.
    async fn prices(&self, orders: Messages<Order>) -> Result<MessageStream<u32>>;
}

fn price(order: &Order) -> Result<u32, Status> {
    match order.item.as_str() {
        "tea" => Ok(3 * order.count),
        item => Err(Status::not_found(format!("no {item} here"))),
    }
}

struct Till;

impl Shop for Till {
    async fn price(&self, order: Order) -> Result<u32, Status> {
        price(&order)
    }

    async fn orders(&self, day: String) -> Result<MessageStream<Order>> {
        let order = move |count| Ok(Order { item: format!("tea of {day}"), count });
        Ok(Box::pin(stream::iter(1..=3).map(order)))
    }

    async fn total(&self, mut orders: Messages<Order>) -> Result<u32, Status> {
        let mut total = 0;
        while let Some(order) = orders.next().await {
            total += price(&order?)?;
        }
        Ok(total)
    }

    async fn prices(&self, orders: Messages<Order>) -> Result<MessageStream<u32>> {
        Ok(Box::pin(orders.map(|order| price(&order?))))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: shop HOST:PORT")?;
    let registry = Registry::connect(&servers).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    let stopped = async { drop(tokio::signal::ctrl_c().await) };
    Server::new(Till.into_service()).announce(&registry).serve(listener, stopped).await?;
    registry.close().await?;
    println!("stopped");
    Ok(())
}
