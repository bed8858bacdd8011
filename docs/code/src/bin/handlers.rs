//! Handles one signal, ignores another one, and meets one that cannot be handled.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

static STOPS: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: libc::c_int) {
    STOPS.store(true, Ordering::Relaxed);
}

fn main() -> nix::Result<()> {
    let stop = SigAction::new(SigHandler::Handler(stop), SaFlags::empty(), SigSet::empty());
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores to an atomic: it allocates nothing, takes no lock, and does not touch `errno`.
    unsafe { sigaction(Signal::SIGTERM, &stop) }?;
    // SAFETY: there is no handler that could do harm.
    unsafe { sigaction(Signal::SIGINT, &ignore) }?;
    // SAFETY: as for SIGTERM; the kernel refuses it anyway.
    if let Err(error) = unsafe { sigaction(Signal::SIGKILL, &stop) } {
        println!("SIGKILL cannot be handled: {}", error.desc());
    }

    raise(Signal::SIGINT)?;
    println!("SIGINT was ignored");

    println!("working, until SIGTERM comes");
    while !STOPS.load(Ordering::Relaxed) {
        raise(Signal::SIGTERM)?;
    }
    println!("stopped");
    Ok(())
}
