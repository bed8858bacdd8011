//! Plays the bad days of ZooKeeper to a registry, a lock or an election in any language, and reports its bugs.
//!
//! The README has the contract with the command under test; [`days`] lists the days.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), zk_mini_torture::Error> {
//! use zk_mini_torture::{Torture, Verdict};
//!
//! // A command that plays no role ends with status 77.
//! let report = Torture::new(["sh", "-c", "exit 77"]).only(["kill-is-noticed"]).run().await?;
//! assert_eq!(report.named(Verdict::NotPlayed).collect::<Vec<_>>(), ["register-good-day", "kill-is-noticed"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Inside
//! A day is a row of a table ([`Day`]) with a function that plays it on a stage: a server, the processes and the story.
//! Processes are observed twice, by what they say and by a direct look into the server.
#![forbid(unsafe_code)]

mod actor;
mod claim;
mod day;
mod days;
mod error;
mod ghost;
mod harm;
mod report;
mod role;
mod runner;
mod stage;
mod trouble;

pub use day::{Day, Severity};
pub use days::days;
pub use error::Error;
pub use report::{Finding, Report, Surprises, Verdict};
pub use role::Role;
pub use runner::Torture;
