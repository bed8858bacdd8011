//! The public face: options and hooks in, a supervised service out.

use std::fmt;
use std::os::fd::OwnedFd;

use crate::supervisor::Exit;
use crate::{Error, Options, Worker, shell};

/// A worker that died without saying goodbye, as its cleaner sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Dead<'a> {
    /// Its slot.
    pub slot: u32,
    /// The pid that it had; somebody else's by the time this is read, perhaps.
    pub pid: i32,
    /// How it ended.
    pub exit: Exit,
    /// The last note that it left with [`Worker::ready`] or [`Worker::set_note`]; never empty.
    pub note: &'a [u8],
}

/// A service of preforked workers; see the [crate](crate) for an example.
#[must_use = "nothing runs before `run`"]
pub struct Prefork {
    pub(crate) options: Options,
    pub(crate) hooks: Hooks,
    pub(crate) listeners: Vec<OwnedFd>,
}

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) ready: Option<Box<dyn FnOnce()>>,
    pub(crate) unclean_death: Option<UncleanDeath>,
    pub(crate) usr1: Option<Box<dyn FnMut()>>,
}

type UncleanDeath = Box<dyn Fn(&Dead<'_>)>;

impl Prefork {
    /// A service that is not running yet.
    pub fn new(options: Options) -> Self {
        Self { options, hooks: Hooks::default(), listeners: Vec::new() }
    }

    /// Allows for a hot upgrade: a listener, or a copy of one, that the next program gets when `USR2` comes. It
    /// finds it by [`passed_by_systemd`](crate::passed_by_systemd), just as one that systemd has bound; with several,
    /// they come in the order of these calls. Without any, `USR2` is logged and has no effect.
    ///
    /// ```no_run
    /// # use rpc_prefork::{Options, Prefork, Worker, bind, passed_by_systemd};
    /// # fn work(worker: Worker) -> i32 { 0 }
    /// let listener = match passed_by_systemd()?.pop() {
    ///     Some(passed) => passed,
    ///     None => bind("127.0.0.1:7000")?,
    /// };
    /// Prefork::new(Options::default()).hand_over(listener.try_clone()?).run(work)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// What happens then: the program is executed again, with the arguments and the environment that this one had.
    /// Its path is the first argument if that has a slash (a symbolic link is followed anew), else the file that was
    /// running when [`run`](Self::run) began. It has as many workers as there are if `TTIN` or `TTOU` have changed that,
    /// whatever its [`Options::workers`] say. It starts with default signals and an empty mask, in a process group of
    /// its own, and with no descriptors but the standard ones and the listeners. As soon as all of its workers are
    /// ready, the old parent leaves gracefully, as after `TERM`. If it ends before, or is not ready within
    /// [`Options::upgrade_timeout`], it is stopped, and the old one goes on as if nothing had been.
    ///
    /// systemd is told the new main process (`MAINPID`); without systemd it becomes a child of whoever adopts
    /// orphans, and shell and terminal do not know it. As PID 1 an upgrade is refused: everything ends with that one.
    pub fn hand_over(mut self, listener: impl Into<OwnedFd>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Called once, in the parent, when all workers have said that they are ready. It must not start a thread. If it
    /// panics, that is logged, and the service goes on.
    pub fn on_ready(mut self, hook: impl FnOnce() + 'static) -> Self {
        self.hooks.ready = Some(Box::new(hook));
        self
    }

    /// Called for each worker that left a note and then ended unasked, or not with status 0: it crashed, was killed,
    /// called `exit`, or did not leave in time. It runs in a process of its own, forked for this and ended afterwards, so it may build a
    /// runtime and take [`Options::helper_timeout`]; the parent and the other workers do not notice.
    pub fn on_unclean_death(mut self, hook: impl Fn(&Dead<'_>) + 'static) -> Self {
        self.hooks.unclean_death = Some(Box::new(hook));
        self
    }

    /// Called in the parent whenever it gets `USR1`, for example to reopen its log. It must not start a thread. The
    /// signal is then passed on to the workers, who hear of it by [`Worker::usr1_fd`]. If the hook panics, that is
    /// logged, and the service goes on.
    pub fn on_usr1(mut self, hook: impl FnMut() + 'static) -> Self {
        self.hooks.usr1 = Some(Box::new(hook));
        self
    }

    /// Forks the workers, supervises them, and returns when it has been asked to stop and no child is left.
    ///
    /// `worker` runs in each child, which ends with the status that it returns (101 if it panics): 0, after it was
    /// asked to leave, says that it has cleaned up. It never returns into the caller's code. The caller's signals (those in the
    /// table of the [crate], and `CHLD`) belong to the supervisor from here on; they stay blocked when this returns, so that a late signal does
    /// not change the status of a process that is about to end.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Control`], [`Error::Boot`] if no worker has ever become ready, [`Error::Threads`] if this process has more than one thread, now or when a worker has to be
    /// replaced (the others are stopped first), [`Error::System`] if the system refuses what cannot be retried.
    pub fn run(self, worker: impl FnMut(Worker) -> i32) -> Result<(), Error> {
        shell::run(self, worker)
    }
}

impl fmt::Debug for Prefork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefork").field("options", &self.options).finish_non_exhaustive()
    }
}
