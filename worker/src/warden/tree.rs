//! Finding and killing everything that belongs to a task, by way of `/proc`.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use super::MARKER_VARIABLE;

/// Rounds of looking and killing. A tree that forks faster than it is killed needs several.
const ROUNDS_MAX: usize = 200;
const ROUND_PAUSE: Duration = Duration::from_millis(5);

/// A task's processes are known by their group, their session, their descent and their marker.
pub(super) struct Tree<'a> {
    /// Process id of the task's first process, and id of its group.
    pub root: i32,
    /// Value of the marker in the environment.
    pub marker: &'a str,
    /// Below which process to look for the marker; `None`: everywhere, when the warden itself has died.
    pub below: Option<i32>,
}

impl Tree<'_> {
    /// Asks the group to end.
    pub fn terminate(&self) {
        if let Some(group) = Pid::from_raw(self.root) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    /// Whether the group still has members (zombies included).
    pub fn has_group(&self) -> bool {
        Pid::from_raw(self.root).is_some_and(|group| test_kill_process_group(group).is_ok())
    }

    /// Kills until nothing is left, and returns how many different processes that took.
    pub fn kill(&self) -> u32 {
        let mut killed = HashSet::new();
        for _ in 0..ROUNDS_MAX {
            // Counted before they are killed. The group is killed even if none was seen: it may have forked just then.
            let members = self.members();
            if let Some(group) = Pid::from_raw(self.root) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            if members.is_empty() {
                break;
            }
            for pid in members {
                if let Some(raw) = Pid::from_raw(pid) {
                    let _ = kill_process(raw, Signal::KILL);
                }
                killed.insert(pid);
            }
            std::thread::sleep(ROUND_PAUSE);
        }
        u32::try_from(killed.len()).unwrap_or(u32::MAX)
    }

    /// Live processes of the tree.
    fn members(&self) -> Vec<i32> {
        let me = std::process::id().cast_signed();
        let all: Vec<Row> = rows().into_iter().filter(|row| row.pid != me && !row.is_zombie).collect();
        let mut members: HashSet<i32> = all
            .iter()
            .filter(|row| row.group == self.root || row.session == self.root || row.pid == self.root)
            .map(|row| row.pid)
            .collect();
        let candidates: HashSet<i32> = match self.below {
            Some(warden) => descendants(&all, &HashSet::from([warden])),
            None => all.iter().map(|row| row.pid).collect(),
        };
        members.extend(candidates.iter().filter(|pid| has_marker(**pid, self.marker)));
        members.extend(descendants(&all, &members));
        members.remove(&me);
        members.into_iter().collect()
    }
}

/// Children of this process, zombies included.
pub(super) fn own_children() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

/// Whether a process carries the marker of an attempt.
pub(super) fn has_marker(pid: i32, marker: &str) -> bool {
    let wanted = format!("{MARKER_VARIABLE}={marker}");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()))
}

/// Kills one process.
pub(super) fn kill_one(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

struct Row {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    is_zombie: bool,
}

fn rows() -> Vec<Row> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            parse_stat(pid, &stat)
        })
        .collect()
}

/// The name of a process may hold spaces and brackets, so the fields are counted from the last bracket.
fn parse_stat(pid: i32, stat: &str) -> Option<Row> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Row { pid, parent: number()?, group: number()?, session: number()?, is_zombie: matches!(state, "Z" | "X") })
}

fn descendants(all: &[Row], of: &HashSet<i32>) -> HashSet<i32> {
    let mut found: HashSet<i32> = HashSet::new();
    loop {
        let before = found.len();
        for row in all {
            if of.contains(&row.parent) || found.contains(&row.parent) {
                found.insert(row.pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse_the_fields() {
        let row = parse_stat(7, "7 (a) b (c)) S 3 4 5 0 -1").unwrap();
        assert_eq!((row.parent, row.group, row.session, row.is_zombie), (3, 4, 5, false));
    }
}
