//! A graceful end: a server that is asked to stop accepts nothing new and finishes its running calls. Calls that take longer
//! than its drain timeout are cut off, and their callers learn that they may have run.
//!
//! ```sh
//! cargo run -p rpc-server --example drain
//! ```

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_client::Client;
use rpc_server::{Context, Drained, Limits, Server, Service, Status};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// A printer whose only job ends when `paper` has come.
struct Printer {
    addr: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<Drained>>,
    started: Arc<Notify>,
    paper: Arc<Notify>,
}

async fn start(drain_timeout: Duration) -> io::Result<Printer> {
    let (started, paper) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let job = (Arc::clone(&started), Arc::clone(&paper));
    let print = move |pages: u32, _: Context| {
        let (started, paper) = job.clone();
        async move {
            started.notify_one();
            paper.notified().await;
            Ok::<_, Status>(format!("{pages} pages"))
        }
    };
    let service = Service::builder("printer").method("print", print).build();
    let mut limits = Limits::default();
    limits.drain_timeout = drain_timeout;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    // In a service the future would be that of a signal: `tokio::signal::ctrl_c()`.
    let (stop, stopped) = oneshot::channel();
    let serving = Server::new(service).limits(limits).serve(listener, async { drop(stopped.await) });
    Ok(Printer { addr, stop, serving: tokio::spawn(serving), started, paper })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let printer = start(Duration::from_secs(10)).await?;
    let client = Client::direct("printer", [&printer.addr]).connect().await?;
    let call = tokio::spawn(async move { client.call::<_, String>("print", &3).await });
    printer.started.notified().await;
    println!("a call runs; the server is asked to stop");
    drop(printer.stop);
    while TcpStream::connect(&printer.addr).await.is_ok() {}
    println!("new connections are refused by now");
    printer.paper.notify_one();
    println!("the call is answered: {}", call.await??);
    let drained = printer.serving.await??;
    println!("the server has ended; connections cut: {}", drained.cut);
    assert_eq!(drained.cut, 0);

    let printer = start(Duration::from_millis(50)).await?;
    let client = Client::direct("printer", [&printer.addr]).connect().await?;
    let call = tokio::spawn(async move { client.call::<_, String>("print", &3).await });
    printer.started.notified().await;
    println!("a call runs that will not end; the server is asked to stop");
    drop(printer.stop);
    let drained = printer.serving.await??;
    println!("the server has ended; connections cut: {}", drained.cut);
    let error = call.await?.err().ok_or("it must fail")?;
    println!("{error}");
    assert!(drained.cut == 1 && error.may_have_been_applied());
    Ok(())
}
