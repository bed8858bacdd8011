//! Ends a child together with what the child has started: a process group.

use std::io::{PipeWriter, Read, Write, pipe};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pause, setpgid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut reader, mut writer) = pipe()?;
    // SAFETY: this process has one thread.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            drop(reader);
            become_a_group_of_two(&mut writer)?;
            loop {
                pause();
            }
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    reader.read_exact(&mut [0; 2])?;
    println!("a child and its child are ready");

    killpg(child, Signal::SIGTERM)?;
    waitpid(child, None)?;
    // The pipe ends when nobody holds its other end: all of them are gone.
    if reader.read(&mut [0])? == 0 {
        println!("nobody is left");
    }
    Ok(())
}

fn become_a_group_of_two(writer: &mut PipeWriter) -> Result<(), Box<dyn std::error::Error>> {
    let own = Pid::from_raw(0);
    setpgid(own, own)?; // a group of its own, named by its pid
    // SAFETY: this process has one thread, as its parent had.
    unsafe { fork() }?; // the grandchild is in the group, too
    writer.write_all(b".")?;
    Ok(())
}
