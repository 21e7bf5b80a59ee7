//! Answers have limits, and so has time.

use std::time::{Duration, Instant};

use flow_sql::{Keep, SqlError};

use crate::place::Place;

const THREE: &str = "select 1 as n union all select 2 union all select 3";

#[tokio::test]
async fn more_rows_than_wanted_are_an_error() {
    for place in Place::each() {
        let at_most = |rows_max| Keep::All { rows_max, bytes_max: 1_000 };
        assert_eq!(place.script(THREE).keep(at_most(3)).run().await.unwrap().rows.len(), 3);
        let error = place.script(THREE).keep(at_most(2)).run().await.unwrap_err();
        assert!(
            matches!(&error, SqlError::TooMuch(why) if why.starts_with("the query returns more than 2 rows\nhint: "))
        );
        let bytes = Keep::All { rows_max: 3, bytes_max: 20 };
        let error = place.script(THREE).keep(bytes).run().await.unwrap_err();
        assert!(matches!(error, SqlError::TooMuch(why) if why.contains("larger than 20 bytes")));
        let first = place.script(THREE).keep(Keep::First { bytes_max: 20 }).run().await.unwrap();
        assert_eq!((first.rows.len(), first.row_count), (1, 3));
    }
}

/// A change is not kept if its answer is too large.
#[tokio::test]
async fn nothing_has_happened_then() {
    for place in [Place::postgres(), Place::sqlite()] {
        place.script("create table t (a int)").run().await.unwrap();
        let keep = Keep::All { rows_max: 1, bytes_max: 1_000 };
        place.script("insert into t values (1), (2) returning a").keep(keep).run().await.unwrap_err();
        assert_eq!(place.value("select count(*) from t").await, 0);
    }
}

#[tokio::test]
async fn what_takes_too_long_is_stopped_in_the_database() {
    let limit = Duration::from_millis(300);
    for (place, endless) in [
        (Place::postgres(), "select pg_sleep(600)"),
        (Place::mysql(), "select sleep(600)"),
        (Place::sqlite(), "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"),
    ] {
        let begun = Instant::now();
        let error = place.script(endless).timeout(limit).run().await.unwrap_err();
        assert_eq!(error, SqlError::TimedOut(limit));
        assert!(begun.elapsed() < Duration::from_secs(30));
        let running = match place.connection.conn_type.as_str() {
            "postgres" => {
                "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
            }
            "mysql" => "select count(*) from information_schema.processlist where info like 'select sleep%'",
            // The thread has let go of the file once somebody else may write.
            _ => "create table t (a int); select 0",
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while place.value(running).await != 0 {
            assert!(Instant::now() < deadline, "it still runs");
        }
    }
}
