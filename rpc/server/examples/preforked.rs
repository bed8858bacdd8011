//! A typed service of two worker processes on one port. A worker is killed and replaced, `HUP` replaces both, and `TERM`
//! ends all; the client's calls are answered throughout.
//!
//! ```sh
//! cargo run -p rpc-server --example preforked
//! ```
//!
//! The program starts itself a second time as the service, and is the client. `preforked serve` runs the service alone.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio, id};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rpc_client::Client;
use rpc_server::{Context, Prefork, PreforkOptions, Service, Status};

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("serve") { serve() } else { drive() }
}

/// Runs in the parent, which must not start threads or a runtime. Each worker makes a service of its own.
fn serve() -> Result<(), Box<dyn Error>> {
    let service = |_slot| {
        Service::builder("math")
            .method("add", |(a, b): (i64, i64), _: Context| async move {
                a.checked_add(b).ok_or_else(|| Status::out_of_range("the sum does not fit"))
            })
            .method("pid", |(): (), _: Context| async { Ok::<_, Status>(id()) })
            .build()
    };
    // `.zookeeper("127.0.0.1:2181")` would register each worker as an instance of the service.
    Prefork::new(service)
        .options(PreforkOptions::default().workers(2))
        .on_ready(|addr| println!("{addr}"))
        .run()?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn drive() -> Result<(), Box<dyn Error>> {
    let mut service = Running(Command::new(env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?);
    let mut addr = String::new();
    BufReader::new(service.0.stdout.take().ok_or("no output")?).read_line(&mut addr)?;

    let client = Client::direct("math", [addr.trim()]).connect().await?;
    let sum: i64 = client.call("add", &(2, 3)).await?;
    println!("2 + 3 = {sum}");
    let error = client.call::<_, i64>("add", &(i64::MAX, 1)).await.err().ok_or("it must fail")?;
    println!("one more than the largest number: {error}");

    for (signal, what) in [(Signal::SIGKILL, "is killed"), (Signal::SIGHUP, "is replaced on HUP")] {
        let worker: i32 = client.call("pid", &()).idempotent().await?;
        let target = if signal == Signal::SIGHUP { service.pid()? } else { Pid::from_raw(worker) };
        kill(target, signal)?;
        // An idempotent call is retried when its worker dies.
        let mut answered = 0;
        let successor = loop {
            let pid: i32 = client.call("pid", &()).idempotent().await?;
            if pid != worker {
                break pid;
            }
            answered += 1;
        };
        println!(
            "worker {worker} {what}; it answered {answered} more calls, then worker {successor} goes on"
        );
    }

    kill(service.pid()?, Signal::SIGTERM)?;
    let status = service.0.wait()?;
    println!("TERM: the service ends with {status}");
    assert!(sum == 5 && status.success());
    Ok(())
}

/// The running service. Drop stops it, so that nothing is left behind.
struct Running(Child);

impl Running {
    fn pid(&self) -> Result<Pid, Box<dyn Error>> {
        Ok(Pid::from_raw(self.0.id().try_into()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.0.try_wait(), self.pid()) {
            let _ = kill(pid, Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
}
