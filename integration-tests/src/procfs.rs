//! Processes of this machine, from `/proc`: descendants, zombies, marks in the environment.

use std::fs;

use nix::unistd::Pid;

/// Fields of `/proc/PID/stat` that tests use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Process id.
    pub pid: Pid,
    /// Process that started it or inherited it.
    pub parent: Pid,
    /// Name of the program, at most 15 characters.
    pub name: String,
    /// Letter of the kernel's state: `Z` is a zombie.
    pub state: char,
}

impl Entry {
    /// Returns true if it is dead and its parent has not reaped it.
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }
}

/// Returns all processes that this one can see.
pub fn all() -> Vec<Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| entry(Pid::from_raw(pid))).collect()
}

/// Returns the process of this id, if it exists. A zombie exists.
pub fn entry(pid: Pid) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the children of a process, their children, and so on, with zombies.
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

/// Returns all processes with `name=value` in their environment, whatever their parent.
pub fn marked(name: &str, value: &str) -> Vec<Entry> {
    let mark = format!("{name}={value}");
    let carries = |entry: &Entry| {
        fs::read(format!("/proc/{}/environ", entry.pid))
            .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()))
    };
    all().into_iter().filter(carries).collect()
}

/// Returns the resident memory of a process.
pub fn resident_bytes(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Returns true if this very process listens on a port.
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

/// Returns the inodes of the sockets that listen on a port, from a table such as `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_listener = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTEN;
        is_listener.then_some(*fields.get(9)?)
    })
}

/// Parses `PID (NAME) STATE PPID …`. The name may hold anything, even brackets and spaces.
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
    fn a_program_name_may_hold_brackets() {
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
    fn a_dead_child_is_a_zombie_until_it_is_reaped() {
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
