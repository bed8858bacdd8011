//! Handles signals without a handler: they are blocked, and waited for.

use nix::sys::signal::{SigSet, Signal, raise};

fn main() -> nix::Result<()> {
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGTERM);
    wanted.add(Signal::SIGHUP);
    wanted.thread_block()?; // before any thread starts

    raise(Signal::SIGHUP)?;
    raise(Signal::SIGTERM)?;
    loop {
        let got = wanted.wait()?;
        println!("got {got}");
        if got == Signal::SIGTERM {
            return Ok(());
        }
    }
}
