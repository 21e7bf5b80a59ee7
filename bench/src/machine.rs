//! What the figures depend on besides Flow: cores, load, the disk, and how much a bare process costs here.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::installation::Place;
use crate::processes::Group;

/// `f_type` of a file system that is only memory.
const TMPFS: i64 = 0x0102_1994;

/// Says on stderr what is measured on, and warns of what would spoil the figures.
pub(crate) fn describe(place: &Place) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    eprintln!("flowctl: {}\nmachine: {cores} cores, load {load}", place.flowctl.display());
    if load.parse::<f64>().is_ok_and(|load| load > 0.5) {
        eprintln!("warning: other programs are busy on this machine; the figures will be worse than Flow is");
    }
    if rustix::fs::statfs(place.folder.path()).is_ok_and(|stat| stat.f_type == TMPFS) {
        eprintln!(
            "warning: `{}` is in memory, so nothing waits for a disk\nhint: name another folder with `--folder`",
            place.folder.path().display()
        );
    }
}

/// What one spawned and reaped `true` costs without Flow.
pub(crate) struct BareSpawn {
    /// Spawned and reaped one after the other, in a second.
    pub(crate) per_second: f64,
    /// Milliseconds of CPU of parent and child together.
    pub(crate) cpu_ms: f64,
}

/// Spawns `true` `count` times.
pub(crate) fn bare_spawn(count: u32) -> Result<BareSpawn> {
    let cpu = Group::this_process_alone()?;
    let begin = Instant::now();
    for _ in 0..count {
        run_quietly(Command::new("true"))?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_ms = (Group::this_process_alone()? - cpu) * 1_000.0 / f64::from(count);
    Ok(BareSpawn { per_second: f64::from(count) / seconds, cpu_ms })
}

/// Runs a program whose output nobody needs.
pub(crate) fn run_quietly(mut command: Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("failed to run {command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
