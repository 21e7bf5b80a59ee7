//! What a database says beside its answers.

use std::sync::Mutex;

use flow_sql::Progress;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::place::Place;

const SPEAKING: &str = "create function speak(p text) returns int language plpgsql as $$ begin
    raise warning 'beware of %', p; raise notice 'trying %', p; raise info 'for the record'; return 1; end $$";

fn told(progress: &Progress<'_>) -> String {
    match progress {
        Progress::Begins { number, .. } => format!("begins {number}"),
        Progress::Notice { severity, text } => format!("{severity}: {text}"),
        Progress::Ended { rows, .. } => format!("{rows} rows"),
    }
}

#[tokio::test]
async fn notices_are_told_in_their_order_and_to_those_whom_they_are_about() {
    let _ = tracing_subscriber::registry().with(flow_sql::notices()).try_init();
    let place = Place::postgres();
    place.script(SPEAKING).run().await.unwrap();
    let place = &place;
    let speaking = (0..8).map(|number| async move {
        let heard = Mutex::new(Vec::new());
        let tell = |progress: Progress<'_>| heard.lock().unwrap().push(told(&progress));
        let script = place.script("select speak(:p); select 2").with("p", format!("dog {number}"));
        script.observed(&tell).await.unwrap();
        heard.into_inner().unwrap()
    });
    let heard = futures_util::future::join_all(speaking).await;
    for (number, heard) in heard.into_iter().enumerate() {
        let wanted = [
            "begins 1",
            &format!("warning: beware of dog {number}"),
            &format!("notice: trying dog {number}"),
            "info: for the record",
            "1 rows",
            "begins 2",
            "1 rows",
        ];
        assert_eq!(heard, wanted);
    }
}

#[tokio::test]
async fn notices_before_a_failure_are_told_too() {
    let _ = tracing_subscriber::registry().with(flow_sql::notices()).try_init();
    let place = Place::postgres();
    let heard = Mutex::new(Vec::new());
    let tell = |progress: Progress<'_>| heard.lock().unwrap().push(told(&progress));
    let sql = "do $$ begin raise notice 'nearly'; raise exception 'no'; end $$";
    place.script(sql).observed(&tell).await.unwrap_err();
    assert_eq!(heard.into_inner().unwrap(), ["begins 1", "notice: nearly"]);
}
