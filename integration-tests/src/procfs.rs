//! Which processes there are, from `/proc`: who descends from whom, who is a zombie, who carries a mark.

use std::fs;

use nix::unistd::Pid;

/// One line of `/proc/PID/stat`, as far as tests ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its process id.
    pub pid: Pid,
    /// Who started it, or who inherited it.
    pub parent: Pid,
    /// The program's name, at most 15 characters.
    pub name: String,
    /// The kernel's letter: `Z` is a zombie.
    pub state: char,
}

impl Entry {
    /// Dead, and not yet reaped by its parent.
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }
}

/// All processes that this one can see.
pub fn all() -> Vec<Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| entry(Pid::from_raw(pid))).collect()
}

/// The process of this id, if it still exists (a zombie does).
pub fn entry(pid: Pid) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The children of a process, their children, and so on; zombies too.
pub fn descendants(ancestor: Pid) -> Vec<Entry> {
    let all = all();
    let mut found: Vec<Entry> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|entry| entry.parent == parent);
        parents.extend(children.clone().map(|child| child.pid));
        found.extend(children.cloned());
    }
    found
}

/// All processes that were started with `name=value` in their environment, or inherited it, whoever is their parent now.
pub fn marked(name: &str, value: &str) -> Vec<Entry> {
    let mark = format!("{name}={value}");
    let carries = |entry: &Entry| {
        fs::read(format!("/proc/{}/environ", entry.pid))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()))
    };
    all().into_iter().filter(carries).collect()
}

/// How much memory a process holds (its resident set).
pub fn resident_bytes(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Returns whether this very process listens on a port.
pub fn listens(pid: Pid, port: u16) -> bool {
    let own = open_files(pid);
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let listens =
        |table: String| listeners(&table, port).any(|inode| own.contains(&format!("socket:[{inode}]")));
    tables.into_iter().flatten().any(listens)
}

/// Targets of a process's descriptors.
fn open_files(pid: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(String::from)).collect()
}

/// The inodes of the sockets that listen on a port, by a table such as `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_listener = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTEN;
        is_listener.then_some(*fields.get(9)?)
    })
}

/// `PID (NAME) STATE PPID …`, where the name may hold anything, brackets and spaces included.
fn parse(stat: &str) -> Option<Entry> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Entry {
        pid: Pid::from_raw(pid.parse().ok()?),
        parent: Pid::from_raw(parent),
        name: name.into(),
        state,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_name_may_hold_brackets() {
        let entry = parse("12 (a) Z (b) S 7 0 0").unwrap();
        assert_eq!((entry.pid.as_raw(), entry.parent.as_raw(), entry.state), (12, 7, 'S'));
        assert_eq!(entry.name, "a) Z (b");
    }

    #[test]
    fn only_the_process_that_listens_is_a_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(Pid::this(), port));
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!listens(Pid::from_raw(other.id().cast_signed()), port));
        other.kill().unwrap();
        other.wait().unwrap();
        drop(listener);
        assert!(!listens(Pid::this(), port));
    }

    #[test]
    fn a_child_that_nobody_has_reaped_is_a_zombie() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let is_zombie = || descendants(Pid::this()).iter().any(|entry| entry.pid == pid && entry.is_zombie());
        crate::wait::eventually("a zombie", crate::wait::PATIENCE, is_zombie);
        child.wait().unwrap();
        assert_eq!(entry(pid), None);
    }

    #[test]
    fn a_mark_is_inherited() {
        let mut shell = Command::new("sh").args(["-c", "sleep 60 & wait"]).env("MARK", "x1").spawn().unwrap();
        crate::wait::eventually("the shell and its child", crate::wait::PATIENCE, || {
            marked("MARK", "x1").len() == 2
        });
        shell.kill().unwrap();
        shell.wait().unwrap();
        let [orphan] = &marked("MARK", "x1")[..] else { panic!("the child lives on") };
        nix::sys::signal::kill(orphan.pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}
