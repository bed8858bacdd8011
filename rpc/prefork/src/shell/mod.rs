//! The parent's loop: it waits, tells the core what has happened and performs the outputs. It has no rule of its own.

mod child;
mod figures;
mod forks;

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use common::Millis;
use common::log::{quietly, survive};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{Pid, getpid};

use crate::channel::{ParentEnd, Received, WorkerEnd};
use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, doing, explain_errno};
use crate::hooks::Hooks;
use crate::memory::{self, Schedule};
use crate::notify::Notifier;
use crate::options::Options;
use crate::process::{self, ForkError};
use crate::status_port::StatusPort;
use crate::supervisor::{ChildId, Config, Input, MAX_WORKERS, Output, Report, Request, Supervisor, seconds};
use crate::upgrade::{self, Program};
use crate::worker::Worker;
use child::ChildProcess;
use figures::Figures;

/// Pause between two rounds of the loop while it cannot be woken.
const BLIND_NAP: Duration = Duration::from_millis(50);

/// Maximum number of messages of one worker in one round of the loop.
const MESSAGES_AT_ONCE: usize = 64;

/// Listeners that the parent was given.
pub(crate) struct Listeners {
    /// Listeners for a new program.
    pub(crate) handed_over: Vec<OwnedFd>,
    /// Listener of the status port.
    pub(crate) status: Option<TcpListener>,
}

/// Forks and supervises the workers; see [`Prefork::run`](crate::Prefork::run).
pub(crate) fn run(
    options: Options,
    hooks: Hooks,
    listeners: Listeners,
    worker: impl FnMut(Worker) -> i32,
) -> Result<(), Error> {
    check(&options)?;
    let (predecessor, inherited) = upgrade::predecessor().unzip();
    let control =
        options.control.as_deref().filter(|_| predecessor.is_none()).map(Control::bind).transpose()?;
    let has_status = listeners.status.is_some();
    let status_port = listeners.status.map(StatusPort::new).transpose()?;
    let program = Program::of_this_process(listeners.handed_over);
    let signals = process::take_signals().map_err(doing("take over the parent's signals"))?;
    let clock = Clock::start();
    let mut config = config(&options, &hooks);
    // The predecessor's number of workers, if an operator has changed it by TTIN or TTOU.
    config.workers = inherited.flatten().unwrap_or(config.workers);
    let core = Supervisor::new(config, clock.now());
    let memory = Schedule::new(options.max_memory.is_some(), clock.now());
    let children = BTreeMap::new();
    let mut shell = Shell {
        options,
        hooks,
        worker: Some(worker),
        core,
        clock,
        signals: Some(signals),
        notify: Notifier::from_env(clock.now()),
        control,
        status_port,
        has_status,
        figures: Figures::default(),
        memory,
        program,
        predecessor,
        children,
        pid: getpid(),
        fatal: None,
        fork_error: None,
        done: false,
    };
    let result = shell.supervise();
    if result.is_err() {
        shell.kill_everything();
    }
    if let Some(control) = shell.control {
        control.remove();
    }
    result.and(shell.fatal.map_or(Ok(()), Err))
}

fn check(options: &Options) -> Result<(), Error> {
    if options.workers == 0 {
        return Err(Error::Option { name: "workers", problem: "is 0; at least one is needed" });
    }
    if options.workers > MAX_WORKERS {
        return Err(Error::Option { name: "workers", problem: "is over 1024" });
    }
    match process::count_threads().map_err(doing("count the parent's threads in /proc"))? {
        1 => Ok(()),
        threads => Err(Error::Threads(threads)),
    }
}

fn config(options: &Options, hooks: &Hooks) -> Config {
    Config {
        workers: options.workers,
        grace: options.grace.into(),
        quick_grace: options.quick_grace.into(),
        backoff_min: options.backoff_min.into(),
        backoff_max: options.backoff_max.into(),
        healthy_after: options.healthy_after.into(),
        boot_failures: options.boot_failures,
        boot_timeout: options.boot_timeout.map(Millis::from),
        heartbeat_timeout: options.heartbeat_timeout.map(Millis::from),
        max_memory: options.max_memory,
        max_age: options.max_age.map(Millis::from),
        helper_timeout: options.helper_timeout.into(),
        upgrade_timeout: options.upgrade_timeout.into(),
        helpers: hooks.unclean_death.is_some(),
        seed: fastrand::u64(..),
    }
}

struct Shell<F> {
    options: Options,
    hooks: Hooks,
    /// The workers' function, with the listeners that it owns; `None` once no worker will be started any more.
    worker: Option<F>,
    core: Supervisor,
    clock: Clock,
    /// The parent's signals; `None` in a child.
    signals: Option<SignalFd>,
    notify: Notifier,
    control: Option<Control>,
    /// Status port; `None` once a new program has it.
    status_port: Option<StatusPort>,
    /// Workers post their metrics.
    has_status: bool,
    figures: Figures,
    memory: Schedule,
    program: Program,
    /// The parent that has started this one by an upgrade, until it has been told that this one is ready.
    predecessor: Option<WorkerEnd>,
    children: BTreeMap<ChildId, ChildProcess>,
    pid: Pid,
    /// Reason for which the parent stops without being asked to.
    fatal: Option<Error>,
    /// Error of the last fork that failed.
    fork_error: Option<Errno>,
    done: bool,
}

impl<F: FnMut(Worker) -> i32> Shell<F> {
    fn supervise(&mut self) -> Result<(), Error> {
        self.handle(Input::Timeout);
        while !self.done {
            self.wait();
            self.notify.tick(self.clock.now());
            self.read_signals()?;
            for id in self.children.keys().copied().collect::<Vec<_>>() {
                self.read_channel(id, MESSAGES_AT_ONCE);
            }
            self.reap()?;
            self.look_for_suspended();
            self.measure_memory();
            self.handle(Input::Timeout);
            if let Some(mut control) = self.control.take() {
                control.answer(self.clock.now(), || self.status());
                self.control = Some(control);
            }
            if let Some(mut port) = self.status_port.take() {
                if self.predecessor.is_none() {
                    port.turn(self.clock.now(), |path| self.answer(path));
                }
                self.status_port = Some(port);
            }
        }
        Ok(())
    }

    fn measure_memory(&mut self) {
        if self.memory.is_due(self.clock.now()) {
            let workers: Vec<_> = self.children.iter().map(|(id, child)| (*id, child.pid)).collect();
            for (id, pid) in workers {
                if let Some(bytes) = memory::resident(pid) {
                    self.handle(Input::Memory(id, bytes));
                }
            }
        }
    }

    fn status(&self) -> String {
        let now = self.clock.now();
        let mut text = format!("parent (pid {}) {}, up {}\n", self.pid, self.core.state(), seconds(now));
        for status in self.core.status(now) {
            let pid = self.children.get(&status.id).map_or(0, |child| child.pid.as_raw());
            text.push_str(&format!("{}\n", status.line(pid)));
        }
        text
    }

    /// Waits for a signal, a message, a status request or the next deadline.
    fn wait(&self) {
        let now = self.clock.now();
        let answer = self.control.as_ref().and_then(Control::deadline);
        // The predecessor answers until the workers are ready.
        let port = self.status_port.as_ref().filter(|_| self.predecessor.is_none());
        let status = port.and_then(StatusPort::deadline);
        let deadlines =
            [self.core.poll_deadline(), self.notify.deadline(), self.memory.deadline(), answer, status];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = deadline.map_or(PollTimeout::NONE, |at| {
            // The clock rounds down: one more, so that the wait never ends too early.
            let Millis(ms) = at.since(now) + Millis(1);
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        });
        let channels = self.children.values().filter_map(|child| child.channel.as_ref());
        let ours = self.signals.iter().map(AsFd::as_fd).chain(self.control.iter().filter_map(Control::wakes));
        let mut fds: Vec<_> =
            ours.chain(channels.map(AsFd::as_fd)).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        fds.extend(port.into_iter().flat_map(StatusPort::wakes).map(|(fd, events)| PollFd::new(fd, events)));
        match poll(&mut fds, timeout) {
            // Interrupted by a foreign signal: the caller checks everything and comes back.
            Ok(_) | Err(Errno::EINTR) => {}
            // Out of memory, or the limit of descriptors is now below the number in use: the caller checks everything
            // from time to time instead.
            Err(_) => thread::sleep(BLIND_NAP),
        }
    }

    fn read_signals(&mut self) -> Result<(), Error> {
        while let Some(signals) = &self.signals {
            let info = match signals.read_signal() {
                Ok(Some(info)) => info,
                Ok(None) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(doing("read the parent's signals")(errno)),
            };
            let request = match libc::c_int::try_from(info.ssi_signo) {
                Ok(libc::SIGTERM) => Request::Terminate,
                Ok(libc::SIGINT) => Request::Interrupt,
                Ok(libc::SIGQUIT) => Request::Quit,
                Ok(libc::SIGHUP) => Request::Reload,
                Ok(libc::SIGTTIN) => Request::More,
                Ok(libc::SIGTTOU) => Request::Fewer,
                Ok(libc::SIGUSR1) => Request::Usr1,
                Ok(libc::SIGUSR2) if self.program.has_listeners() => Request::Upgrade,
                // While it stops, the listeners are closed.
                Ok(libc::SIGUSR2) if self.worker.is_none() => continue,
                Ok(libc::SIGUSR2) => {
                    quietly(|| tracing::warn!("SIGUSR2: no listener to hand over; going on"));
                    continue;
                }
                // CHLD only has to wake the loop, which reaps in any case. ALRM has no meaning.
                _ => continue,
            };
            self.handle(Input::Request(request));
        }
        Ok(())
    }

    fn read_channel(&mut self, id: ChildId, limit: usize) {
        for _ in 0..limit {
            let Some(child) = self.children.get_mut(&id) else { return };
            let received = child.channel.as_ref().map_or(Received::Nothing, ParentEnd::receive);
            let message = match received {
                Received::Nothing => return,
                Received::Closed => {
                    child.channel = None;
                    return;
                }
                Received::Message(message) => message,
            };
            let inputs = child.take(id, message);
            for input in inputs.into_iter().chain([Input::Heard(id)]) {
                self.handle(input);
            }
        }
    }

    /// Reaps every dead child: one `CHLD` may stand for many exits.
    fn reap(&mut self) -> Result<(), Error> {
        while let Some(pid) = process::next_dead().map_err(doing("look for dead children"))? {
            let id = self.children.iter().find(|(_, c)| c.pid == pid && c.exit.is_none()).map(|(id, _)| *id);
            if id.is_some() {
                // Kills what it leaves behind, before reaping frees its pid, which names the group too.
                process::kill_group(pid);
            }
            let exit = process::reap(pid).map_err(doing("reap a dead child"))?;
            let Some(id) = id else {
                quietly(|| tracing::debug!("reaped a process that is no child of this service (pid {pid})"));
                continue;
            };
            self.read_channel(id, usize::MAX);
            if let Some(child) = self.children.get_mut(&id) {
                child.channel = None;
                child.exit = Some(exit);
                if let Some(board) = child.board.take() {
                    self.figures.absorb(exit, board.read().as_deref());
                }
            }
            self.handle(Input::Exited(id, exit));
            self.children.remove(&id);
        }
        Ok(())
    }

    /// Reports children that were suspended or resumed. An error costs a report and nothing else.
    fn look_for_suspended(&mut self) {
        while let Ok(Some((pid, signal))) = process::next_suspended() {
            if let Some((&id, _)) = self.children.iter().find(|(_, child)| child.pid == pid) {
                self.handle(Input::Suspended(id, signal));
            }
        }
    }

    /// Hands an input to the core and performs the outputs; their failures are inputs again.
    fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.core.handle(self.clock.now(), input);
            while let Some(output) = self.core.poll_output() {
                inputs.extend(self.perform(output));
            }
        }
    }

    /// Performs one output and returns the inputs of its failure.
    fn perform(&mut self, output: Output) -> Vec<Input> {
        match output {
            Output::Spawn { id, slot, urgent } => {
                return self.spawn(id, slot, urgent).map_or_else(|e| self.failed(id, e), |()| vec![]);
            }
            Output::Help { id, dead } => {
                return self.help(id, dead).map_or_else(|e| self.failed(id, e), |()| vec![]);
            }
            Output::Upgrade(id) => {
                return self.upgrade(id).map_or_else(|why| vec![Input::ForkFailed(id, why)], |()| vec![]);
            }
            Output::HandOver(id) => {
                self.children.remove(&id);
                // The new parent talks to systemd and answers for the service from now on.
                self.notify = Notifier::default();
                self.status_port = None;
            }
            Output::CloseListeners => {
                // The port is free once the workers have closed theirs, and nobody waits in a queue that is not served.
                self.program.close_listeners();
                let worker = self.worker.take();
                // It may own anything.
                let _ = survive(|| drop(worker));
            }
            Output::Stop(id, stop) => {
                self.signal(id, "ask a child to stop", |pid| process::ask_to_leave(pid, stop));
            }
            Output::Abort(id) => self.signal(id, "abort a child", process::abort),
            Output::Kill(id) => {
                if let Some(pid) = self.living(id) {
                    process::kill_group(pid);
                }
            }
            Output::AllReady => {
                self.hooks.run_ready();
                self.relieve_predecessor();
            }
            Output::PassOnUsr1(id) => self.signal(id, "pass USR1 on to a child", process::pass_on_usr1),
            Output::Usr1Hook => self.hooks.run_usr1(),
            Output::GiveUp(dead) => {
                let error = match self.children.get_mut(&dead) {
                    Some(ChildProcess { slot, exit: Some(exit), last_words, .. }) => {
                        Some(Error::Boot { slot: *slot, exit: *exit, last_words: last_words.take() })
                    }
                    _ => self.fork_error.take().map(doing("fork a worker")),
                };
                self.fatal = error.or(self.fatal.take());
            }
            Output::Report(report) => self.log(&report),
            Output::Exit => self.done = true,
        }
        vec![]
    }

    /// Takes the control socket over from the old parent, and tells it that this one is ready, so that it stops.
    fn relieve_predecessor(&mut self) {
        let Some(predecessor) = self.predecessor.take() else { return };
        if let Some(path) = &self.options.control {
            match Control::take_over(path) {
                Ok(control) => self.control = Some(control),
                Err(error) => quietly(|| tracing::warn!("no status for operators: {error}")),
            }
        }
        if let Err(errno) = predecessor.ready(&[]) {
            let why = explain_errno(errno);
            quietly(|| tracing::warn!("cannot tell the old program that this one is ready: {why}"));
        }
    }

    fn failed(&mut self, id: ChildId, error: ForkError) -> Vec<Input> {
        match error {
            ForkError::System(errno) => {
                self.fork_error = Some(errno);
                vec![Input::ForkFailed(id, explain_errno(errno))]
            }
            ForkError::Threads(threads) => {
                self.fork_error = None;
                let error = Error::Threads(threads);
                let inputs =
                    vec![Input::ForkFailed(id, error.to_string()), Input::Request(Request::CannotFork)];
                self.fatal = Some(error);
                inputs
            }
        }
    }

    /// Signals a child, unless it has been reaped.
    fn signal(&self, id: ChildId, what: &str, signal: impl FnOnce(Pid) -> nix::Result<()>) {
        let Some(pid) = self.living(id) else { return };
        if let Err(errno) = signal(pid) {
            let why = explain_errno(errno);
            quietly(|| tracing::warn!("cannot {what} (pid {pid}): {why}"));
        }
    }

    /// Returns the pid of a child, unless it has been reaped.
    fn living(&self, id: ChildId) -> Option<Pid> {
        self.children.get(&id).filter(|child| child.exit.is_none()).map(|child| child.pid)
    }

    fn log(&self, report: &Report) {
        let pid = report.child().and_then(|id| self.children.get(&id)).map_or(0, |child| child.pid.as_raw());
        let line = report.line(pid).to_string();
        self.notify.report(report, pid, &line);
        quietly(|| match report.is_warning() {
            true => tracing::warn!("{line}"),
            false => tracing::info!("{line}"),
        });
    }

    /// Kills and reaps every child: the way out when the loop itself has failed.
    fn kill_everything(&mut self) {
        for child in self.children.values().filter(|child| child.exit.is_none()) {
            process::kill_group(child.pid);
            let _ = process::reap(child.pid);
        }
        self.children.clear();
    }
}
