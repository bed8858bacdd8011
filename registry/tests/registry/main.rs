//! The registry against a zk-mini in the same process.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

mod cache;
mod days;
mod drains;
mod endings;
mod panicking_subscriber;
mod registrations;
mod registrations_again;
mod registrations_named;
mod rights;
mod services;
mod shared_clock;
mod streams;
mod subscriptions;
mod subscriptions_formats;
mod subscriptions_lost;
mod subscriptions_shared;
mod support;
