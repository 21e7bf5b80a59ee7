//! What the type of `trigger_dag` cannot say.

use flow_model::operator::TriggerDag;

use crate::diagnostic::Problems;
use crate::tree::Node;

pub(super) fn check(trigger: &TriggerDag, node: &Node, problems: &mut Problems) {
    if trigger.trigger_dag_id.trim().is_empty() {
        problems
            .add(node.deepest(&["trigger_dag_id"]).span.clone(), "`trigger_dag` names no DAG")
            .hint("give it the id of a DAG, or a template");
    }
    for (key, states) in [("allowed_states", &trigger.allowed_states), ("failed_states", &trigger.failed_states)] {
        for (state, written) in states.iter().zip(node.deepest(&[key]).items()) {
            if !state.is_finished() {
                problems
                    .add(written.span.clone(), format!("a run cannot end in the state `{state}`"))
                    .hint("runs end in `success` or `failed`");
            }
        }
    }
}
