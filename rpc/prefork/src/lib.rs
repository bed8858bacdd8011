//! Prefork: one small parent, N worker processes that share listeners, and no child ever lost.
//!
//! The parent binds the listeners and forks the workers. It runs no thread and no async runtime, which makes a plain
//! `fork` sound and keeps `main` linear. Each worker gets a [`Worker`] handle and builds whatever runtime it likes. The
//! parent replaces workers that die, restarts them one by one on `HUP`, and hands its listeners over to a new program on
//! `USR2`, all without refusing a connection.
//!
//! # A service step by step
//!
//! ```no_run
//! use std::io::{Write, stderr, stdout};
//!
//! use rpc_prefork::{Options, Prefork, Worker, bind};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // 1. Bind before the fork: all workers accept from the same listener.
//!     let listener = bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     Prefork::new(Options::default().workers(2))
//!         // 2. In the parent, once all workers are ready. (`println!` panics when nobody reads.)
//!         .on_ready(move || {
//!             let _ = writeln!(stdout(), "ready {addr}");
//!         })
//!         // 3. In a helper process, for each worker that died before it could clean up.
//!         .on_unclean_death(|dead| {
//!             let _ = writeln!(stderr(), "cleaning up after worker {}", dead.slot);
//!         })
//!         .run(move |worker: Worker| {
//!             // 4. In each worker: start serving from its own copy of the listener, here or in a runtime …
//!             let Ok(_listener) = listener.try_clone() else { return 1 };
//!             // … tell the parent so, with a note for the case of an unclean death …
//!             if worker.ready(b"my session").is_err() {
//!                 return 1;
//!             }
//!             // … and leave when asked to. The return value is the exit status.
//!             worker.wait_for_stop();
//!             0
//!         })?;
//!     // 5. Asked to stop, and no child is left.
//!     Ok(())
//! }
//! ```
//!
//! The examples `echo` and `reload` of this crate are whole services that drive themselves.
//!
//! # Features
//!
//! | feature | how |
//! | --- | --- |
//! | dead workers are replaced, with pauses only while they fail to boot | [`Options::backoff_min`](field@Options::backoff_min) |
//! | graceful and quick stop, and a kill at the end of each | [`Options::grace`](field@Options::grace), [`Worker::stop_fd`] |
//! | rolling restart | `HUP` |
//! | more and fewer workers | `TTIN`, `TTOU` |
//! | hot upgrade to a new program | `USR2`, [`Prefork::hand_over`] |
//! | workers that hang are noticed | [`Options::heartbeat_timeout`](field@Options::heartbeat_timeout), [`Options::boot_timeout`](field@Options::boot_timeout) |
//! | old and large workers are replaced | [`Options::max_age`](field@Options::max_age), [`Options::max_memory`](field@Options::max_memory), [`Worker::retire`] |
//! | cleaning up after a crashed worker | [`Prefork::on_unclean_death`] |
//! | status for operators | [`Options::control`](field@Options::control), [`status`], the program `prefork-status` |
//! | metrics of all workers, and health, over HTTP | [`Prefork::status`], [`Worker::post`] |
//! | systemd: readiness, reload, watchdog, socket activation | `Type=notify` or `notify-reload`, [`passed_by_systemd`] |
//!
//! The crate has no Cargo features. It needs Linux: `signalfd`, `/proc` and the parent-death signal. For another target it does
//! not compile, and says so: depend on it under `[target.'cfg(target_os = "linux")'.dependencies]`.
//!
//! # Signals
//!
//! | signal | to the parent | to a worker |
//! | --- | --- | --- |
//! | `TERM` | graceful stop: workers get `TERM`, and `KILL` after [`Options::grace`](field@Options::grace) | asks it to stop gracefully |
//! | `INT`, `QUIT` | quick stop: workers get `QUIT`, and `KILL` after [`Options::quick_grace`](field@Options::quick_grace) | asks it to stop quickly |
//! | a second of these | `KILL` at once; a third one: helpers are killed too. The same signal within 100 ms counts once | the most urgent one counts |
//! | `HUP` | rolling restart: each worker serves until its successor is ready | nothing |
//! | `TTIN`, `TTOU` | adds or removes a worker | nothing |
//! | `USR1` | runs the hook of [`Prefork::on_usr1`] and passes the signal on to the workers | see [`Worker::usr1_fd`] |
//! | `USR2` | hot upgrade; see [`Prefork::hand_over`] | nothing |
//! | `TSTP` | suspends it until `CONT`, like any program in a terminal; workers go on | nothing |
//! | `ALRM`, `WINCH`, `PIPE` | nothing | nothing |
//! | `STOP` | suspends it until `CONT`; workers go on | suspends it until `CONT`; log and [`status`] say so, and only [`Options::heartbeat_timeout`](field@Options::heartbeat_timeout) replaces it |
//! | `KILL` | the kernel sends `TERM` to each worker | it is replaced |
//!
//! A signal that reaches the parent and all workers at once, because it is sent by name or from a terminal, has the effect
//! that it has on the parent. Helpers ignore every signal in the table that can be caught.
//!
//! # Promises
//!
//! - A worker that was ready is replaced at once when it dies, whatever its exit status. Pauses come only after workers
//!   that die before they are ready, or as soon as they are; a pause is at most 1 s while no worker serves.
//! - Once a worker has been ready, the service is never given up. Without processes or descriptors the parent logs it and
//!   tries again.
//! - The parent survives a panic in a hook, and in a `tracing` subscriber that cannot write its log. (The program must be
//!   built to unwind, and its panic hook must not panic.)
//! - A worker outlives its parent by [`Options::grace`](field@Options::grace) at most. A worker that dies leaves no process
//!   of its process group behind.
//!
//! # Inside
//!
//! `supervisor` is a pure core: events and the time in, things to do out. The rest is a thin shell around it. All
//! `unsafe` code is in `process`.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "rpc-prefork needs Linux: signalfd, /proc and the parent-death signal. Depend on it under \
     [target.'cfg(target_os = \"linux\")'.dependencies], and start one process elsewhere"
);

mod board;
mod channel;
mod clock;
mod control;
mod error;
mod hooks;
mod listener;
mod memory;
mod notify;
mod options;
mod prefork;
mod process;
mod shell;
mod status_port;
mod supervisor;
mod upgrade;
mod worker;

pub use channel::MAX_NOTE;
pub use control::status;
pub use error::Error;
pub use hooks::DeadWorker;
pub use listener::{bind, passed_by_systemd};
pub use options::Options;
pub use prefork::Prefork;
pub use rpc_metrics::Snapshot;
pub use supervisor::{Exit, Stop};
pub use worker::Worker;
