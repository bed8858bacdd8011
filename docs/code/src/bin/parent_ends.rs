//! A parent that is asked to stop: it stops its children, waits for them, kills those that do not listen, and reaps them all.

use std::collections::BTreeMap;

use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, fork, pause};

const GRACE_SECONDS: u32 = 1;
const CHILDREN: usize = 3;

fn main() -> nix::Result<()> {
    let wanted: SigSet =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGALRM].into_iter().collect();
    wanted.thread_block()?; // before the first fork: from here on no signal is lost

    let mut children = BTreeMap::new();
    for number in 0..CHILDREN {
        // SAFETY: this process has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => work(number, &wanted)?,
            ForkResult::Parent { child } => _ = children.insert(child, number),
        }
    }
    println!("three children run");

    while !matches!(wanted.wait()?, Signal::SIGTERM | Signal::SIGINT) {}
    println!("stopping");
    for (number, end) in stop(children, &wanted)? {
        println!("child {number} was ended by {end}");
    }
    Ok(())
}

fn work(number: usize, wanted: &SigSet) -> nix::Result<()> {
    // ^C goes to the whole group; the parent tells its children.
    // SAFETY: there is no handler that could do harm.
    unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }?;
    // The last one stays deaf.
    if number != CHILDREN - 1 {
        wanted.thread_unblock()?;
    }
    loop {
        pause();
    }
}

fn stop(mut children: BTreeMap<Pid, usize>, wanted: &SigSet) -> nix::Result<BTreeMap<usize, Signal>> {
    for child in children.keys() {
        kill(*child, Signal::SIGTERM)?;
    }
    alarm::set(GRACE_SECONDS); // the deadline is a signal, too

    let mut ended = BTreeMap::new();
    while !children.is_empty() {
        if wanted.wait()? == Signal::SIGALRM {
            for child in children.keys() {
                kill(*child, Signal::SIGKILL)?;
            }
        }
        while !children.is_empty() {
            match waitpid(None, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => break,
                WaitStatus::Signaled(child, signal, _) => {
                    if let Some(number) = children.remove(&child) {
                        ended.insert(number, signal);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(ended)
}
