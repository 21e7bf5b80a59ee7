//! CPU and memory of the processes below this one, as the kernel counts them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

/// The kernel counts CPU for `/proc/PID/stat` in this many ticks a second on every architecture that Flow runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Which processes are meant, of all that descend from this one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group<'a> {
    /// Those that run this program: roles and wardens.
    Program(&'a Path),
    /// PostgreSQL and Redis.
    Servers,
    /// One process and its descendants that run the same program.
    Role(&'a Path, u32),
}

struct Stat {
    pid: u32,
    parent: u32,
    command: String,
    /// Seconds of CPU of the process and of the children that it has waited for.
    cpu: f64,
}

impl Group<'_> {
    /// Seconds of CPU that these processes, and what they have spawned and reaped, have used so far.
    pub(crate) fn cpu_seconds(self) -> f64 {
        self.members().iter().map(|stat| stat.cpu).sum()
    }

    /// Megabytes of memory: of pages that several processes share, each counts its part.
    pub(crate) fn pss_mb(self) -> Result<f64> {
        let mut sum = 0.0;
        for stat in self.members() {
            let path = format!("/proc/{}/smaps_rollup", stat.pid);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
            sum += line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1_024.0;
        }
        Ok(sum)
    }

    /// Seconds of CPU per thread, to the nanosecond where the kernel counts that: ticks are too coarse for an idle
    /// process. Empty where it does not.
    fn threads(self) -> HashMap<(u32, String), f64> {
        let mut threads = HashMap::new();
        for stat in self.members() {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", stat.pid)) else { continue };
            for task in tasks.flatten() {
                let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                if let Some(nanoseconds) = text.split(' ').next().and_then(|word| word.parse::<f64>().ok()) {
                    threads.insert((stat.pid, task.file_name().to_string_lossy().into_owned()), nanoseconds / 1e9);
                }
            }
        }
        threads
    }

    /// Percent of one core that these processes use over the next seconds.
    pub(crate) async fn cpu_percent(self, seconds: u64) -> f64 {
        let (ticks, threads) = (self.cpu_seconds(), self.threads());
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        let ticks = self.cpu_seconds() - ticks;
        let exact: f64 = self
            .threads()
            .iter()
            .map(|(thread, cpu)| (cpu - threads.get(thread).copied().unwrap_or_default()).max(0.0))
            .sum();
        // Threads that ended are missing from the exact sum, and short moments from the ticks.
        let window = f64::from(u32::try_from(seconds).unwrap_or(u32::MAX));
        let cpu = if ticks > 0.05 || exact == 0.0 { ticks.max(exact) } else { exact };
        cpu * 100.0 / window
    }

    /// Seconds of CPU of this very process and of what it has spawned and reaped.
    pub(crate) fn this_process_alone() -> Result<f64> {
        Ok(read_stat(std::process::id()).context("cannot read /proc/self/stat")?.cpu)
    }

    fn members(self) -> Vec<Stat> {
        let descendants = descendants(match self {
            Group::Role(_, root) => root,
            _ => std::process::id(),
        });
        let runs = |stat: &Stat, program: &Path| {
            std::fs::read_link(format!("/proc/{}/exe", stat.pid)).is_ok_and(|exe| exe == program)
        };
        descendants
            .into_iter()
            .filter(|stat| match self {
                Group::Program(program) | Group::Role(program, _) => runs(stat, program),
                Group::Servers => stat.command == "postgres" || stat.command == "redis-server",
            })
            .collect()
    }
}

/// A process and everything below it.
fn descendants(root: u32) -> Vec<Stat> {
    let mut all: Vec<Stat> = std::fs::read_dir("/proc")
        .map(|entries| {
            entries.flatten().filter_map(|entry| read_stat(entry.file_name().to_str()?.parse().ok()?)).collect()
        })
        .unwrap_or_default();
    let parents: HashMap<u32, u32> = all.iter().map(|stat| (stat.pid, stat.parent)).collect();
    all.retain(|stat| {
        let mut pid = stat.pid;
        while pid != root {
            match parents.get(&pid) {
                Some(&parent) if parent != 0 => pid = parent,
                _ => return false,
            }
        }
        true
    });
    all
}

fn read_stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the last bracket ends it.
    let (front, rest) = text.rsplit_once(')')?;
    let command = front.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(Stat { pid, parent, command, cpu: ticks / TICKS_PER_SECOND })
}
