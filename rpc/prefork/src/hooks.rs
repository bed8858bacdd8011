//! The user's hooks, called so that a panic in one of them does not end the parent.

use common::log::{quietly, survive};

use crate::supervisor::Exit;

/// A worker that died uncleanly, for the hook of [`Prefork::on_unclean_death`](crate::Prefork::on_unclean_death).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DeadWorker<'a> {
    /// Its slot.
    pub slot: u32,
    /// The pid that it had. Another process may have it by now.
    pub pid: i32,
    /// Its end.
    pub exit: Exit,
    /// Its last note, from [`Worker::ready`](crate::Worker::ready) or [`Worker::set_note`](crate::Worker::set_note);
    /// never empty.
    pub note: &'a [u8],
}

/// The hooks that the user has set.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) ready: Option<Box<dyn FnOnce()>>,
    pub(crate) unclean_death: Option<UncleanDeathHook>,
    pub(crate) usr1: Option<Box<dyn FnMut()>>,
}

type UncleanDeathHook = Box<dyn Fn(&DeadWorker<'_>)>;

impl Hooks {
    pub(crate) fn run_ready(&mut self) {
        if let Some(hook) = self.ready.take() {
            run("on_ready", hook);
        }
    }

    pub(crate) fn run_usr1(&mut self) {
        if let Some(hook) = &mut self.usr1 {
            run("on_usr1", hook);
        }
    }
}

/// Runs a hook and logs its panic.
fn run(name: &str, hook: impl FnOnce()) {
    if let Err(why) = survive(hook) {
        quietly(|| tracing::error!("the hook `{name}` {why}; going on"));
    }
}
