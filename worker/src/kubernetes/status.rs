//! What the status of a pod means for its task.

use serde_json::Value;

use super::CONTAINER;

/// Where a pod is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The container does not run yet.
    Waiting {
        /// For what, in Kubernetes' words.
        for_what: String,
        /// It will never start.
        is_hopeless: bool,
    },
    /// It runs.
    Running,
    /// It has ended.
    Ended {
        exit_code: i32,
        /// `OOMKilled`, for instance.
        reason: String,
        /// What it left in its termination log.
        message: String,
    },
    /// The cluster took it away: its node died, it was evicted.
    Lost(String),
}

/// Waiting for these never ends.
const HOPELESS: [&str; 4] =
    ["InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError"];

/// What a pod's JSON says.
pub(crate) fn see(pod: &Value) -> Seen {
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pod_reason = text(&status["reason"]);
    let told = |reason: &str, message: String| match message.as_str() {
        "" => reason.to_owned(),
        message => format!("{reason}: {message}"),
    };
    // A pod that is taken from its node ends with some exit code of its container, which is not the task's doing.
    if text(&status["phase"]) == "Failed" && !pod_reason.is_empty() {
        return Seen::Lost(told(&pod_reason, text(&status["message"])));
    }
    if let Some(condition) = condition(status, "DisruptionTarget").filter(|condition| condition["status"] == "True")
        && text(&status["phase"]) == "Failed"
    {
        return Seen::Lost(told(&text(&condition["reason"]), text(&condition["message"])));
    }
    let container = status["containerStatuses"].as_array().into_iter().flatten().find(|one| one["name"] == CONTAINER);
    let state = container.map_or(&Value::Null, |container| &container["state"]);
    if let Some(exit_code) = state["terminated"]["exitCode"].as_i64() {
        let terminated = &state["terminated"];
        return Seen::Ended {
            exit_code: i32::try_from(exit_code).unwrap_or(-1),
            reason: text(&terminated["reason"]),
            message: text(&terminated["message"]),
        };
    }
    if state["running"].is_object() {
        return Seen::Running;
    }
    match text(&status["phase"]).as_str() {
        phase @ ("Failed" | "Succeeded") => {
            Seen::Lost(format!("the pod is `{phase}`, and nothing is known of its container"))
        }
        _ => waiting(status, state, told),
    }
}

fn waiting(status: &Value, state: &Value, told: impl Fn(&str, String) -> String) -> Seen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reason = text(&state["waiting"]["reason"]);
    if !reason.is_empty() {
        let is_hopeless = HOPELESS.contains(&reason.as_str());
        return Seen::Waiting { for_what: told(&reason, text(&state["waiting"]["message"])), is_hopeless };
    }
    let unscheduled = condition(status, "PodScheduled").filter(|condition| condition["status"] == "False");
    let for_what = match unscheduled {
        Some(condition) => told(&text(&condition["reason"]), text(&condition["message"])),
        None => "nothing is known of it yet".to_owned(),
    };
    Seen::Waiting { for_what, is_hopeless: false }
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(phase: &str, state: &Value) -> Value {
        json!({ "status": { "phase": phase, "containerStatuses": [
            { "name": "sidecar", "state": { "running": {} } },
            { "name": "base", "state": state },
        ] } })
    }

    #[test]
    fn a_pod_goes_from_waiting_to_its_end() {
        let waiting = |for_what: &str, is_hopeless| Seen::Waiting { for_what: for_what.to_owned(), is_hopeless };
        assert_eq!(see(&json!({})), waiting("nothing is known of it yet", false));
        let unscheduled = json!({ "status": { "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }
        ] } });
        assert_eq!(see(&unscheduled), waiting("Unschedulable: 0/3 nodes are available", false));
        let creating = pod("Pending", &json!({ "waiting": { "reason": "ContainerCreating" } }));
        assert_eq!(see(&creating), waiting("ContainerCreating", false));
        let invalid =
            pod("Pending", &json!({ "waiting": { "reason": "InvalidImageName", "message": "no such thing" } }));
        assert_eq!(see(&invalid), waiting("InvalidImageName: no such thing", true));
        assert_eq!(see(&pod("Running", &json!({ "running": { "startedAt": "x" } }))), Seen::Running);
        let ended = pod("Failed", &json!({ "terminated": { "exitCode": 3, "reason": "Error", "message": "a=1\n" } }));
        let expected = Seen::Ended { exit_code: 3, reason: "Error".to_owned(), message: "a=1\n".to_owned() };
        assert_eq!(see(&ended), expected);
    }

    #[test]
    fn what_the_cluster_does_is_not_the_tasks_failure() {
        let mut evicted = pod("Failed", &json!({ "terminated": { "exitCode": 137 } }));
        evicted["status"]["reason"] = json!("Evicted");
        evicted["status"]["message"] = json!("The node was low on resource: memory.");
        assert_eq!(see(&evicted), Seen::Lost("Evicted: The node was low on resource: memory.".to_owned()));
        let mut preempted = pod("Failed", &json!({ "terminated": { "exitCode": 137 } }));
        preempted["status"]["conditions"] =
            json!([{ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler" }]);
        assert_eq!(see(&preempted), Seen::Lost("PreemptionByScheduler".to_owned()));
        assert!(matches!(see(&json!({ "status": { "phase": "Failed" } })), Seen::Lost(_)));
    }
}
