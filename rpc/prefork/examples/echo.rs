//! A TCP echo service of two worker processes: one of them is killed, a successor takes its place, and `TERM` ends all.
//!
//! ```sh
//! cargo run -p rpc-prefork --example echo
//! ```
//!
//! The program starts itself a second time as the service, and is the client. `echo serve` runs the service alone.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::id;
use std::{env, iter};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rpc_prefork::{Options, Prefork, Worker, bind};
use service::{Service, kill};

#[path = "service/mod.rs"]
mod service;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("serve") { serve() } else { drive() }
}

/// Runs in the parent. It must not start threads, so it only binds and supervises.
fn serve() -> Result<(), Box<dyn Error>> {
    let listener = bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    Prefork::new(Options::default().workers(2))
        .on_ready(move || println!("ready {addr}"))
        .run(move |worker| i32::from(work(&worker, &listener).is_err()))?;
    Ok(())
}

/// Runs in each worker: echoes a line for each client until the worker is asked to stop.
fn work(worker: &Worker, listener: &TcpListener) -> io::Result<()> {
    println!("worker {}", id());
    worker.ready(b"")?;
    while worker.stop_requested().is_none() {
        let mut fds = [worker.stop_fd(), listener.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // A signal interrupts it; the loop looks again.
        let _ = poll(&mut fds, PollTimeout::NONE);
        // No client is there if the other worker was faster.
        if let Ok((mut client, _)) = listener.accept() {
            let mut line = String::new();
            BufReader::new(&client).read_line(&mut line)?;
            write!(client, "{} {line}", id())?;
        }
    }
    Ok(())
}

fn drive() -> Result<(), Box<dyn Error>> {
    let mut service = Service::start(&["serve"])?;
    let workers = [service.number("worker ")?, service.number("worker ")?];
    let addr: SocketAddr = service.line("ready ")?.parse()?;
    println!("workers {workers:?} share {addr}");

    let (worker, text) = ask(addr, "hello")?;
    println!("worker {worker} echoes {text:?}");
    assert!(workers.contains(&worker) && text == "hello");

    kill(worker, Signal::SIGKILL)?;
    let successor = service.number("worker ")?;
    println!("worker {worker} is killed; worker {successor} takes its place");
    let answers = iter::repeat_with(|| ask(addr, "still there?").map(|(worker, _)| worker));
    let answered = answers.take(10).collect::<Result<Vec<_>, _>>()?;
    println!("ten more calls are answered by {answered:?}");
    assert!(!answered.contains(&worker));

    let status = service.stop(Signal::SIGTERM)?;
    println!("TERM: the service ends with {status}");
    assert!(status.success() && TcpStream::connect(addr).is_err());
    Ok(())
}

/// Sends a line and returns the pid of the worker that answers, and the text.
fn ask(addr: SocketAddr, text: &str) -> Result<(i32, String), Box<dyn Error>> {
    let mut stream = TcpStream::connect(addr)?;
    writeln!(stream, "{text}")?;
    let answer = io::read_to_string(stream)?;
    let (worker, text) = answer.trim_end().split_once(' ').ok_or("no answer")?;
    Ok((worker.parse()?, text.to_owned()))
}
