//! Waits for input while signals come: what does a read do that is interrupted?

use std::io::{ErrorKind, PipeReader, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getppid};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

extern "C" fn do_nothing(_signal: libc::c_int) {}

extern "C" fn answer_the_third(_signal: libc::c_int) {
    if SIGNALS.fetch_add(1, Ordering::Relaxed) == 2 {
        // SAFETY: `write` may be called in a handler, and the text is as long as it says.
        unsafe { libc::write(WRITE_END.load(Ordering::Relaxed), c"world".as_ptr().cast(), 5) };
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut reader, mut writer) = pipe()?;
    WRITE_END.store(writer.as_raw_fd(), Ordering::Relaxed);

    handle(do_nothing, SaFlags::empty())?;
    let child = start_a_child_that_sends_signals()?;
    // There is nothing to read, so only a signal ends this.
    if let Err(error) = reader.read(&mut [0; 5]) {
        println!("a read fails: {:?}, {}", error.kind(), Errno::EINTR.desc());
    }
    writer.write_all(b"hello")?;
    println!("it is tried again: {}", read_through_signals(&mut reader)?);

    // With SA_RESTART the kernel tries again by itself.
    handle(answer_the_third, SaFlags::SA_RESTART)?;
    let mut data = [0; 5];
    let length = reader.read(&mut data)?;
    println!("three signals, one read: {}", String::from_utf8_lossy(&data[..length]));

    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    if let Err(error) = waitpid(child, None) {
        println!("{error:?} means: {}", error.desc());
    }
    Ok(())
}

fn handle(handler: extern "C" fn(libc::c_int), flags: SaFlags) -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(handler), flags, SigSet::empty());
    // SAFETY: the two handlers above use an atomic and `write` only. `write` may change `errno`, but the code that they
    // interrupt is a `read` here, which sets it anew.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

fn start_a_child_that_sends_signals() -> nix::Result<Pid> {
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => loop {
            let _ = kill(getppid(), Signal::SIGUSR1);
            sleep(Duration::from_millis(10));
        },
        ForkResult::Parent { child } => Ok(child),
    }
}

/// Reads as `read_exact`, `read_to_end` and `write_all` do by themselves.
fn read_through_signals(reader: &mut PipeReader) -> std::io::Result<String> {
    let mut data = [0; 5];
    loop {
        match reader.read(&mut data) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return Ok(String::from_utf8_lossy(&data[..read?]).into_owned()),
        }
    }
}
