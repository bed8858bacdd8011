//! A parent is killed, and could not say goodbye: its child hears of it twice, from the kernel and by the end of a pipe.

use std::error::Error;
use std::io::{PipeWriter, Read, Write, pipe};

use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getpid, getppid, pause};

fn main() -> Result<(), Box<dyn Error>> {
    // Orphans below this process become its children, as those of others become init's.
    set_child_subreaper(true)?;
    let (mut from_child, to_us) = pipe()?;

    // SAFETY: this process has one thread.
    let parent = match unsafe { fork() }? {
        ForkResult::Child => return be_parent(to_us),
        ForkResult::Parent { child } => child,
    };
    drop(to_us);
    from_child.read_exact(&mut [0; 5])?;
    kill(parent, Signal::SIGKILL)?;
    waitpid(parent, None)?;
    println!("the parent was killed");

    let mut words = String::new();
    from_child.read_to_string(&mut words)?;
    println!("its child says: {words}");
    if let WaitStatus::Exited(_, code) = waitpid(None, None)? {
        println!("the orphan is reaped, status {code}");
    }
    Ok(())
}

fn be_parent(to_us: PipeWriter) -> Result<(), Box<dyn Error>> {
    // Nobody writes; it ends with the last holder of its other end.
    let (mut alive, held) = pipe()?;
    let parent = getpid();
    // SAFETY: this process has one thread.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        drop(to_us);
        loop {
            pause();
        }
    }
    drop(held);
    let mut to_us = to_us;
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block()?;
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != parent {
        return Err("it died before the call above, which came too late".into());
    }
    to_us.write_all(b"ready")?;
    let ended = alive.read(&mut [0])? == 0;
    let got = term.wait()?;
    let ended = if ended { "True" } else { "False" };
    write!(to_us, "the pipe ended: {ended}; the kernel sent {got}")?;
    Ok(())
}
