//! A signal interrupts the handler of another one, or waits until that has ended: the mask decides.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

/// Signal that the next handler sends; 0 is none.
static TO_SEND: AtomicI32 = AtomicI32::new(0);
static DEPTH: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(signal: libc::c_int) {
    let errno = Errno::last_raw(); // of the code that is interrupted
    let is_first = signal == libc::SIGUSR1;
    say(if is_first { "SIGUSR1 begins\n" } else { "SIGUSR2 begins\n" });
    DEPTH.fetch_add(1, Ordering::Relaxed);
    let send = TO_SEND.swap(0, Ordering::Relaxed);
    if send != 0 {
        // SAFETY: `raise` may be called in a handler.
        unsafe { libc::raise(send) };
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
    say(if is_first { "SIGUSR1 ends\n" } else { "SIGUSR2 ends\n" });
    Errno::set_raw(errno);
}

/// Writes without the lock, the buffer and the allocations of `print!`.
fn say(text: &str) {
    for _ in 0..DEPTH.load(Ordering::Relaxed) {
        write(b"  ");
    }
    write(text.as_bytes());
}

fn write(bytes: &[u8]) {
    // SAFETY: `write` may be called in a handler, and the bytes are as many as it is told.
    unsafe { libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}

fn main() -> nix::Result<()> {
    let usr2 = SigSet::from(Signal::SIGUSR2);
    for (what, send, mask) in [
        ("another signal, inside a handler:", Signal::SIGUSR2, SigSet::empty()),
        ("the same signal:", Signal::SIGUSR1, SigSet::empty()),
        ("another signal, which the mask of the handler holds back:", Signal::SIGUSR2, usr2),
    ] {
        println!("{what}");
        let action = SigAction::new(SigHandler::Handler(handle), SaFlags::SA_RESTART, mask);
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
            // SAFETY: the handler uses atomics, `raise` and `write`, and restores `errno`.
            unsafe { sigaction(signal, &action) }?;
        }
        TO_SEND.store(send as i32, Ordering::Relaxed);
        raise(Signal::SIGUSR1)?;
    }
    Ok(())
}
