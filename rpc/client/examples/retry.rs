//! Deadlines and retries: a slow call ends at its deadline. Of two calls whose instance dies, the error of the first says
//! that it may have run; the second is declared idempotent and runs again.
//!
//! `cargo run -p rpc-client --example retry`

use std::error::Error;
use std::future::pending;
use std::io;
use std::time::Duration;

use rpc_client::{Client, Code};
use rpc_server::{Context, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (begun, mut calls) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    let hanging = serve(listener, Some(begun.clone()));
    let client = Client::direct("ledger", [&addr]).connect().await?;

    let add = client.call::<_, u64>("add", &1).deadline(Duration::from_millis(50));
    let Err(error) = add.await else { return Err("the instance hangs".into()) };
    assert_eq!(error.code(), Code::DEADLINE_EXCEEDED);
    println!("deadline:       {error}");
    calls.recv().await;

    let add = client.call::<_, u64>("add", &1);
    let kill = async {
        calls.recv().await;
        restart(hanging, &addr, Some(begun)).await
    };
    let (added, restarted) = tokio::join!(add, kill);
    let Err(error) = added else { return Err("the instance hangs".into()) };
    assert!(error.is_retryable() && error.may_have_been_applied());
    println!("not idempotent: {error}");

    let hanging = restarted?;
    let add = client.call::<_, u64>("add", &1).idempotent();
    let kill = async {
        calls.recv().await;
        restart(hanging, &addr, None).await
    };
    let (added, _healthy) = tokio::join!(add, kill);
    assert_eq!((added?, client.stats().retried > 0), (2, true));
    println!("idempotent:     answered; retries: {}", client.stats().retried);
    Ok(())
}

/// Serves on `listener`; calls hang if they are told to `begun`.
fn serve(listener: TcpListener, begun: Option<mpsc::UnboundedSender<()>>) -> JoinHandle<()> {
    let add = move |number: u64, _: Context| {
        let begun = begun.clone();
        async move {
            if let Some(begun) = begun {
                let _ = begun.send(());
                pending::<()>().await;
            }
            Ok::<_, Status>(number + 1)
        }
    };
    let service = Service::builder("ledger").method("add", add).build();
    tokio::spawn(async { drop(Server::new(service).serve(listener, pending()).await) })
}

/// Ends an instance in the middle of its calls, and starts another one at its address.
async fn restart(
    instance: JoinHandle<()>,
    addr: &str,
    begun: Option<mpsc::UnboundedSender<()>>,
) -> io::Result<JoinHandle<()>> {
    instance.abort();
    let _ = instance.await;
    Ok(serve(TcpListener::bind(addr).await?, begun))
}
