//! What every queue must do, in process and on Redis.

use std::time::Duration;

use flow_model::{Epoch, TaskInstanceKey};
use flow_queue::{Bell, Delivery, Hint, Queue, Reader, RedisOptions};
use flow_testbed::{Redis, shared_redis};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

fn hint(id: i64) -> (String, Hint) {
    ("default".to_owned(), Hint { task_instance: TaskInstanceKey(id), epoch: Epoch(1) })
}

fn ids(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|delivery| delivery.hint.task_instance.0).collect()
}

fn on_redis(prefix: &str) -> Queue {
    Queue::redis(&shared_redis().url(), RedisOptions { prefix: prefix.to_owned() }).unwrap()
}

fn reader(queue: &Queue, consumer: &str) -> Reader {
    queue.reader(&["default".to_owned(), "other".to_owned()], consumer)
}

async fn hints_reach_exactly_one_reader(queue: Queue) {
    let (mut first, mut second) = (reader(&queue, "first"), reader(&queue, "second"));
    queue.publish(&[hint(1), hint(2), hint(3)], 3).await.unwrap();
    let one = first.take(2, LONG).await.unwrap();
    let two = second.take(2, LONG).await.unwrap();
    assert_eq!(ids(&one), [1, 2]);
    assert_eq!(ids(&two), [3]);
    first.done(&one).await.unwrap();
    second.done(&two).await.unwrap();
    assert_eq!(queue.standing("default").await.unwrap().outstanding, 0);
    assert_eq!(first.take(1, SHORT).await.unwrap(), []);
}

async fn a_waiting_reader_is_woken(queue: Queue) {
    let mut waiting = reader(&queue, "waiting");
    let taken = tokio::spawn(async move { waiting.take(10, LONG).await });
    let other = ("other".to_owned(), hint(7).1);
    queue.publish(&[other], 1).await.unwrap();
    assert_eq!(ids(&taken.await.unwrap().unwrap()), [7]);
}

async fn bells_are_not_missed_and_coalesce(queue: Queue) {
    let mut listener = queue.listen(Bell::Scheduler);
    // A new connection rings once by itself: after that the bell is quiet.
    while tokio::time::timeout(SHORT, listener.rang()).await.is_ok() {}
    queue.ring(Bell::Scheduler).await.unwrap();
    queue.ring(Bell::Scheduler).await.unwrap();
    tokio::time::timeout(LONG, listener.rang()).await.unwrap();
    while tokio::time::timeout(SHORT, listener.rang()).await.is_ok() {}
    queue.ring(Bell::Workers).await.unwrap();
    assert!(tokio::time::timeout(SHORT, listener.rang()).await.is_err(), "another bell rang");
}

macro_rules! conformance {
    ($($test:ident),+) => {
        mod in_process {
            $(#[tokio::test] async fn $test() { super::$test(super::Queue::in_process()).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $test() { super::$test(super::on_redis(stringify!($test))).await; })+
        }
    };
}
conformance!(hints_reach_exactly_one_reader, a_waiting_reader_is_woken, bells_are_not_missed_and_coalesce);

#[tokio::test]
async fn hints_of_a_dead_reader_are_reclaimed() {
    let queue = on_redis("reclaim");
    let mut dying = reader(&queue, "dying");
    queue.publish(&[hint(1)], 1).await.unwrap();
    assert_eq!(ids(&dying.take(1, LONG).await.unwrap()), [1]);
    drop(dying);
    let mut heir = reader(&queue, "heir");
    let reclaimed = heir.reclaim(Duration::ZERO, 10).await.unwrap();
    assert_eq!(ids(&reclaimed), [1]);
    heir.done(&reclaimed).await.unwrap();
    assert_eq!(heir.reclaim(Duration::ZERO, 10).await.unwrap(), []);
}

#[tokio::test]
async fn garbage_is_put_aside() {
    let queue = on_redis("garbage");
    let redis = shared_redis();
    let long = "x".repeat(100_000);
    for words in [
        &["XADD", "garbage:queue:default", "*", "nonsense", "1"][..],
        &["XADD", "garbage:queue:default", "*", "ti", "one", "epoch", "1"],
        &["XADD", "garbage:queue:default", "*", "ti", &long, "epoch", "1"],
    ] {
        redis.command(words).unwrap();
    }
    queue.publish(&[hint(5)], 1).await.unwrap();
    let mut reader = reader(&queue, "reader");
    let mut taken = Vec::new();
    while taken.is_empty() {
        taken = reader.take(10, LONG).await.unwrap();
    }
    assert_eq!(ids(&taken), [5]);
    reader.done(&taken).await.unwrap();
    assert_eq!(queue.standing("default").await.unwrap().outstanding, 0);
    assert!(redis.command(&["XLEN", "garbage:dead_letters"]).unwrap().starts_with(":3"));
}

#[tokio::test]
async fn a_flush_and_a_restart_lose_hints_but_nothing_else() {
    let redis = Redis::start().unwrap();
    let queue = Queue::redis(&redis.url(), RedisOptions::default()).unwrap();
    let mut reader = reader(&queue, "reader");
    queue.publish(&[hint(1)], 10).await.unwrap();
    assert_eq!(ids(&reader.take(1, LONG).await.unwrap()), [1]);
    assert_eq!(queue.standing("default").await.unwrap().high_water_mark, Some(10));

    redis.flush_all().unwrap();
    assert_eq!(queue.standing("default").await.unwrap().high_water_mark, None, "the auditor can tell");
    queue.publish(&[hint(2)], 11).await.unwrap();
    assert_eq!(ids(&reader.take(1, LONG).await.unwrap()), [2]);

    let mut listener = queue.listen(Bell::Runs);
    tokio::time::timeout(LONG, listener.rang()).await.unwrap();
    redis.kill().unwrap();
    assert!(queue.publish(&[hint(3)], 12).await.is_err());
    assert!(queue.ping().await.is_err());
    redis.start_again().unwrap();
    // Everybody looks once after the connection is back.
    tokio::time::timeout(LONG, listener.rang()).await.unwrap();
    queue.publish(&[hint(4)], 13).await.unwrap();
    let mut taken = Vec::new();
    while !taken.contains(&4) {
        match reader.take(10, LONG).await {
            Ok(deliveries) => taken.extend(ids(&deliveries)),
            // The first call notices the broken connection.
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

#[tokio::test]
async fn a_restart_reaches_nobody_who_asks_afterwards() {
    let redis = Redis::start().unwrap();
    let queue = Queue::redis(&redis.url(), RedisOptions::default()).unwrap();
    for number in 0..5 {
        queue.ping().await.unwrap();
        redis.kill().unwrap();
        redis.start_again().unwrap();
        match number {
            0 => queue.ping().await.unwrap(),
            1 => queue.ring(Bell::Runs).await.unwrap(),
            2 => queue.publish(&[hint(1)], 1).await.unwrap(),
            _ => assert!(queue.standing("default").await.is_ok()),
        }
    }
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_not_ready_and_says_why() {
    let redis = Redis::start().unwrap();
    let queue = Queue::redis(&redis.url(), RedisOptions::default()).unwrap();
    let set = |words: &[&str]| redis.command(words).unwrap();
    for (break_it, mend_it, cause, hint) in [
        (
            ["CONFIG", "SET", "maxmemory", "1"].as_slice(),
            ["CONFIG", "SET", "maxmemory", "0"].as_slice(),
            "OOM",
            "maxmemory",
        ),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "READONLY", "primary"),
    ] {
        queue.ping().await.unwrap();
        set(break_it);
        let error = queue.ping().await.unwrap_err();
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert!(said.to_uppercase().contains(cause) || said.contains("replica"), "{said}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        set(mend_it);
    }
    queue.ping().await.unwrap();
}
