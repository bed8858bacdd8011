//! Five children end at once: five zombies, one signal, and a loop that reaps them all.

use std::fs::read_to_string;
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

static DELIVERIES: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: libc::c_int) {
    DELIVERIES.fetch_add(1, Ordering::Relaxed);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only adds to an atomic.
    unsafe { sigaction(Signal::SIGCHLD, &action) }?;
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGCHLD);
    blocked.thread_block()?;

    let mut children = Vec::new();
    for number in 0..5 {
        // SAFETY: this process has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => exit(number),
            ForkResult::Parent { child } => children.push(child),
        }
    }
    for child in &children {
        // Waits for its end, and leaves it unreaped.
        waitid(Id::Pid(*child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    }
    let states: Result<Vec<_>, _> = children.iter().map(|child| state(*child)).collect();
    println!("states: {}", states?.join(" "));

    blocked.thread_unblock()?;
    println!("signals: {}", DELIVERIES.load(Ordering::Relaxed));

    let mut reaped = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => reaped.push(code.to_string()),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break, // those that are left are running; no child is left
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    reaped.sort();
    println!("reaped: {}", reaped.join(" "));
    Ok(())
}

fn state(pid: Pid) -> std::io::Result<String> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    Ok(after_name.split_whitespace().next().unwrap_or_default().to_owned())
}
