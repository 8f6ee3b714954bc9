//! Finds a command and all processes that it has started, including orphans. This works on Linux; on other systems
//! the list is empty.
//!
//! They are found by a variable in their environment and not by a process group, because a separate process group
//! would detach the command from the terminal, and Ctrl-C would not reach it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::output::said_within;

/// The time limit for a debugger, which may itself hang.
const SHOWING: Duration = Duration::from_secs(60);
/// The maximum number of processes that are shown, because a step may have started hundreds.
const SHOWN: usize = 8;

/// The processes that have a certain mark in their environment.
pub(super) struct Family(String);

impl Family {
    /// Gives a command, and whatever it starts, a unique mark.
    pub(super) fn mark(command: &mut Command) -> Self {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark =
            format!("SEALPOST_WATCHED_{}_{}", std::process::id(), MARKS.fetch_add(1, Ordering::Relaxed));
        command.env(&mark, "1");
        Self(mark)
    }

    /// The ids of the processes, usually from the oldest to the youngest.
    pub(super) fn members(&self) -> Vec<u32> {
        let entry = format!("{}=1", self.0);
        let has_mark = |id: &u32| {
            // Empty for processes that have ended and were not waited for.
            fs::read(folder(*id).join("environ"))
                .is_ok_and(|all| all.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes()))
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut members: Vec<u32> = ids.filter(has_mark).collect();
        members.sort_unstable();
        members
    }

    /// Prints the processes, the youngest first, and the stacks of their threads.
    pub(super) fn show(&self) {
        let members = self.members();
        for id in members.iter().rev().take(SHOWN) {
            let line = fs::read(folder(*id).join("cmdline")).unwrap_or_default();
            eprintln!("\n-- process {id}: {}", String::from_utf8_lossy(&line).replace('\0', " "));
            if !stacks_by_tool(*id) {
                threads(*id);
            }
        }
        if members.len() > SHOWN {
            eprintln!("\n-- and {} more processes", members.len().saturating_sub(SHOWN));
        }
    }

    /// Kills the processes, and any that are started meanwhile.
    pub(super) fn kill(&self) {
        for _ in 0..10 {
            let members = self.members();
            if members.is_empty() {
                return;
            }
            // The shell's built-in `kill`, so that nothing has to be installed for it.
            let ids = members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            let _ =
                Command::new("sh").args(["-c", &format!("kill -KILL {ids}")]).stderr(Stdio::null()).status();
            std::thread::sleep(super::LOOK);
        }
    }
}

fn folder(id: u32) -> PathBuf {
    Path::new("/proc").join(id.to_string())
}

/// The output of a debugger, if one is installed and may attach.
fn stacks_by_tool(id: u32) -> bool {
    let id = id.to_string();
    let tools: [(&str, &[&str]); 2] = [
        (
            "gdb",
            &[
                "-nx",
                "-batch",
                "-ex",
                "set print frame-arguments none",
                "-ex",
                "thread apply all bt 30",
                "-p",
                &id,
            ],
        ),
        ("eu-stack", &["-n", "30", "-p", &id]),
    ];
    tools.iter().any(|(tool, arguments)| {
        let mut command = Command::new(tool);
        // Do not download symbols.
        command.args(*arguments).env("DEBUGINFOD_URLS", "");
        let said = said_within(command, SHOWING);
        said.iter().flatten().for_each(|line| eprintln!("{line}"));
        said.is_some()
    })
}

/// What the kernel reports without a debugger: the name of each thread (for a test, its first letters) and where it
/// waits.
fn threads(id: u32) {
    for thread in fs::read_dir(folder(id).join("task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        eprintln!(
            "thread {:?}: {:<16} waits in {}",
            thread.file_name(),
            read("comm").trim_end(),
            read("wchan")
        );
        eprint!("{}", read("stack"));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn all_descendants_are_found_and_killed() {
        let mut command = Command::new("sh");
        // The second process is an orphan.
        command.args(["-c", "sh -c 'sleep 1000 &'; sleep 1000; true"]);
        let family = Family::mark(&mut command);
        let mut child = command.spawn().unwrap();
        while family.members().len() < 3 {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(super::super::LOOK);
        }
        let other = Family::mark(&mut Command::new("true"));
        assert_eq!(other.members(), []);
        family.kill();
        assert!(!child.wait().unwrap().success());
        assert_eq!(family.members(), []);
    }
}
