//! Prefork: one small parent, N worker processes, and no child ever lost.
//!
//! The parent binds the listeners and forks. It runs no thread and no async runtime, so a plain `fork` is sound
//! and `main` stays linear: each worker gets a [`Worker`] handle, builds whatever runtime it likes, accepts from the
//! shared listener, says that it is [ready](Worker::ready) and leaves when it is [told to](Worker::stop_fd).
//!
//! ```no_run
//! use rpc_prefork::{Options, Prefork, Worker, bind};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     Prefork::new(Options { workers: 2, ..Options::default() })
//!         .on_ready(move || println!("ready {addr}"))
//!         .on_unclean_death(|dead| eprintln!("cleaning up after worker {}", dead.slot))
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
//! | signal to the parent | what happens |
//! | --- | --- |
//! | `TERM` | graceful: workers get `TERM`, and `KILL` when [`Options::grace`] is over |
//! | `INT`, `QUIT` | quick: workers get `QUIT`, and `KILL` when [`Options::quick_grace`] is over |
//! | any of these again | (after 100 ms, or another one) `KILL` at once; once more: helpers are not waited for either |
//! | `HUP` | replaces all workers, one by one: each serves until its successor is ready |
//! | `TTIN`, `TTOU` | one worker more or less |
//! | `USR1` | runs the hook of [`Prefork::on_usr1`] and is passed on to the workers, see [`Worker::usr1_fd`] |
//! | `USR2` | starts the program anew; when that is ready, leaves the listeners to it; see [`Prefork::hand_over`] |
//!
//! A worker that dies is replaced, with growing pauses if it keeps dying. When the parent itself is killed, the kernel
//! sends each worker `TERM`. A worker that hangs is noticed if [`Options::heartbeat_timeout`] is set.
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
