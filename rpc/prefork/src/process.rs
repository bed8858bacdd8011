//! Processes and signals: fork, kill, wait, handlers. The only unsafe code, each piece with its reason.
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

/// Blocks the signals that the supervisor handles and gives a descriptor to read them from.
///
/// Blocked signals wait even where the caller's own parent had them ignored; `CHLD` gets its default action, because
/// ignoring it would make the kernel reap our children behind our back.
pub(crate) fn take_signals() -> nix::Result<SignalFd> {
    let mine: SigSet = MINE.into_iter().collect();
    mine.thread_block()?;
    set_action(Signal::SIGCHLD, SigHandler::SigDfl)?;
    SignalFd::with_flags(&mine, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// The descriptors that systemd, or the program before this one, has passed to this process, 3 and on; those that are not open are `EBADF`. Only the first
/// call gives any: they have one owner.
pub(crate) fn take_passed(count: i32) -> nix::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, SeqCst) {
        return Ok(Vec::new());
    }
    let passed = FIRST_PASSED..FIRST_PASSED.saturating_add(count);
    for fd in passed.clone() {
        // SAFETY: borrowed for a call that fails if it is not open, and changes nothing but a flag of it.
        fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    // SAFETY: they are open, by the protocol they are for this process and for nothing else in it, and `TAKEN` sees to
    // it that they are given away once.
    Ok(passed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// The descriptor that a program before this one has passed, once.
pub(crate) fn take_predecessor(fd: i32) -> nix::Result<Option<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if fd < FIRST_PASSED || TAKEN.swap(true, SeqCst) {
        return Ok(None);
    }
    // SAFETY: borrowed for a call that fails if it is not open, and changes nothing but a flag of it.
    fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, was passed to this process for this, and `TAKEN` sees to it that it is given away once.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// How many threads this process has.
pub(crate) fn count_threads() -> nix::Result<usize> {
    let tasks = std::fs::read_dir("/proc/self/task");
    tasks.map(Iterator::count).map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// Why there is no new process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ForkError {
    /// There are this many threads.
    Threads(usize),
    System(Errno),
}

impl From<Errno> for ForkError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Forks: the child's pid in the parent, `None` in the child. The child is in a process group of its own when this
/// returns in the parent.
pub(crate) fn fork() -> Result<Option<Pid>, ForkError> {
    let threads = count_threads()?;
    if threads != 1 {
        return Err(ForkError::Threads(threads));
    }
    // What is still buffered would be written by parent and child. A closed stdout is no reason not to fork.
    let _ = std::io::stdout().flush();
    // The child hears no signal before it is what it is to be: a `TSTP` for everybody would stop it for ever.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // SAFETY: the danger of fork is a lock held, or a state half changed, by a thread that does not exist in the
    // child. This is the only thread, so the child is a complete copy and may run any code.
    let forked = unsafe { nix::unistd::fork() };
    if !matches!(forked, Ok(ForkResult::Child)) {
        // It cannot fail: the set is one that the kernel gave.
        let _ = mask.thread_set_mask();
    }
    match forked? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => {
            // The child does the same; whoever comes first, the group exists before anybody signals it. An error
            // means that the child was faster and is gone already.
            let _ = setpgid(child, child);
            Ok(Some(child))
        }
    }
}

/// In a child that becomes a worker: own process group, told when the parent dies, clean signals.
///
/// `stop` is written to when the worker is asked to leave, `usr1` when the signal of that name comes. `orphan_grace` is how long it may take to leave if the
/// parent, who would have killed it then, is gone.
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
        // It died before the kernel knew that we want to hear of it.
        raise(Signal::SIGTERM)?;
    }
    // Whatever came since the fork has waited, and comes now.
    SigSet::empty().thread_set_mask()
}

/// Tells a worker that has not been reaped of `USR1`.
pub(crate) fn pass_on_usr1(pid: Pid) -> nix::Result<()> {
    kill(pid, Signal::SIGUSR1)
}

/// In a child that becomes a helper: own process group, deaf to what is meant for the parent and the workers, since it
/// has little time and its work is needed most when all are told to leave; and an end of its own if the parent that
/// would have ended it is gone.
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

/// In a child that is about to become another program: own process group, clean signals, and the descriptors `passed`
/// from [`FIRST_PASSED`] on, which is returned; no other but the standard ones survives the `exec`.
///
/// `USR2` is ignored until the new program takes over its signals: one that comes too early must not kill it.
pub(crate) fn become_program(passed: &[BorrowedFd<'_>]) -> nix::Result<usize> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    for signal in RESET {
        set_action(signal, SigHandler::SigDfl)?;
    }
    set_action(Signal::SIGUSR2, SigHandler::SigIgn)?;
    let end = FIRST_PASSED + libc::c_int::try_from(passed.len()).unwrap_or(libc::c_int::MAX);
    // Out of the way first: one may have the place of another.
    let copies = passed.iter().map(|fd| fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(end)));
    for (target, copy) in (FIRST_PASSED..).zip(copies.collect::<nix::Result<Vec<_>>>()?) {
        // SAFETY: whatever had this number loses it; this process does nothing with it any more, since all that is
        // left for it to do is to become another program, or to end.
        Errno::result(unsafe { libc::dup2(copy, target) })?;
    }
    // An old kernel knows no such call; then what somebody has opened without the flag is passed on, as always.
    // SAFETY: it changes only flags.
    unsafe { libc::syscall(libc::SYS_close_range, end, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    SigSet::empty().thread_set_mask()?;
    Ok(FIRST_PASSED as usize)
}

/// Whether and how this worker has been asked to leave.
pub(crate) fn stop_requested() -> Option<Stop> {
    match STOP.load(SeqCst) {
        0 => None,
        GRACEFUL => Some(Stop::Graceful),
        _ => Some(Stop::Quick),
    }
}

/// Ends a child. It runs no exit handler: those belong to the parent. A worker whose parent is gone takes its process
/// group with it, as the parent would have done.
pub(crate) fn exit(status: i32) -> ! {
    let _ = std::io::stdout().flush();
    let parent = PARENT.load(SeqCst);
    if parent != 0 && getppid().as_raw() != parent {
        let _ = killpg(Pid::from_raw(0), Signal::SIGKILL);
    }
    // The kernel keeps eight bits: 256 must not look like success.
    let status = if status != 0 && status & 0xff == 0 { 1 } else { status };
    // SAFETY: `_exit` ends the process and touches nothing of it.
    unsafe { libc::_exit(status) }
}

/// Asks a child that has not been reaped to leave. One that somebody has stopped is made to go on, so that it can.
pub(crate) fn ask_to_leave(pid: Pid, stop: Stop) -> nix::Result<()> {
    let signal = match stop {
        Stop::Graceful => Signal::SIGTERM,
        Stop::Quick => Signal::SIGQUIT,
    };
    kill(pid, signal)?;
    kill(pid, Signal::SIGCONT)
}

/// Makes a child that has not been reaped show where it hangs, by a core dump or a handler of its own.
pub(crate) fn abort(pid: Pid) -> nix::Result<()> {
    kill(pid, Signal::SIGABRT)
}

/// Kills a child that has not been reaped, and whatever is in its process group.
pub(crate) fn kill_group(pid: Pid) {
    // Both, since it may have moved to another group. It is our child, so the only error is that it is dead.
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
}

/// A child that has died and is still to be [reaped](reap): until then nobody else can get its pid.
pub(crate) fn next_dead() -> nix::Result<Option<Pid>> {
    Ok(next_child(libc::WEXITED | libc::WNOWAIT)?.map(|(pid, _)| pid))
}

/// A child that somebody has stopped, by this signal, or continued.
pub(crate) fn next_suspended() -> nix::Result<Option<(Pid, Option<i32>)>> {
    let next = next_child(libc::WSTOPPED | libc::WCONTINUED)?;
    Ok(next.map(|(pid, info)| {
        // SAFETY: for a child's change of state this is the signal that caused it.
        let signal = unsafe { info.si_status() };
        (pid, (info.si_code != libc::CLD_CONTINUED).then_some(signal))
    }))
}

/// A child to which this has happened, if there is one.
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
                // SAFETY: `waitid` succeeded, so this is the pid of a child, or the zero from above if there is none.
                let pid = unsafe { info.si_pid() };
                return Ok((pid != 0).then(|| (Pid::from_raw(pid), info)));
            }
        }
    }
}

/// Reaps a child; blocks until it is dead. Not by `nix`, whose statuses have no place for real-time signals.
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

/// The worker's handler for the signals that ask it to leave.
extern "C" fn note_stop(signal: libc::c_int) {
    let errno = Errno::last_raw();
    STOP.fetch_max(if signal == libc::SIGTERM { GRACEFUL } else { QUICK }, SeqCst);
    // SAFETY: `write`, `getppid` and `alarm` may be called in a handler. The descriptor is the worker's pipe, which
    // is open as long as the process lives and does not block; a full pipe is readable already.
    unsafe {
        libc::write(STOP_FD.load(SeqCst), c"!".as_ptr().cast(), 1);
        if libc::getppid() != PARENT.load(SeqCst) {
            libc::alarm(ORPHAN_GRACE.load(SeqCst));
        }
    }
    Errno::set_raw(errno);
}

/// The worker's handler for `USR1`: makes its pipe readable.
extern "C" fn note_usr1(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: `write` may be called in a handler. The descriptor is the worker's pipe, which is open as long as the
    // worker function runs and does not block; a full pipe is readable already.
    unsafe { libc::write(USR1_FD.load(SeqCst), c"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

/// The handler for the alarm that [`note_stop`] or [`become_helper`] has set: its time is over. While the parent lives,
/// who ends it in time itself, the signal is a stranger's and means nothing.
extern "C" fn end_orphaned_group(_: libc::c_int) {
    // SAFETY: `getppid` and `kill` may be called in a handler.
    unsafe {
        if libc::getppid() != PARENT.load(SeqCst) {
            libc::kill(0, libc::SIGKILL);
        }
    }
}

/// A handler that does nothing. Unlike an ignored signal, it is not inherited by the programs that a child starts.
extern "C" fn note_nothing(_: libc::c_int) {}

/// In a child: makes signals harmless that are sent to the whole service, by its group or its name, and are meant for
/// the parent.
fn leave_to_the_parent(signals: &[Signal]) -> nix::Result<()> {
    for signal in signals {
        set_action(*signal, SigHandler::Handler(note_nothing))?;
    }
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        // Ignored, and not by a handler: a child is no job of the terminal's, and nobody would continue it; with a
        // handler, reading from the terminal would be tried again without end.
        set_action(signal, SigHandler::SigIgn)?;
    }
    Ok(())
}

fn set_action(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: it is a default action, or one of the handlers above, which do only what a handler may do.
    unsafe { sigaction(signal, &action) }.map(drop)
}

fn ceil_seconds(span: Duration) -> u32 {
    // At least 1: an alarm of 0 seconds would be none.
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// Where descriptors begin that are passed to a program (`sd_listen_fds(3)`).
const FIRST_PASSED: libc::c_int = 3;

/// Signals that mean something to the parent, and `ALRM`, which would end it and means nothing.
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

/// Signals that a child gets back with their default action, whatever the parent or its own parent did with them. Not
/// among them: `PIPE`, which Rust programs ignore, and the faults, whose handlers belong to the program.
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

/// What the handler needs: statics, because nothing else reaches it. All are set before it is installed.
static STOP: AtomicU8 = AtomicU8::new(0);
static STOP_FD: AtomicI32 = AtomicI32::new(-1);
static USR1_FD: AtomicI32 = AtomicI32::new(-1);
static PARENT: AtomicI32 = AtomicI32::new(0);
static ORPHAN_GRACE: AtomicU32 = AtomicU32::new(0);

const GRACEFUL: u8 = 1;
const QUICK: u8 = 2;
