//! The server.

use std::os::unix::process::parent_id;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use rpc_server::{Prefork, PreforkOptions};

use crate::services::service;
use crate::{Result, ServerArgs, print_line};

/// Serves until a signal stops it.
pub(crate) fn run(args: ServerArgs) -> Result<()> {
    if let Some(parent) = args.with_parent {
        follow(parent)?;
    }
    Prefork::new(|_slot| service(&args.service))
        .listen(args.listen)
        .options(PreforkOptions::default().workers(args.workers))
        .zookeeper(args.zookeeper)
        .session_timeout(Duration::from_millis(args.session_timeout_ms))
        .on_ready(|addr| {
            // A missing reader of this line is no reason to end.
            if let Err(error) = print_line(&format!("ready {addr}")) {
                tracing::warn!(%error, "cannot print on standard output that the server is ready");
            }
        })
        .run()?;
    Ok(())
}

/// Lets the kernel send SIGTERM when the parent ends in any way.
fn follow(parent: u32) -> Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    // The parent may have ended before the call.
    if parent_id() == parent { Ok(()) } else { Err(format!("the parent process {parent} has ended").into()) }
}
