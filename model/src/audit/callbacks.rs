//! I25: an event with callbacks has exactly one delivery, and nothing else has one.

use std::collections::BTreeMap;

use super::{Findings, RunHistory};
use crate::TaskInstanceKey;
use crate::callback::CallbackEvent;

/// Of what an event is: a task instance, or the run itself; its number there; and what it is called for.
type Event = (Option<TaskInstanceKey>, i64, CallbackEvent);

pub(super) fn check(run: &RunHistory, found: &mut Findings) {
    let mut wanted: BTreeMap<Event, i64> = expected(run).into_iter().map(|event| (event, 0)).collect();
    for callback in &run.callbacks {
        match wanted.get_mut(callback) {
            Some(count) => *count += 1,
            None => found.add("I25", format!("there is a callback for {}, which has none", described(callback))),
        }
    }
    for (event, count) in wanted.iter().filter(|(_, count)| **count != 1) {
        found.add("I25", format!("there are {count} callbacks for {}", described(event)));
    }
}

fn described((of, event_no, event): &Event) -> String {
    let of = of.map_or_else(|| "the run".to_owned(), |task| format!("task instance {task}"));
    format!("event {event_no} ({event}) of {of}")
}

/// The events that call back.
fn expected(run: &RunHistory) -> Vec<Event> {
    let dag = &run.graph.dag;
    let mut events = Vec::new();
    for event in &run.events {
        let Some(called) = event.from.and_then(|from| CallbackEvent::of_run(from, event.to)) else { continue };
        if !dag.callbacks.of(called).is_empty() {
            events.push((None, event.event_no, called));
        }
    }
    for history in &run.tasks {
        let Some(task) = dag.tasks.get(history.task_index as usize) else { continue };
        for event in &history.events {
            let called = event
                .from
                .and_then(|from| CallbackEvent::of_task(from, event.to, event.actor, event.reason.as_deref()));
            let Some(called) = called else { continue };
            if !task.callbacks.of(called).is_empty() {
                events.push((Some(history.key), event.event_no, called));
            }
        }
    }
    events
}
