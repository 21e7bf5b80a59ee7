//! The Kubernetes API, as far as attempts need it: where the cluster is, a pod's manifest, and what its status means.

mod access;
mod cluster;
mod manifest;
mod status;

pub(crate) use access::Access;
pub(crate) use cluster::{Cluster, ClusterError};
pub(crate) use manifest::{CONTAINER, Identity, XCOM_FILE, manifest};
pub(crate) use status::{Seen, see};
