//! What databases say, and what they are told.

use serde_json::json;

use super::Place;

/// Of the connection `api`.
pub(super) const PASSWORD: &str = "pa55w0rd-of-the-shop";

const NOTICES: &str = r#"
[tasks.prepare.sql]
connection = "pg"
query = """
create or replace function login(p text) returns int language plpgsql as
$$ begin raise warning 'login with %', p; raise notice 'trying %', p; return 1; end $$;
"""
[tasks.a]
depends_on = ["prepare"]
sql = { connection = "pg", query = "select login(:p)", parameters = { p = "{{ conn.api.password }}" } }
[tasks.looks]
depends_on = ["prepare"]
sql_sensor = { connection = "pg", query = "select login(:p)", parameters = { p = "somebody" } }
"#;

pub(super) async fn notices_stand_masked_in_the_log_of_the_task(place: &Place) {
    let run = place.succeeded("notices", NOTICES, &[]).await;
    for (task, name) in [("a", "***"), ("looks", "somebody")] {
        let log = place.api.log("notices", &run, task, 1).await.unwrap().join("\n");
        assert!(
            log.contains(&format!("login with {name}")) && log.contains(&format!("trying {name}")),
            "{task}: {log}"
        );
        assert!(!log.contains(PASSWORD), "{task}: {log}");
    }
    let own = place.own_logs();
    assert!(!own.is_empty() && !own.contains(PASSWORD) && !own.contains("login with"), "{own}");
}

const PROCEDURE: &str = r#"
[tasks.a.sql]
connection = "my"
query = """
drop procedure if exists pp;
delimiter //
create procedure pp(in a int) begin select a as first_set; select a+1 as second_set, 'x;y' as t; end//
delimiter ;
call pp(5);
"""
"#;

pub(super) async fn a_procedure_with_several_answers_leaves_the_last(place: &Place) {
    let run = place.succeeded("procedure", PROCEDURE, &[]).await;
    assert_eq!(place.left("procedure", &run, "a").await, json!([{ "second_set": 6, "t": "x;y" }]));
}

const BRACES: &str = r#"
[tasks.a.sql]
connection = "pg"
query = "select '{{1,2},{3,4}}'::int[]"
"#;

pub(super) async fn braces_in_a_query_are_sql(place: &Place) {
    let run = place.succeeded("braces", BRACES, &[]).await;
    assert_eq!(place.left("braces", &run, "a").await, json!([{ "int4": [[1, 2], [3, 4]] }]));
}
