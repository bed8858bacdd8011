//! A configuration reload without a lost request: `HUP` replaces the workers one by one, and each new one reads the file.
//!
//! ```sh
//! cargo run -p rpc-prefork --example reload
//! ```
//!
//! The program starts itself a second time as the service, and is the client and the operator.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::id;
use std::{env, fs};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rpc_prefork::{Options, Prefork, Worker, bind, status};
use service::Service;

#[path = "service/mod.rs"]
mod service;

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(directory) => serve(Path::new(&directory)),
        None => drive(),
    }
}

fn serve(directory: &Path) -> Result<(), Box<dyn Error>> {
    let listener = bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    Prefork::new(Options::default().workers(2).control(directory.join("control")))
        .on_ready(move || println!("ready {addr}"))
        .on_usr1(|| println!("usr1: a real service would reopen its log here"))
        .run(move |worker| i32::from(work(&worker, &listener, &directory.join("greeting")).is_err()))?;
    Ok(())
}

/// Runs in each worker: greets each client with the text that the file had when the worker started.
fn work(worker: &Worker, listener: &TcpListener, file: &Path) -> io::Result<()> {
    let greeting = fs::read(file)?;
    println!("worker {}", id());
    worker.ready(b"")?;
    while worker.stop_requested().is_none() {
        let mut fds = [worker.stop_fd(), listener.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // A signal interrupts it; the loop looks again.
        let _ = poll(&mut fds, PollTimeout::NONE);
        if let Ok((mut client, _)) = listener.accept() {
            client.write_all(&greeting)?;
        }
    }
    Ok(())
}

fn drive() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (control, greeting) = (directory.path().join("control"), directory.path().join("greeting"));
    fs::write(&greeting, "good morning")?;
    let mut service = Service::start(&[&directory.path().to_string_lossy()])?;
    let old = [service.number("worker ")?, service.number("worker ")?];
    let addr: SocketAddr = service.line("ready ")?.parse()?;
    println!("workers {old:?} say {:?}", ask(addr)?);

    fs::write(&greeting, "good evening")?;
    service.signal(Signal::SIGHUP)?;
    let mut answers = Vec::new();
    // The status tells when the old workers are gone.
    while old.iter().any(|pid| shows(&control, *pid)) {
        answers.push(ask(addr)?);
    }
    let new = [service.number("worker ")?, service.number("worker ")?];
    println!("HUP: workers {new:?} take over, and all of {} requests meanwhile are answered", answers.len());
    assert!(answers.iter().all(|answer| answer == "good morning" || answer == "good evening"));
    println!("they say {:?}", ask(addr)?);
    assert_eq!(ask(addr)?, "good evening");
    print!("status:\n{}", status(&control)?);

    service.signal(Signal::SIGTTIN)?;
    println!("TTIN: worker {} is added", service.number("worker ")?);
    service.signal(Signal::SIGUSR1)?;
    println!("USR1: the hook runs, {}", service.line("usr1: ")?);
    let status = service.stop(Signal::SIGINT)?;
    println!("INT: the service ends with {status}");
    assert!(status.success() && !control.exists());
    Ok(())
}

/// Returns true if the status shows a process.
fn shows(control: &Path, pid: i32) -> bool {
    status(control).is_ok_and(|status| status.contains(&format!("(pid {pid})")))
}

fn ask(addr: SocketAddr) -> io::Result<String> {
    io::read_to_string(TcpStream::connect(addr)?)
}
