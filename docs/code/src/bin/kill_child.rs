//! Starts a child, and ends it with a signal.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, pause};

fn main() -> nix::Result<()> {
    // SAFETY: this process has one thread, so no lock is held by a thread that the child does not have.
    let child = match unsafe { fork() }? {
        ForkResult::Child => loop {
            pause(); // sleeps until a signal comes
        },
        ForkResult::Parent { child } => child,
    };

    kill(child, None)?; // no signal asks only: is there such a process?
    println!("the child is there");

    kill(child, Signal::SIGTERM)?;
    if let WaitStatus::Signaled(_, signal, _) = waitpid(child, None)? {
        println!("it was ended by {signal}");
    }

    if kill(child, None) == Err(Errno::ESRCH) {
        println!("and now: {}", Errno::ESRCH.desc());
    }
    Ok(())
}
