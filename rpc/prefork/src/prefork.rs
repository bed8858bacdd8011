//! The public face: options and hooks in, a supervised service out.

use std::fmt;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::hooks::{DeadWorker, Hooks};
use crate::options::Options;
use crate::shell;
use crate::worker::Worker;

/// A service of preforked workers; the [crate](crate) has an example.
#[must_use = "nothing runs before `run`"]
pub struct Prefork {
    options: Options,
    hooks: Hooks,
    listeners: Vec<OwnedFd>,
    status: Option<TcpListener>,
}

impl Prefork {
    /// Configures a service; start it with [`run`](Self::run).
    pub fn new(options: Options) -> Self {
        Self { options, hooks: Hooks::default(), listeners: Vec::new(), status: None }
    }

    /// Enables hot upgrades: the new program gets this listener when `USR2` comes. Call it once for each listener.
    ///
    /// The new program takes them by [`passed_by_systemd`](crate::passed_by_systemd), like listeners that systemd has
    /// bound, in the order of these calls. Without a listener to hand over, `USR2` is logged and has no effect.
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
    /// The upgrade in steps:
    ///
    /// 1. The program is executed again with the same arguments and environment. Its path is the first argument if that
    ///    contains a slash (a symbolic link is resolved anew), else the file that ran when [`run`](Self::run) began.
    /// 2. It starts with default signals, an empty mask, a process group of its own, and no descriptors but the standard
    ///    ones and the listeners. If `TTIN` or `TTOU` have changed the number of workers, it takes over that number in
    ///    place of its [`Options::workers`](field@Options::workers).
    /// 3. Once all of its workers are ready, the old parent stops gracefully, as after `TERM`.
    /// 4. If it exits before that, or is not ready within
    ///    [`Options::upgrade_timeout`](field@Options::upgrade_timeout), it is stopped and the old program goes on.
    ///
    /// systemd is told the new main process (`MAINPID`). Without systemd the new parent becomes a child of the process
    /// that adopts orphans; shell and terminal do not know it. A parent with PID 1 refuses to upgrade, because everything
    /// ends with PID 1.
    pub fn hand_over(mut self, listener: impl Into<OwnedFd>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Answers HTTP on this listener, from the parent's own loop: no thread, no runtime, one request a connection.
    ///
    /// | path | answer |
    /// | --- | --- |
    /// | `/metrics` | the sum of what the workers [post](Worker::post), and the parent's own metrics, for Prometheus |
    /// | `/health` | 200 if a worker serves and the service is not stopping, else 503 |
    /// | `/` | the text of [`status`](crate::status) |
    ///
    /// Sums never go back: what a dead worker has counted stays in them. Everybody who reaches the port reads it, so bind
    /// it to loopback or to a network of operators. In a hot upgrade, [hand it over](Self::hand_over) like the other
    /// listeners; the new program answers once its workers are ready.
    ///
    /// ```no_run
    /// # use rpc_prefork::{Options, Prefork, Worker, bind};
    /// # fn work(worker: Worker) -> i32 { 0 }
    /// let status = bind("127.0.0.1:9090")?;
    /// Prefork::new(Options::default()).status(status).run(work)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The parent's own metrics: `prefork_workers_wanted`, `prefork_children{state}`, `prefork_slot_up{slot}`,
    /// `prefork_slot_restarts_total{slot}`, `prefork_workers_ended_total{how}`, `prefork_uptime_seconds`.
    pub fn status(mut self, listener: TcpListener) -> Self {
        self.status = Some(listener);
        self
    }

    /// Sets a hook that runs once in the parent, when all workers are ready. It must not start a thread. A panic in it is
    /// logged, and the service goes on.
    pub fn on_ready(mut self, hook: impl FnOnce() + 'static) -> Self {
        self.hooks.ready = Some(Box::new(hook));
        self
    }

    /// Sets a hook that cleans up after each worker that left a note and died uncleanly: it was killed, exited without being
    /// asked to, or exited with a status other than 0.
    ///
    /// The hook runs in a helper: a process that is forked for it and ends with it. It may build a runtime and take
    /// [`Options::helper_timeout`](field@Options::helper_timeout) without delaying the parent or the workers.
    pub fn on_unclean_death(mut self, hook: impl Fn(&DeadWorker<'_>) + 'static) -> Self {
        self.hooks.unclean_death = Some(Box::new(hook));
        self
    }

    /// Sets a hook that runs in the parent on each `USR1`, for example to reopen a log. It must not start a thread. A
    /// panic in it is logged, and the service goes on.
    ///
    /// The signal is then passed on to the workers; see [`Worker::usr1_fd`].
    pub fn on_usr1(mut self, hook: impl FnMut() + 'static) -> Self {
        self.hooks.usr1 = Some(Box::new(hook));
        self
    }

    /// Forks the workers and supervises them. Returns once it has been asked to stop and no child is left.
    ///
    /// `worker` runs in each child and never returns into the caller's code: the child exits with the status that it
    /// returns, or with 101 if it panics. Status 0 from a worker that was asked to stop says that it has cleaned up.
    ///
    /// Once the service begins to stop, no worker is started any more, and `worker` is dropped in the parent, while workers may
    /// still end their work: a listener that it owns (`move`) is closed, and its port is free as soon as every worker has closed
    /// its copy, and every helper that [cleans up](Self::on_unclean_death) has ended. What the workers need to the end, such as a
    /// directory that is removed when it is dropped, belongs outside of it.
    ///
    /// The signals in the table of the [crate](crate), and `CHLD`, belong to the supervisor from here on. They stay
    /// blocked when this returns, so that a late signal does not change the exit status of a process that is about to end.
    ///
    /// # Errors
    /// - [`Error::Option`]: an option is out of range.
    /// - [`Error::Control`]: the control socket cannot be created.
    /// - [`Error::Boot`]: no worker has ever become ready.
    /// - [`Error::Threads`]: this process has more than one thread, now or when a worker has to be replaced; in the second
    ///   case the workers are stopped first.
    /// - [`Error::System`]: a system call failed that cannot be retried.
    pub fn run(self, worker: impl FnMut(Worker) -> i32) -> Result<(), Error> {
        shell::run(
            self.options,
            self.hooks,
            shell::Listeners { handed_over: self.listeners, status: self.status },
            worker,
        )
    }
}

impl fmt::Debug for Prefork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefork").field("options", &self.options).finish_non_exhaustive()
    }
}
