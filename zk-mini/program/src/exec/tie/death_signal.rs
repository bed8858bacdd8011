//! The tie on Linux: the kernel sends a signal when the parent dies.

use std::io;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use tokio::process::Child;

/// Side of zk-mini; the command's side does it all.
pub(in crate::exec) struct Tie;

impl Tie {
    #[expect(clippy::unnecessary_wraps, reason = "other systems have something to start")]
    pub(in crate::exec) fn new(_: &Child) -> io::Result<Self> {
        Ok(Self)
    }

    /// Unties the command, which has ended.
    pub(in crate::exec) async fn release(self) {}
}

/// Ties this process, also when it becomes another program. False if the parent has died already.
pub(in crate::exec) fn accept(parent: i32) -> io::Result<bool> {
    // The setting survives exec. The parent may have been killed before it was made.
    set_pdeathsig(Signal::SIGKILL)?;
    Ok(getppid().as_raw() == parent)
}
