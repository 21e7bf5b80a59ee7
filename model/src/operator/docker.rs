//! The `docker` operator.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::named_enum;

/// Runs a container on the worker's Docker daemon.
///
/// Values reach the container as arguments and environment variables, exactly as they are rendered: there is no shell in
/// between. Its exit code, its output and its log count as those of a process.
///
/// ```toml
/// [tasks.load.docker]
/// image = "python:3.13-slim"
/// command = ["python", "-c", "print('loading')"]
/// limits = { cpus = 1.5, memory = "512m" }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Docker {
    /// The image (a template), for instance `python:3.13-slim`.
    #[schemars(extend("x-template" = "text"))]
    pub image: String,
    /// What is run in it, and its arguments (templates; default: what the image says).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub command: Vec<String>,
    /// Takes the place of the image's entrypoint (templates).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub entrypoint: Option<Vec<String>>,
    /// When the image is pulled.
    #[serde(default)]
    pub pull: PullPolicy,
    /// A connection with the registry's `login` and `password`, for images that are not public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_conn_id: Option<String>,
    /// Environment variables (values are templates), on top of the task's `env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub env: BTreeMap<String, String>,
    /// Folders of the machine and volumes that the container sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Where in the container it works (a template; default: what the image says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub working_dir: Option<String>,
    /// As whom it runs: a name or id, or `user:group` (a template; default: what the image says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub user: Option<String>,
    /// `bridge`, `host`, `none`, `container:<name>`, or the name of a network (a template; default: the daemon's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub network: Option<String>,
    /// What it may use of the machine.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Whether the container is removed when it has ended.
    #[serde(default)]
    pub auto_remove: AutoRemove,
    /// The daemon: `unix://` and the path of its socket, or `tcp://host:port` (default: `DOCKER_HOST` of the worker, else
    /// `unix:///var/run/docker.sock`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The platform of the image, for instance `linux/arm64` (default: the daemon's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Labels of the container (values are templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub labels: BTreeMap<String, String>,
    /// Exit codes that mean "skipped" (Airflow: 99).
    #[serde(default = "super::default_skip_on_exit_code", deserialize_with = "super::one_or_many")]
    #[schemars(schema_with = "super::exit_codes_schema")]
    pub skip_on_exit_code: Vec<i32>,
}

named_enum!(
    /// When an image is pulled.
    #[derive(Default)]
    PullPolicy {
        /// Before every attempt.
        Always = "always",
        /// Where the daemon does not have it.
        #[default]
        Missing = "missing",
        /// Never: the daemon has to have it.
        Never = "never",
    }
);

named_enum!(
    /// Whether a container is removed when it has ended; one that had to be stopped always is.
    #[derive(Default)]
    AutoRemove {
        /// It stays.
        Never = "never",
        /// It stays only if it failed.
        Success = "success",
        /// It is removed, however it ended.
        #[default]
        Force = "force",
    }
);

named_enum!(
    /// What is mounted.
    MountType {
        /// A file or folder of the daemon's machine.
        Bind = "bind",
        /// A named volume; without a `source`, one of its own that goes with the container.
        Volume = "volume",
        /// Memory.
        Tmpfs = "tmpfs",
    }
);

/// Something that a container sees in its file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "type", default = "bind")]
    pub kind: MountType,
    /// The path on the daemon's machine, or the name of the volume (a template).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub source: Option<String>,
    /// The path in the container (a template).
    #[schemars(extend("x-template" = "text"))]
    pub target: String,
    /// Whether the container can only read it.
    #[serde(default)]
    pub read_only: bool,
}

const fn bind() -> MountType {
    MountType::Bind
}

/// What a container may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Processors, for instance `1.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Memory, for instance `512m` or `2g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pids: Option<u32>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// Bytes from a text like Docker's: a number with `b`, `k`, `m` or `g` behind it, powers of 1024.
///
/// # Errors
/// It is no such text; the message says what is.
pub fn memory_bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match lower[digits.len()..].trim_end_matches("ib").trim_end_matches('b') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        _ => None,
    };
    let number = digits.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    match (number, shift) {
        (Some(number), Some(shift)) => Ok((number * f64::from(1_u32 << shift)) as u64),
        _ => Err(format!("`{text}` is not an amount of memory, such as `512m` or `2g`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_as_in_docker() {
        for (text, bytes) in [
            ("512m", 512 << 20),
            ("2g", 2 << 30),
            ("1.5G", 3 << 29),
            ("64k", 64 << 10),
            ("100", 100),
            ("7b", 7),
            ("1GiB", 1 << 30),
            ("1 mb", 1 << 20),
        ] {
            assert_eq!(memory_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "much", "-1m", "0", "1t", "m", "nan", "inf", "1e999"] {
            assert!(memory_bytes(text).unwrap_err().contains("512m"), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let docker: Docker = serde_json::from_str(r#"{"image":"a"}"#).unwrap();
        assert_eq!((docker.pull, docker.auto_remove), (PullPolicy::Missing, AutoRemove::Force));
        assert_eq!(docker.skip_on_exit_code, [99]);
        let again: Docker = serde_json::from_str(&serde_json::to_string(&docker).unwrap()).unwrap();
        assert_eq!(again, docker);
    }
}
