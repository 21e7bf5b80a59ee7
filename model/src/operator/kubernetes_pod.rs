//! The `kubernetes_pod` operator.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::named_enum;
use crate::time::duration_text;

/// Runs a pod in a Kubernetes cluster, and follows it to its end.
///
/// Values reach the container as arguments and environment variables, exactly as they are rendered. Its exit code, its output
/// and its log count as those of a process. Needs a flowctl that was built with the feature `kubernetes`.
///
/// ```toml
/// [tasks.load.kubernetes_pod]
/// image = "registry.example.org/load:3"
/// args = ["--day", "{{ ds }}"]
/// resources = { requests = { cpu = "500m", memory = "256Mi" } }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesPod {
    /// The image of the container (a template).
    #[schemars(extend("x-template" = "text"))]
    pub image: String,
    /// Takes the place of the image's entrypoint (templates).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub command: Vec<String>,
    /// Arguments (templates; default: what the image says).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub args: Vec<String>,
    /// Environment variables (values are templates), on top of the task's `env`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub env: BTreeMap<String, String>,
    /// The namespace (a template; default: that of the configuration, else `default`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "text"))]
    pub namespace: Option<String>,
    /// The service account that the pod runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// What the container asks for and what it may use at most.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "data"))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pod puts up with, in Kubernetes' own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "data"))]
    pub tolerations: Vec<Map<String, Value>>,
    /// Labels of the pod (values are templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-template" = "text"))]
    pub labels: BTreeMap<String, String>,
    /// When the node pulls the image (default: the cluster's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Everything else of a pod, in Kubernetes' own words: `metadata` and `spec`. The container named `base` is the task's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(extend("x-template" = "data"))]
    pub pod_template: Map<String, Value>,
    /// What becomes of the pod when it has ended; one that had to be stopped is always deleted.
    #[serde(default)]
    pub on_finish: OnFinish,
    /// How long it may take until the container runs.
    #[serde(default = "default_startup_timeout", with = "duration_text")]
    #[schemars(schema_with = "super::duration_schema")]
    pub startup_timeout: Duration,
    /// The kubeconfig on the worker (default: `KUBECONFIG`, else the service account of the worker's own pod, else
    /// `~/.kube/config`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<String>,
    /// The context in the kubeconfig (default: its current one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_context: Option<String>,
    /// Exit codes that mean "skipped" (Airflow: 99).
    #[serde(default = "super::default_skip_on_exit_code", deserialize_with = "super::one_or_many")]
    #[schemars(schema_with = "super::exit_codes_schema")]
    pub skip_on_exit_code: Vec<i32>,
}

named_enum!(
    /// When a node pulls an image.
    ImagePullPolicy {
        /// For each pod.
        Always = "Always",
        /// Where it does not have it.
        IfNotPresent = "IfNotPresent",
        /// Never.
        Never = "Never",
    }
);

named_enum!(
    /// What becomes of a pod that has ended.
    #[derive(Default)]
    OnFinish {
        /// It is deleted.
        #[default]
        DeletePod = "delete_pod",
        /// It stays.
        KeepPod = "keep_pod",
        /// It stays if it failed.
        DeleteSucceededPod = "delete_succeeded_pod",
    }
);

/// Amounts by resource, in Kubernetes' own words: `cpu = "500m"`, `memory = "1Gi"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What a node must have left for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What it may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

impl Resources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Resources::default()
    }
}

const fn default_startup_timeout() -> Duration {
    Duration::from_secs(120)
}
