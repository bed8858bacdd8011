//! A typed service and its client: arguments and results are any types of serde, failures have a code and a message, and a
//! handler knows how much time its caller leaves it.
//!
//! ```sh
//! cargo run -p rpc-server --example typed_service
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc_client::Client;
use rpc_server::{Code, Context, Server, Service, Status};
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

/// A shop with a stock and prices.
#[derive(Debug)]
struct Shop {
    stock: Mutex<BTreeMap<String, u32>>,
    price: u32,
}

impl Shop {
    fn sell(&self, order: &Order) -> Result<Receipt, Status> {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = stock.get_mut(&order.item) else {
            return Err(Status::not_found(format!("no {} here", order.item)));
        };
        *left = left
            .checked_sub(order.count)
            .ok_or_else(|| Status::failed_precondition(format!("only {left} left of {}", order.item)))?;
        Ok(Receipt { total: order.count * self.price, left: *left })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stock = BTreeMap::from([("tea".to_owned(), 10)]);
    let shop = Arc::new(Shop { stock: Mutex::new(stock), price: 3 });
    let service = Service::builder("shop")
        .method("sell", move |order: Order, _: Context| {
            let shop = Arc::clone(&shop);
            async move { shop.sell(&order) }
        })
        .method("time_left", |(): (), context: Context| async move { Ok::<_, Status>(context.time_left()) })
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(service).serve(listener, pending()));

    let client = Client::direct("shop", [addr]).connect().await?;
    let receipt: Receipt = client.call("sell", &Order { item: "tea".into(), count: 4 }).await?;
    println!("sold 4: {receipt:?}");
    assert_eq!(receipt, Receipt { total: 12, left: 6 });

    for (item, count, code) in [("tea", 7, Code::FAILED_PRECONDITION), ("coffee", 1, Code::NOT_FOUND)] {
        let sold = client.call::<_, Receipt>("sell", &Order { item: item.into(), count }).await;
        let error = sold.err().ok_or("it must fail")?;
        println!("{count} of {item}: {error}");
        assert_eq!(error.code(), code);
    }

    let left: Option<Duration> = client.call("time_left", &()).deadline(Duration::from_secs(5)).await?;
    println!("a handler sees the deadline of its caller: {left:?} left");
    assert!(left.is_some_and(|left| left > Duration::from_secs(4)));
    Ok(())
}
