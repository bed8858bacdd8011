//! Prefork: one small parent, N worker processes, and no child ever lost.
//!
//! The parent binds the listeners and forks. It runs no thread and no async runtime, so a plain `fork` is sound
//! and `main` stays linear: each worker gets a [`Worker`] handle, builds whatever runtime it likes, accepts from the
//! shared listener, says that it is [ready](Worker::ready) and leaves when it is [told to](Worker::stop_fd).
//!
//! ```no_run
//! use rpc_prefork::{Options, Prefork, Worker, bind};
//! use std::io::{Write, stderr, stdout};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     Prefork::new(Options { workers: 2, ..Options::default() })
//!         .on_ready(move || {
//!             let _ = writeln!(stdout(), "ready {addr}"); // `println!` would panic when nobody reads
//!         })
//!         .on_unclean_death(|dead| {
//!             let _ = writeln!(stderr(), "cleaning up after worker {}", dead.slot);
//!         })
//!         .run(|worker: Worker| {
//!             let _mine = listener.try_clone();       // accept from it, here or in a runtime
//!             if worker.ready(b"my session").is_err() {
//!                 return 1;
//!             }
//!             worker.wait_for_stop();
//!             0
//!         })?;
//!     Ok(())
//! }
//! ```
//!
//! | signal | to the parent | to a worker |
//! | --- | --- | --- |
//! | `TERM` | graceful: workers get `TERM`, and `KILL` when [`Options::grace`] is over | asks it to leave gracefully |
//! | `INT`, `QUIT` | quick: workers get `QUIT`, and `KILL` when [`Options::quick_grace`] is over | asks it to leave quickly |
//! | any of these again | (after 100 ms, or another one) `KILL` at once; once more: helpers are not waited for either | the most urgent counts |
//! | `HUP` | replaces all workers, one by one: each serves until its successor is ready | nothing |
//! | `TTIN`, `TTOU` | one worker more or less | nothing |
//! | `USR1` | runs the hook of [`Prefork::on_usr1`] and is passed on to the workers | see [`Worker::usr1_fd`] |
//! | `USR2` | starts the program anew; when that is ready, leaves the listeners to it; see [`Prefork::hand_over`] | nothing |
//! | `TSTP` | stops it until `CONT`, as any program of a terminal; workers go on | nothing |
//! | `ALRM`, `WINCH`, `PIPE` | nothing | nothing |
//! | `STOP` | stops it until `CONT`; workers go on | stops it until `CONT`, which the log and [`status`] tell; replaced only by [`Options::heartbeat_timeout`] |
//! | `KILL` | the kernel sends each worker `TERM` | it is replaced |
//!
//! So a signal that reaches the parent and all workers, because it goes to every process of a name or of a terminal, does
//! what it does to the parent. Helpers of [`Prefork::on_unclean_death`] hear none of those that can be caught.
//!
//! A worker that dies is replaced at once if it was ready, whatever its status: only workers that nobody has asked to
//! leave and that die before they are ready, or as soon as they are, are replaced after pauses, of a second at the most
//! while none serves; see [`Options::backoff_min`]. Once a worker has been ready the service is never given up. Without
//! processes or descriptors the parent says so, and tries again after such pauses. A worker that hangs is noticed if
//! [`Options::heartbeat_timeout`] is set.
//!
//! The parent survives the panic of a hook, and of a `tracing` subscriber that cannot write its log (if the program is
//! built to unwind, and its panic hook does not panic in turn).
//!
//! How a service is, says [`status`] or the program `prefork-status`, if [`Options::control`] is set. Started by systemd
//! with `Type=notify` (or `notify-reload`), the parent says when it is ready, reloading and stopping, and feeds the
//! watchdog; [`passed_by_systemd`] takes listeners that systemd has bound.
//!
//! Inside: `supervisor` is the pure core (events and the time in, actions out), the rest is a thin shell around it.
//! All `unsafe` code is in `process`.
#![deny(unsafe_code)]

mod channel;
mod clock;
mod control;
mod error;
mod guard;
mod listener;
mod memory;
mod millis;
mod notify;
mod options;
mod prefork;
mod process;
mod shell;
mod supervisor;
mod upgrade;
mod worker;

pub use control::status;
pub use error::Error;
pub use listener::{bind, passed_by_systemd};
pub use options::Options;
pub use prefork::{Dead, Prefork};
pub use supervisor::{Exit, Stop};
pub use worker::{MAX_NOTE, Worker};
