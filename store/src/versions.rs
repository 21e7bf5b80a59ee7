//! Published DAG versions, kept in memory: they never change, so they may be cached without a thought.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flow_model::{Dag, DagGraph, DagVersionKey};

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::json;
use crate::transaction::{Transaction, step};

/// Versions kept at most; beyond it the cache starts anew, which costs one read per version in use.
const CACHED_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct VersionCache(Mutex<HashMap<i64, Arc<DagGraph>>>);

impl VersionCache {
    pub(crate) fn get(&self, version: i64) -> Option<Arc<DagGraph>> {
        self.0.lock().expect("no panic while locked").get(&version).cloned()
    }

    pub(crate) fn insert(&self, version: i64, definition: &str) -> Result<Arc<DagGraph>> {
        // As a value first: what is flattened into a table takes numbers only from one.
        let dag: Dag = serde_json::from_str(definition)
            .and_then(serde_json::from_value::<Dag>)
            .map_err(|error| StoreError::Corrupt { what: "dag version", why: error.to_string() })?;
        let graph = Arc::new(DagGraph::new(DagVersionKey(version), dag));
        let mut cached = self.0.lock().expect("no panic while locked");
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        cached.insert(version, Arc::clone(&graph));
        Ok(graph)
    }
}

impl Store {
    /// A published version with its edges resolved.
    ///
    /// # Errors
    /// There is no such version, or the database cannot be read.
    pub async fn dag_graph(&self, version: DagVersionKey) -> Result<Arc<DagGraph>> {
        if let Some(graph) = self.versions().get(version.0) {
            return Ok(graph);
        }
        let definition: Option<String> = self
            .reading("read a DAG version", |tx| {
                step(tx.query("select definition from dag_version where id = $1").bind(version.0).optional_scalar())
            })
            .await?;
        let definition =
            definition.ok_or_else(|| StoreError::NotFound { what: "dag version", name: version.to_string() })?;
        self.versions().insert(version.0, &definition)
    }

    /// Makes sure that the given versions are cached, with one read for all that are missing. It reads on the transaction's
    /// own connection: waiting for a second one while holding the first could go round in a circle.
    pub(crate) async fn warm_versions(
        &self,
        tx: &mut Transaction,
        versions: impl IntoIterator<Item = i64>,
    ) -> Result<(), Abort> {
        let missing: Vec<i64> =
            versions.into_iter().filter(|version| self.versions().get(*version).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<(i64, String)> = tx.query(statement!("read_versions")).bind(json(&missing)).all().await?;
        for (id, definition) in rows {
            self.versions().insert(id, &definition)?;
        }
        Ok(())
    }
}
