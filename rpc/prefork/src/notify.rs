//! Notifications to systemd: ready, reloading, stopping, alive (`sd_notify(3)`). Without `NOTIFY_SOCKET` there are none.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, io};

use common::Millis;
use common::log::quietly;

use crate::clock::Clock;
use crate::supervisor::Report;

/// Sends to the socket that `NOTIFY_SOCKET` names. A message that cannot be sent is dropped: a service must not stop
/// because its observer is away.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Interval between two signs of life, and the time of the next one.
    watchdog: Option<(Millis, Millis)>,
}

impl Notifier {
    /// Reads the environment. An address that cannot be used is logged, and nothing is sent.
    pub(crate) fn from_env(now: Millis) -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        match connect(&name) {
            Ok(socket) => {
                let var = |key| env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
                let is_ours = var("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
                // Half the time that systemd allows, as it recommends.
                let every = var("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0);
                let every = every.map(|usec| Millis((usec / 2_000).max(1)));
                Self { socket: Some(socket), watchdog: every.map(|every| (every, now)) }
            }
            Err(error) => {
                quietly(|| tracing::warn!("cannot notify systemd at {}: {error}", name.display()));
                Self::default()
            }
        }
    }

    /// Sends a transition if it matters to systemd; `pid` is that of the child it is about.
    pub(crate) fn report(&self, report: &Report, pid: i32, line: &str) {
        let state = match report {
            Report::AllReady { .. } | Report::Reloaded { .. } => "READY=1\n",
            // By the time systemd knows to which reload the next READY belongs.
            Report::Reloading { .. } => &format!("RELOADING=1\nMONOTONIC_USEC={}\n", Clock::system_micros()),
            Report::Stopping { .. } | Report::GaveUp { .. } => "STOPPING=1\n",
            // The new parent may send for itself only once systemd knows its pid.
            Report::HandedOver { .. } => &format!("MAINPID={pid}\n"),
            Report::Upgrading
            | Report::UpgradeFailed { .. }
            | Report::UpgradeOverdue { .. }
            | Report::Resized { .. }
            | Report::Forced { .. } => "",
            _ => return,
        };
        self.send(&format!("{state}STATUS={line}"));
    }

    /// Sends a sign of life if one is due.
    pub(crate) fn tick(&mut self, now: Millis) {
        if let Some((every, next)) = &mut self.watchdog
            && *next <= now
        {
            *next = now + *every;
            self.send("WATCHDOG=1");
        }
    }

    pub(crate) fn deadline(&self) -> Option<Millis> {
        self.watchdog.map(|(_, next)| next)
    }

    fn send(&self, message: &str) {
        if let Some((socket, addr)) = &self.socket {
            let _ = socket.send_to_addr(message.as_bytes(), addr);
        }
    }
}

fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let addr = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, addr))
}
