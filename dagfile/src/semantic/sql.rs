//! What the types of `sql` and `sql_sensor` cannot say.

use flow_model::operator::Sql;
use flow_model::operator::sensor::SqlSensor;

use crate::diagnostic::Problems;
use crate::tree::Node;

pub(super) fn check(sql: &Sql, node: &Node, problems: &mut Problems) {
    match (&sql.query, &sql.file) {
        (Some(_), Some(_)) => {
            problems
                .add(node.deepest(&["file"]).span.clone(), "`sql` has a `query` and a `file`")
                .hint("keep one of them");
        }
        (None, None) => {
            problems
                .add(node.span.clone(), "`sql` has no statements")
                .absent(["query", "file"])
                .hint("give it a `query`, or the name of a `file` beside the DAG file");
        }
        (Some(query), None) => check_query(query, node, problems),
        (None, Some(_)) => {}
    }
    match (&sql.connection, &sql.sqlite) {
        (Some(_), Some(_)) => {
            problems
                .add(node.deepest(&["sqlite"]).span.clone(), "`sql` has a `connection` and a `sqlite` file")
                .hint("keep one of them");
        }
        (None, None) => {
            problems
                .add(node.span.clone(), "`sql` does not say where it runs")
                .absent(["connection", "sqlite"])
                .hint("give it a `connection`, or the path of a `sqlite` file");
        }
        (Some(connection), None) => check_connection(connection, node, problems),
        (None, Some(path)) if path != ":memory:" && !path.starts_with('/') && !path.contains("{{") => {
            problems
                .add(node.deepest(&["sqlite"]).span.clone(), format!("`{path}` is not a whole path"))
                .hint("begin it with `/`, or write `:memory:`");
        }
        (None, Some(_)) => {}
    }
}

pub(super) fn check_sensor(sensor: &SqlSensor, node: &Node, problems: &mut Problems) {
    check_query(&sensor.query, node, problems);
    check_connection(&sensor.connection, node, problems);
}

fn check_query(query: &str, node: &Node, problems: &mut Problems) {
    let place = node.deepest(&["query"]).span.clone();
    if query.trim().is_empty() {
        problems.add(place, "the query is empty").hint("write at least one statement");
    }
}

pub(super) fn check_connection(connection: &str, node: &Node, problems: &mut Problems) {
    let place = node.deepest(&["connection"]).span.clone();
    if connection.trim().is_empty() {
        problems.add(place, "`connection` is empty").hint("`flowctl connections list` shows those of the store");
    } else if connection.contains("://") {
        problems
            .add(place, "`connection` is the name of a connection, not its address")
            .hint("keep the address out of the DAG file: `flowctl connections set <name> --uri -`, then name it here");
    }
}
