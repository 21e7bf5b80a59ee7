//! Published DAG versions, kept in memory: they never change, so they may be cached without a thought.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flow_model::{Dag, DagGraph, DagVersionKey};

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::transaction::reading;

/// Versions kept at most; beyond it the cache starts anew, which costs one read per version in use.
const CACHED_MAX: usize = 4_096;

#[derive(Default)]
pub(crate) struct VersionCache(Mutex<HashMap<i64, Arc<DagGraph>>>);

impl VersionCache {
    pub(crate) fn get(&self, version: i64) -> Option<Arc<DagGraph>> {
        self.0.lock().expect("no panic while locked").get(&version).cloned()
    }

    pub(crate) fn insert(&self, version: i64, definition: &str) -> Result<Arc<DagGraph>> {
        let dag: Dag = serde_json::from_str(definition)
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
        let definition: Option<String> = reading!(self, "read a DAG version", |tx| {
            sqlx::query_scalar("select definition from dag_version where id = $1")
                .bind(version.0)
                .fetch_optional(&mut *tx)
                .await?
        })?;
        let definition =
            definition.ok_or_else(|| StoreError::NotFound { what: "dag version", name: version.to_string() })?;
        self.versions().insert(version.0, &definition)
    }

    /// Makes sure that the given versions are cached, with one read for all that are missing.
    pub(crate) async fn warm_versions(&self, versions: &[i64]) -> Result<()> {
        let missing: Vec<i64> =
            versions.iter().copied().filter(|version| self.versions().get(*version).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let wanted = serde_json::to_string(&missing).expect("numbers serialise");
        let rows: Vec<(i64, String)> = reading!(self, "read DAG versions", |tx| {
            sqlx::query_as(crate::dialect::Dialect::choose(
                &*tx,
                "select id, definition from dag_version
                 where id in (select value::bigint from json_array_elements_text($1::json))",
                "select id, definition from dag_version where id in (select value from json_each($1))",
            ))
            .bind(&wanted)
            .fetch_all(&mut *tx)
            .await?
        })?;
        for (id, definition) in rows {
            self.versions().insert(id, &definition)?;
        }
        Ok(())
    }
}
