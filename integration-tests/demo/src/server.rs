//! The half that serves.

use std::os::unix::process::parent_id;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use rpc_server::{Prefork, PreforkOptions};

use crate::services::service;
use crate::{Result, ServerArgs, print_line};

/// Serves until it is told to stop by a signal.
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
            // A server that serves does not end because nobody reads that it does.
            if let Err(error) = print_line(&format!("ready {addr}")) {
                tracing::warn!(%error, "cannot say on standard output that the server is ready");
            }
        })
        .run()?;
    Ok(())
}

/// Has the kernel send SIGTERM when the parent ends, however it does.
fn follow(parent: u32) -> Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    // It may have ended before the kernel knew.
    if parent_id() == parent {
        Ok(())
    } else {
        Err(format!("process {parent}, to be followed, has ended").into())
    }
}
