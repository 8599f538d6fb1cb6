//! The promise that process pods never outlive this process, however it ends.
//!
//! One small shell process reads the process groups that start and end from a pipe whose only other end is held here. When this
//! process is gone, even by SIGKILL, the pipe closes and the guard kills what is left. The parent-death signal of Linux would
//! reach only the container's first process, not what that started, and needs code between fork and exec.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use parking_lot::Mutex;
use rustix::process::Pid;
use tracing::warn;

const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
groups=
while read -r change group; do
    case $change in
        +) groups="$groups $group" ;;
        -) kept=
           for each in $groups; do [ "$each" = "$group" ] || kept="$kept $each"; done
           groups=$kept ;;
    esac
done
for each in $groups; do kill -s KILL -- "-$each" 2>/dev/null; done
"#;

/// A running guard and the process groups it knows.
#[derive(Debug)]
pub struct Guard(Mutex<State>);

#[derive(Debug)]
struct State {
    shell: Child,
    pipe: Option<ChildStdin>,
    groups: BTreeSet<i32>,
}

impl Guard {
    /// Starts the guard process.
    pub fn start() -> io::Result<Self> {
        let (shell, pipe) = start_shell()?;
        Ok(Self(Mutex::new(State { shell, pipe, groups: BTreeSet::new() })))
    }

    /// Watches over the process group of `leader`.
    pub fn add(&self, leader: Pid) {
        let group = leader.as_raw_nonzero().get();
        let mut state = self.0.lock();
        state.groups.insert(group);
        state.tell('+', group);
    }

    /// The group has ended; its number may be used again by others.
    pub fn remove(&self, leader: Pid) {
        let group = leader.as_raw_nonzero().get();
        let mut state = self.0.lock();
        state.groups.remove(&group);
        state.tell('-', group);
    }
}

impl State {
    fn tell(&mut self, change: char, group: i32) {
        let line = format!("{change} {group}\n");
        if self.pipe.as_mut().is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok()) {
            return;
        }
        // Somebody killed the guard: start another and tell it everything.
        let _ = self.shell.wait();
        match start_shell() {
            Ok((shell, pipe)) => (self.shell, self.pipe) = (shell, pipe),
            Err(error) => return warn!(%error, "no guard: process pods may outlive a killed parent"),
        }
        let all: String = self.groups.iter().map(|group| format!("+ {group}\n")).collect();
        if let Some(pipe) = &mut self.pipe {
            let _ = pipe.write_all(all.as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let state = self.0.get_mut();
        state.pipe = None;
        let _ = state.shell.wait();
    }
}

fn start_shell() -> io::Result<(Child, Option<ChildStdin>)> {
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT, "pod-guard"])
        // A group of its own: a Ctrl-C of the terminal must not end it before it has done its work.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pipe = shell.stdin.take();
    Ok((shell, pipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_sleeper() -> (Child, Pid) {
        let child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn groups_still_known_when_the_pipe_closes_are_killed_and_others_are_not() {
        let guard = Guard::start().unwrap();
        let (mut kept, kept_pid) = start_sleeper();
        let (mut ended, ended_pid) = start_sleeper();
        guard.add(kept_pid);
        guard.add(ended_pid);
        guard.remove(kept_pid);
        drop(guard);
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(ended.wait().unwrap().signal(), Some(9));
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }

    #[test]
    fn a_killed_guard_is_replaced_and_knows_the_earlier_groups() {
        let guard = Guard::start().unwrap();
        let (mut first, first_pid) = start_sleeper();
        guard.add(first_pid);
        guard.0.lock().shell.kill().unwrap();
        guard.0.lock().shell.wait().unwrap();
        let (mut second, second_pid) = start_sleeper();
        guard.add(second_pid);
        drop(guard);
        assert!(!first.wait().unwrap().success());
        assert!(!second.wait().unwrap().success());
    }
}
