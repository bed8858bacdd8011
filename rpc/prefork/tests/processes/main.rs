//! Real processes under real signals. After each test no process is left.
#![expect(clippy::unwrap_used, reason = "only tests are here; what fails, fails the test")]

mod adversity;
mod histories;
mod life;
mod replacing;
mod signals;
mod status;
mod support;
mod systemd;
mod tutorial;
mod upgrade;
