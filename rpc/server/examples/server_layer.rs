//! Layers of tower around a whole server: one counts the calls of all services, another limits how many run at a time.
//!
//! ```sh
//! cargo run -p rpc-server --features tower --example server_layer
//! ```

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rpc_client::{Client, Code};
use rpc_server::layer::Request;
use rpc_server::{Context, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::util::MapRequestLayer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, ended) = (Arc::clone(&begun), Arc::clone(&end));
    let wait = move |(): (), _: Context| {
        let (tell, ended) = (Arc::clone(&tell), Arc::clone(&ended));
        async move {
            tell.notify_one();
            ended.notified().await;
            Ok::<_, Status>(())
        }
    };
    let price = |item: String, _: Context| async move { Ok::<_, Status>(item.len()) };
    let stock = Service::builder("stock").method("wait", wait).build();
    let shop = Service::builder("shop").method("price", price).build();

    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let count = MapRequestLayer::new(move |request: Request| {
        counted.fetch_add(1, Relaxed);
        request
    });
    // The last layer is the outermost: what the limit refuses is counted, too.
    let server = Server::new(shop)
        .add_service(stock)
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(LoadShedLayer::new())
        .layer(count);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(server.serve(listener, pending()));

    let client = Client::direct("shop", [addr]).max_retries(0).connect().await?;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.call::<_, ()>("stock/wait", &()).await }
    });
    begun.notified().await;
    // The limit is one for both services, and what it refuses has not run.
    let refused = client.call::<_, usize>("price", "tea").await.err().ok_or("a call was let in")?;
    println!("while another call runs: {refused}");
    assert_eq!(refused.code(), Code::RESOURCE_EXHAUSTED);
    assert!(!refused.may_have_been_applied());

    end.notify_one();
    waiting.await??;
    let price: usize = client.call("price", "tea").await?;
    println!("afterwards: {price}; {} calls were counted", calls.load(Relaxed));
    assert_eq!(calls.load(Relaxed), 3);
    Ok(())
}
