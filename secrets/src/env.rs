//! The environment as a source. Flow's names come first; Airflow's are read, too, so that a deployment can move as it is.

use flow_model::SecretText;

/// The environment variable of a variable.
pub(crate) fn variable_name(key: &str) -> String {
    format!("FLOW_VAR_{}", upper(key))
}

/// The environment variable of a connection.
pub(crate) fn connection_name(conn_id: &str) -> String {
    format!("FLOW_CONN_{}", upper(conn_id))
}

/// Names have only letters, digits and underscores there.
fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

pub(crate) fn variable(env: &dyn Fn(&str) -> Option<String>, key: &str) -> Option<SecretText> {
    let name = variable_name(key);
    env(&name).or_else(|| env(&airflows(&name))).map(SecretText::new)
}

/// The text of a connection, and the variable that holds it.
pub(crate) fn connection(env: &dyn Fn(&str) -> Option<String>, conn_id: &str) -> Option<(SecretText, String)> {
    let name = connection_name(conn_id);
    let other = airflows(&name);
    [name, other].into_iter().find_map(|name| Some((SecretText::new(env(&name)?), name)))
}

fn airflows(name: &str) -> String {
    format!("AIR{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_airflow_are_read_after_our_own() {
        let env = |name: &str| match name {
            "FLOW_VAR_A_B" => Some("ours".to_owned()),
            "AIRFLOW_VAR_A_B" | "AIRFLOW_CONN_DB" => Some("airflows".to_owned()),
            _ => None,
        };
        assert_eq!(variable(&env, "a.b").unwrap().expose(), "ours");
        let (text, name) = connection(&env, "db").unwrap();
        assert_eq!((text.expose(), name.as_str()), ("airflows", "AIRFLOW_CONN_DB"));
        assert!(variable(&env, "c").is_none());
    }
}
