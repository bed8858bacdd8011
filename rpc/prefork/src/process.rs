//! Processes and signals: fork, kill, wait, signal handlers. The only file with unsafe code, each piece with its reason.
#![expect(unsafe_code, reason = "fork, signal handlers and raw wait statuses have no safe interface")]

use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, killpg, raise, sigaction,
};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, alarm, getppid, setpgid};

use crate::supervisor::{Exit, Stop};

/// Number of the first descriptor that is passed to a program (`sd_listen_fds(3)`).
const FIRST_PASSED: libc::c_int = 3;

/// Signals that the parent handles, and `ALRM`, which has no meaning but would kill it.
const MINE: [Signal; 10] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
    Signal::SIGALRM,
];

/// Signals that get their default action back in a child, whatever the parent or its own parent did with them. `PIPE` is
/// not among them, because Rust programs ignore it, nor are faults such as `SEGV`, whose handlers belong to the program.
const RESET: [Signal; 16] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGABRT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGWINCH,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
];

/// State of the signal handlers. They can reach only statics; all are set before the handlers are installed.
static STOP: AtomicU8 = AtomicU8::new(0);
static STOP_FD: AtomicI32 = AtomicI32::new(-1);
static USR1_FD: AtomicI32 = AtomicI32::new(-1);
static PARENT: AtomicI32 = AtomicI32::new(0);
static ORPHAN_GRACE: AtomicU32 = AtomicU32::new(0);

const GRACEFUL: u8 = 1;
const QUICK: u8 = 2;

/// Blocks the signals that the parent handles, and returns a descriptor to read them from.
///
/// Blocked signals wait even if the caller's own parent had them ignored. `CHLD` gets its default action: if it were
/// ignored, the kernel would reap the children and their exit statuses would be lost.
pub(crate) fn take_signals() -> nix::Result<SignalFd> {
    let mine: SigSet = MINE.into_iter().collect();
    mine.thread_block()?;
    set_action(Signal::SIGCHLD, SigHandler::SigDfl)?;
    SignalFd::with_flags(&mine, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Takes the first `count` descriptors that systemd or the old program has passed to this process, from
/// [`FIRST_PASSED`] on. They have one owner, so only the first call returns any. A descriptor that is not open is `EBADF`.
pub(crate) fn take_passed(count: i32) -> nix::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, SeqCst) {
        return Ok(Vec::new());
    }
    let passed = FIRST_PASSED..FIRST_PASSED.saturating_add(count);
    for fd in passed.clone() {
        // SAFETY: borrowed for one call, which fails if it is not open and changes nothing but a flag of it.
        fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    // SAFETY: they are open, the protocol gives them to this process and nothing else in it uses them, and `TAKEN` ensures
    // that they get one owner.
    Ok(passed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// Takes the descriptor of the channel to the old program; only the first call returns it.
pub(crate) fn take_predecessor(fd: i32) -> nix::Result<Option<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if fd < FIRST_PASSED || TAKEN.swap(true, SeqCst) {
        return Ok(None);
    }
    // SAFETY: borrowed for one call, which fails if it is not open and changes nothing but a flag of it.
    fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, was passed to this process for this purpose, and `TAKEN` ensures that it gets one owner.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Returns the number of threads of this process.
pub(crate) fn count_threads() -> nix::Result<usize> {
    let tasks = std::fs::read_dir("/proc/self/task");
    tasks.map(Iterator::count).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Reason for which a fork failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ForkError {
    /// The process has this many threads; only one is allowed.
    Threads(usize),
    System(Errno),
}

impl From<Errno> for ForkError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Forks. Returns the child's pid in the parent and `None` in the child. When it returns in the parent, the child is in a
/// process group of its own.
pub(crate) fn fork() -> Result<Option<Pid>, ForkError> {
    let threads = count_threads()?;
    if threads != 1 {
        return Err(ForkError::Threads(threads));
    }
    // Else parent and child would both write what is buffered. A closed stdout is no reason not to fork.
    let _ = std::io::stdout().flush();
    // The child gets no signal before it has set up its own handling: a `TSTP` to the whole group would suspend it for ever.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // SAFETY: the danger of fork is a lock held, or a state half changed, by a thread that does not exist in the
    // child. This is the only thread, so the child is a complete copy and may run any code.
    let forked = unsafe { nix::unistd::fork() };
    if !matches!(forked, Ok(ForkResult::Child)) {
        // This cannot fail: the set comes from the kernel.
        let _ = mask.thread_set_mask();
    }
    match forked? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => {
            // The child does the same, so the group exists before it is signalled, whichever of them is first. An error
            // means that the child was faster and is gone already.
            let _ = setpgid(child, child);
            Ok(Some(child))
        }
    }
}

/// Turns a child into a worker: own process group, a signal when the parent dies, clean signal handling.
///
/// The handlers write to `stop` when the worker is asked to stop and to `usr1` on `USR1`. `orphan_grace` is the time that
/// it has to exit if the parent, which would kill it at that time, is gone.
pub(crate) fn become_worker(
    parent: Pid,
    stop: &OwnedFd,
    usr1: &OwnedFd,
    orphan_grace: Duration,
) -> nix::Result<()> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    USR1_FD.store(usr1.as_raw_fd(), SeqCst);
    STOP_FD.store(stop.as_raw_fd(), SeqCst);
    PARENT.store(parent.as_raw(), SeqCst);
    ORPHAN_GRACE.store(ceil_seconds(orphan_grace), SeqCst);
    for signal in RESET {
        set_action(signal, SigHandler::SigDfl)?;
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        set_action(signal, SigHandler::Handler(note_stop))?;
    }
    set_action(Signal::SIGALRM, SigHandler::Handler(end_orphaned_group))?;
    set_action(Signal::SIGUSR1, SigHandler::Handler(note_usr1))?;
    leave_to_the_parent(&[Signal::SIGHUP, Signal::SIGUSR2])?;
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != parent {
        // It died before the kernel was asked to signal its death.
        raise(Signal::SIGTERM)?;
    }
    // Signals since the fork have waited, and come now.
    SigSet::empty().thread_set_mask()
}

/// Sends `USR1` to a worker that has not been reaped.
pub(crate) fn pass_on_usr1(pid: Pid) -> nix::Result<()> {
    kill(pid, Signal::SIGUSR1)
}

/// Turns a child into a helper: own process group, and an alarm that kills it if the parent, which would kill it after
/// `timeout`, is gone.
///
/// It ignores the signals for the parent and the workers. Its time is short anyway, and its work matters most when
/// everything is stopping.
pub(crate) fn become_helper(parent: Pid, timeout: Duration) -> nix::Result<()> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    PARENT.store(parent.as_raw(), SeqCst);
    for signal in RESET {
        set_action(signal, SigHandler::SigDfl)?;
    }
    leave_to_the_parent(&[
        Signal::SIGHUP,
        Signal::SIGUSR2,
        Signal::SIGUSR1,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ])?;
    set_action(Signal::SIGALRM, SigHandler::Handler(end_orphaned_group))?;
    alarm::set(ceil_seconds(timeout).saturating_add(1));
    SigSet::empty().thread_set_mask()
}

/// Prepares a child for the `exec` of the new program: own process group, clean signal handling, and the descriptors
/// `passed` from [`FIRST_PASSED`] on. No others but the standard ones survive. Returns [`FIRST_PASSED`].
///
/// `USR2` is ignored until the new program handles its signals: an early one must not kill it.
pub(crate) fn become_program(passed: &[BorrowedFd<'_>]) -> nix::Result<usize> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    for signal in RESET {
        set_action(signal, SigHandler::SigDfl)?;
    }
    set_action(Signal::SIGUSR2, SigHandler::SigIgn)?;
    let end = FIRST_PASSED + libc::c_int::try_from(passed.len()).unwrap_or(libc::c_int::MAX);
    // Copied above the targets first: one may have the number that another is to get.
    let copies = passed.iter().map(|fd| fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(end)));
    for (target, copy) in (FIRST_PASSED..).zip(copies.collect::<nix::Result<Vec<_>>>()?) {
        // SAFETY: this closes the descriptor that had the number before. Nothing uses it any more: this process only
        // executes another program or ends.
        Errno::result(unsafe { libc::dup2(copy, target) })?;
    }
    // Kernels before 5.11 lack this call. Descriptors that were opened without the flag then stay open, as usual.
    // SAFETY: it changes only flags.
    unsafe { libc::syscall(libc::SYS_close_range, end, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    SigSet::empty().thread_set_mask()?;
    Ok(FIRST_PASSED as usize)
}

/// Returns the most urgent request to this worker to stop, if there was one.
pub(crate) fn stop_requested() -> Option<Stop> {
    match STOP.load(SeqCst) {
        0 => None,
        GRACEFUL => Some(Stop::Graceful),
        _ => Some(Stop::Quick),
    }
}

/// Ends a child without running exit handlers, which belong to the parent. If the parent is gone, it kills its process
/// group too, as the parent would have done.
pub(crate) fn exit(status: i32) -> ! {
    let _ = std::io::stdout().flush();
    let parent = PARENT.load(SeqCst);
    if parent != 0 && getppid().as_raw() != parent {
        let _ = killpg(Pid::from_raw(0), Signal::SIGKILL);
    }
    // The kernel keeps eight bits, but 256 must not look like success.
    let status = if status != 0 && status & 0xff == 0 { 1 } else { status };
    // SAFETY: `_exit` ends the process and touches nothing of it.
    unsafe { libc::_exit(status) }
}

/// Asks a child that has not been reaped to stop. If it is suspended, it is resumed so that it can.
pub(crate) fn ask_to_leave(pid: Pid, stop: Stop) -> nix::Result<()> {
    let signal = match stop {
        Stop::Graceful => Signal::SIGTERM,
        Stop::Quick => Signal::SIGQUIT,
    };
    kill(pid, signal)?;
    kill(pid, Signal::SIGCONT)
}

/// Aborts a child that has not been reaped: a core dump or a handler of its own shows where it hangs.
pub(crate) fn abort(pid: Pid) -> nix::Result<()> {
    kill(pid, Signal::SIGABRT)
}

/// Kills a child that has not been reaped, and its process group.
pub(crate) fn kill_group(pid: Pid) {
    // Both, because it may have moved to another group. For a child the only possible error is that it is dead already.
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
}

/// Returns a child that has died and is not [reaped](reap) yet. Until then no other process can get its pid.
pub(crate) fn next_dead() -> nix::Result<Option<Pid>> {
    Ok(next_child(libc::WEXITED | libc::WNOWAIT)?.map(|(pid, _)| pid))
}

/// Returns a child that a signal has suspended, with the signal, or that was resumed.
pub(crate) fn next_suspended() -> nix::Result<Option<(Pid, Option<i32>)>> {
    let next = next_child(libc::WSTOPPED | libc::WCONTINUED)?;
    Ok(next.map(|(pid, info)| {
        // SAFETY: the field is valid for a change of state, where it holds the signal.
        let signal = unsafe { info.si_status() };
        (pid, (info.si_code != libc::CLD_CONTINUED).then_some(signal))
    }))
}

/// Returns a child with one of the changes of state in `what`, if there is one.
fn next_child(what: libc::c_int) -> nix::Result<Option<(Pid, libc::siginfo_t)>> {
    loop {
        // SAFETY: all zeroes is a valid `siginfo_t`, and `waitid` writes only into it.
        let (result, info) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            (libc::waitid(libc::P_ALL, 0, &mut info, what | libc::WNOHANG), info)
        };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: `waitid` succeeded, so the field holds the pid of a child, or the zero from above.
                let pid = unsafe { info.si_pid() };
                return Ok((pid != 0).then(|| (Pid::from_raw(pid), info)));
            }
        }
    }
}

/// Reaps a child, and blocks until it is dead. The call is libc's, because statuses of `nix` cannot hold real-time signals.
pub(crate) fn reap(pid: Pid) -> nix::Result<Exit> {
    let mut status = 0;
    loop {
        // SAFETY: `waitpid` writes only into `status`.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut status, 0) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) if libc::WIFSIGNALED(status) => return Ok(Exit::Signal(libc::WTERMSIG(status))),
            Ok(_) => return Ok(Exit::Status(libc::WEXITSTATUS(status))),
        }
    }
}

/// Handles, in a worker, the signals that ask it to stop.
extern "C" fn note_stop(signal: libc::c_int) {
    let errno = Errno::last_raw();
    STOP.fetch_max(if signal == libc::SIGTERM { GRACEFUL } else { QUICK }, SeqCst);
    // SAFETY: `write`, `getppid` and `alarm` may be called in a handler. The descriptor is the worker's pipe, which is open
    // as long as the process lives and does not block. A full pipe is readable already.
    unsafe {
        libc::write(STOP_FD.load(SeqCst), c"!".as_ptr().cast(), 1);
        if libc::getppid() != PARENT.load(SeqCst) {
            libc::alarm(ORPHAN_GRACE.load(SeqCst));
        }
    }
    Errno::set_raw(errno);
}

/// Handles `USR1` in a worker: makes its pipe readable.
extern "C" fn note_usr1(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: `write` may be called in a handler. The descriptor is the worker's pipe, which is open as long as the worker
    // function runs and does not block. A full pipe is readable already.
    unsafe { libc::write(USR1_FD.load(SeqCst), c"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

/// Handles the alarm that [`note_stop`] or [`become_helper`] has set, in a child whose parent is gone: kills its process
/// group. While the parent lives, which kills it in time itself, the signal is foreign and has no meaning.
extern "C" fn end_orphaned_group(_: libc::c_int) {
    // SAFETY: `getppid` and `kill` may be called in a handler.
    unsafe {
        if libc::getppid() != PARENT.load(SeqCst) {
            libc::kill(0, libc::SIGKILL);
        }
    }
}

/// Does nothing. Unlike an ignored signal, a handler is not inherited by the programs that a child starts.
extern "C" fn note_nothing(_: libc::c_int) {}

/// Makes signals for the parent harmless in a child: they may be sent to the whole service, by its group or its name.
fn leave_to_the_parent(signals: &[Signal]) -> nix::Result<()> {
    for signal in signals {
        set_action(*signal, SigHandler::Handler(note_nothing))?;
    }
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        // Ignored: a child is no job of the terminal, so it would never be continued. With a handler instead, a read from
        // the terminal would be retried without end.
        set_action(signal, SigHandler::SigIgn)?;
    }
    Ok(())
}

fn set_action(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: it is a default action, or one of the handlers above, which only do what is allowed in a handler.
    unsafe { sigaction(signal, &action) }.map(drop)
}

fn ceil_seconds(span: Duration) -> u32 {
    // At least 1: an alarm of 0 seconds is no alarm.
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}
