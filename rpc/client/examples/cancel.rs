//! Cancellation: dropping a call ends its handler on the server, wherever the handler waits.
//!
//! `cargo run -p rpc-client --example cancel`

use std::error::Error;
use std::future::pending;

use rpc_client::Client;
use rpc_server::{Context, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Tells when the handler's future is dropped, with all that it holds: locks, connections, files.
struct Work(mpsc::UnboundedSender<&'static str>);

impl Drop for Work {
    fn drop(&mut self) {
        let _ = self.0.send("handler dropped");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (tell, mut events) = mpsc::unbounded_channel();
    let search = move |_: String, _: Context| {
        let work = Work(tell.clone());
        let _ = tell.send("handler started");
        async move {
            // A search that never ends by itself.
            pending::<()>().await;
            drop(work);
            Ok::<_, Status>("found".to_owned())
        }
    };
    let service = Service::builder("library").method("search", search).build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(service).serve(listener, pending()));

    let client = Client::direct("library", [addr]).connect().await?;
    let search = client.call::<_, String>("search", "the answer");
    tokio::select! {
        found = search => return Err(format!("unexpected: {found:?}").into()),
        // The user gives up: `select!` drops the call.
        event = events.recv() => println!("{}; the user gives up", event.unwrap_or_default()),
    }
    let event = events.recv().await;
    assert_eq!(event, Some("handler dropped"));
    println!("{}", event.unwrap_or_default());
    assert_eq!(client.stats().calls, 0, "a cancelled call is not counted");
    Ok(())
}
