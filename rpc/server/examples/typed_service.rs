//! A typed service and its client, both made of one trait: arguments and results are any types of serde, failures have a code
//! and a message, and a handler knows how much time its caller leaves it.
//!
//! ```sh
//! cargo run -p rpc-server --example typed_service
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rpc_client::Client;
use rpc_server::{Code, Context, Server, Status};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Debug, Deserialize, Serialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Receipt {
    total: u32,
    left: u32,
}

/// Sells things.
#[rpc_server::service(client)]
trait Shop {
    /// Sells what is ordered, once.
    async fn sell(&self, order: Order) -> Result<Receipt, Status>;

    /// Adds to the stock, and returns what there is.
    async fn deliver(&self, item: &str, count: u32) -> rpc_server::Result<u32>;

    /// Returns what is left of the caller's time.
    #[idempotent]
    async fn time_left(&self, context: Context) -> Result<Option<Duration>, Status>;
}

/// A shop with a stock and prices.
#[derive(Debug)]
struct Store {
    stock: Mutex<BTreeMap<String, u32>>,
    price: u32,
}

impl Shop for Store {
    async fn sell(&self, order: Order) -> Result<Receipt, Status> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = stock.get_mut(&order.item) else {
            return Err(Status::not_found(format!("no {} here", order.item)));
        };
        *left = left
            .checked_sub(order.count)
            .ok_or_else(|| Status::failed_precondition(format!("only {left} left of {}", order.item)))?;
        Ok(Receipt { total: order.count * self.price, left: *left })
    }

    async fn deliver(&self, item: &str, count: u32) -> rpc_server::Result<u32> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let left = stock.entry(item.to_owned()).or_default();
        // What is not the caller's business stays on the server: the answer is INTERNAL, and the log has the reason.
        *left = left.checked_add(count).ok_or_else(|| rpc_server::Error::internal("the shelf is full"))?;
        Ok(*left)
    }

    async fn time_left(&self, context: Context) -> Result<Option<Duration>, Status> {
        Ok(context.time_left())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Store { stock: Mutex::default(), price: 3 };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(store.into_service()).serve(listener, pending()));

    let shop = ShopClient::new(Client::direct(ShopClient::SERVICE, [addr]).connect().await?);
    assert_eq!(shop.deliver("tea", 10).await?, 10);
    let receipt = shop.sell(Order { item: "tea".into(), count: 4 }).await?;
    println!("sold 4: {receipt:?}");
    assert_eq!(receipt, Receipt { total: 12, left: 6 });

    for (item, count, code) in [("tea", 7, Code::FAILED_PRECONDITION), ("coffee", 1, Code::NOT_FOUND)] {
        let sold = shop.sell(Order { item: item.into(), count }).await;
        let error = sold.err().ok_or("it must fail")?;
        println!("{count} of {item}: {error}");
        assert_eq!(error.code(), code);
    }
    let error = shop.deliver("tea", u32::MAX).await.err().ok_or("it must fail")?;
    println!("an internal error: {error}");
    assert_eq!(error.code(), Code::INTERNAL);

    let left = shop.time_left().deadline(Duration::from_secs(5)).await?;
    println!("a handler sees the deadline of its caller: {left:?} left");
    assert!(left.is_some_and(|left| left > Duration::from_secs(4)));
    Ok(())
}
