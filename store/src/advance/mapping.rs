//! Carries expansions out: the rows of a mapped task or group become as many as its mapping has values.

use std::collections::HashMap;
use std::sync::Arc;

use flow_model::decide::expansion::{
    CopyOf, Ends, Instances, RunValues, ScopeInstance, edges, ends, instances, is_untouched, plan, questions, raises,
};
use flow_model::decide::plan::{Expansion, RunSnapshot};
use flow_model::decide::task::EMPTY_MAP;
use flow_model::{DagGraph, TaskInstanceKey};
use serde_json::{Map, Value};

use super::rows::{MappingXComRow, ScopeInstanceRow};
use super::{Advanced, Tick};
use crate::due::INSERT_BATCH_MAX;
use crate::error::{Abort, Result};
use crate::query::statement;
use crate::rows::{from_json, index, json};
use crate::transaction::Transaction;

impl Tick<'_> {
    /// Carries the expansions of a plan out; the counts of unfinished instances of the runs grow with it.
    pub(super) async fn expand_mappings(
        &self,
        tx: &mut Transaction,
        runs: &mut [RunSnapshot],
        expansions: &[Expansion],
        advanced: &mut Advanced,
    ) -> Result<(), Abort> {
        let mut moved = 0;
        for expansion in expansions {
            if let Some(run) = runs.iter_mut().find(|run| run.run == expansion.run) {
                moved += self.expand_scope(tx, run, expansion).await?;
            }
        }
        advanced.decided += moved;
        // The new instances are offered slots in the next tick.
        advanced.is_unfinished |= moved > 0;
        Ok(())
    }

    /// Gives how many instances were scheduled, ended or are looked at again.
    async fn expand_scope(
        &self,
        tx: &mut Transaction,
        run: &mut RunSnapshot,
        expansion: &Expansion,
    ) -> Result<usize, Abort> {
        let graph = Arc::clone(&run.graph);
        let values = run_values(tx, &graph, expansion).await?;
        let rows: Vec<ScopeInstanceRow> = tx
            .query(statement!("scope_instances"))
            .bind(run.run.0)
            .bind(json(&graph.scopes[expansion.scope as usize].tasks))
            .all()
            .await?;
        let rows: Vec<ScopeInstance> = rows.into_iter().map(ScopeInstance::from).collect();
        let mut moved = 0;
        let ended: Ends = match instances(&graph, expansion.scope, &values) {
            Instances::Values(values) => {
                let (removed, scheduled) = self.give_values(tx, run, expansion, &rows, &values).await?;
                moved += scheduled;
                vec![("removed", "mapping_shrunk".to_owned(), removed)]
            }
            Instances::Nothing => ends(expansion, "skipped", EMPTY_MAP),
            Instances::Refused(state, why) => ends(expansion, state, &why),
        };
        for (state, reason, tasks) in ended.into_iter().filter(|(.., tasks)| !tasks.is_empty()) {
            moved += tasks.len();
            self.end_undecided(tx, &tasks, state, &reason).await?;
        }
        Ok(moved)
    }

    /// Brings the rows of a scope in line with the values. Gives the rows that are beyond their end, and how many instances were
    /// scheduled, restored or are looked at again.
    async fn give_values(
        &self,
        tx: &mut Transaction,
        run: &mut RunSnapshot,
        expansion: &Expansion,
        rows: &[ScopeInstance],
        values: &[Map<String, Value>],
    ) -> Result<(Vec<TaskInstanceKey>, usize), Abort> {
        let graph = Arc::clone(&run.graph);
        let scope = &graph.scopes[expansion.scope as usize];
        let plan = plan(rows, &expansion.ready, values);
        tx.query(statement!("give_map_values")).bind(json(&plan.give)).execute().await?;
        let mut schedule = plan.schedule;
        self.copy_instances(tx, run, expansion, &plan.copy, &mut schedule).await?;
        let mut moved = plan.restore.len();
        if !plan.restore.is_empty() {
            tx.query(statement!("restore_instances"))
                .bind(json(&plan.restore))
                .bind(self.now.as_micros())
                .bind(&self.limits.actor_id)
                .execute()
                .await?;
        }
        let is_untouched = is_untouched(rows);
        if scope.group_id.is_some() && !is_untouched {
            tx.query(statement!("recount_upstream"))
                .bind(run.run.0)
                .bind(json(&edges(&graph, &scope.tasks)))
                .execute()
                .await?;
        }
        // What will not run is decided about with the others of its index.
        if scope.group_id.is_some() && !(is_untouched && expansion.ending.is_empty()) {
            moved += 1;
            tx.query(statement!("look_at_tasks")).bind(run.run.0).bind(json(&scope.tasks)).execute().await?;
        }
        self.schedule_tasks(tx, &schedule).await?;
        Ok((plan.remove, moved + schedule.len()))
    }

    /// Adds the missing instances; those whose task is ready join `schedule`.
    async fn copy_instances(
        &self,
        tx: &mut Transaction,
        run: &mut RunSnapshot,
        expansion: &Expansion,
        copies: &[CopyOf],
        schedule: &mut Vec<TaskInstanceKey>,
    ) -> Result<(), Abort> {
        let mut added: HashMap<u32, i64> = HashMap::new();
        for batch in copies.chunks(INSERT_BATCH_MAX) {
            let new: Vec<(i64, i64)> = tx
                .query(statement!("copy_instances"))
                .bind(json(batch))
                .bind(self.now.as_micros())
                .bind(&self.limits.actor_id)
                .all()
                .await?;
            for (id, task) in new {
                let task = index(task);
                *added.entry(task).or_default() += 1;
                run.unfinished += 1;
                schedule.extend(expansion.ready.contains(&task).then_some(TaskInstanceKey(id)));
            }
        }
        // Older rows are queued first where priorities are equal.
        schedule.sort_unstable();
        let raises = raises(&run.graph, &added);
        if !raises.is_empty() {
            tx.query(statement!("raise_totals")).bind(run.run.0).bind(json(&raises)).execute().await?;
        }
        Ok(())
    }
}

/// What a mapping of the run is evaluated with.
async fn run_values(tx: &mut Transaction, graph: &DagGraph, expansion: &Expansion) -> Result<RunValues, Abort> {
    let questions = json(&questions(graph, expansion));
    let xcoms: Vec<MappingXComRow> = match questions.as_str() {
        "[]" => Vec::new(),
        questions => tx.query(statement!("mapping_xcoms")).bind(questions).all().await?,
    };
    let xcoms = xcoms.into_iter().map(MappingXComRow::xcom).collect::<Result<_>>()?;
    let conf: String = tx.query("select conf from dag_run where id = $1").bind(expansion.run.0).scalar().await?;
    Ok(RunValues::new(graph, expansion.run, xcoms, from_json("run's conf", &conf)?, &expansion.empty))
}
