//! Files that tries leave.

use flow_model::{ClaimId, Epoch};
use flow_store::{ClearRequest, NewArtifact, OutcomeKind, Selection, StoreError, WorkOrder};

use crate::bench::Bench;
use crate::dags::shaped;

cases!(
    files_are_seen_once_their_try_has_ended,
    files_of_every_try_are_kept,
    what_has_lost_the_right_to_act_leaves_nothing,
    a_large_file_is_kept_in_pieces,
    names_that_lead_elsewhere_are_refused,
);

async fn keep(bench: &Bench, order: &WorkOrder, name: &str, content: &[u8]) -> bool {
    let new = NewArtifact { task_instance: order.task_instance, epoch: order.epoch, claim: order.claim, name, content };
    bench.store.keep_artifact(bench.now(), &new).await.unwrap()
}

/// `task try name size` of everything that is seen.
async fn seen(bench: &Bench, order: &WorkOrder) -> Vec<String> {
    let listed = bench.store.list_artifacts(order.run, None).await.unwrap();
    listed.iter().map(|one| format!("{} {} {} {}", one.task_id, one.try_number, one.name, one.size)).collect()
}

async fn files_are_seen_once_their_try_has_ended(bench: Bench) {
    bench.publish(shaped("d", &["a", "b"])).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    assert!(keep(&bench, &orders[0], "plots/z.svg", b"<svg/>").await);
    assert!(keep(&bench, &orders[0], "a.txt", b"first").await);
    assert!(keep(&bench, &orders[0], "a.txt", b"the second").await);
    assert!(keep(&bench, &orders[1], "b.txt", b"").await);
    assert_eq!(seen(&bench, &orders[0]).await, Vec::<String>::new());
    bench.report(&orders[0], OutcomeKind::Success).await;
    assert_eq!(seen(&bench, &orders[0]).await, ["a 1 a.txt 10", "a 1 plots/z.svg 6"]);
    bench.report(&orders[1], OutcomeKind::FailedForGood).await;
    assert_eq!(seen(&bench, &orders[0]).await, ["a 1 a.txt 10", "a 1 plots/z.svg 6", "b 1 b.txt 0"]);
    let of_b = bench.store.list_artifacts(orders[1].run, Some(orders[1].task_instance)).await.unwrap();
    assert_eq!(of_b.len(), 1);
    assert_eq!(of_b[0].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(of_b[0].created_at(), bench.now());
    assert_eq!(bench.store.artifact_piece(of_b[0].id, 0).await.unwrap(), None);
    bench.settle().await;
    bench.assert_sound().await;
}

async fn files_of_every_try_are_kept(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = bench.trigger("d", "r").await;
    let first = bench.claim_one().await;
    keep(&bench, &first, "a.txt", b"1").await;
    bench.report(&first, OutcomeKind::FailedForGood).await;
    let request = ClearRequest { run, tasks: Selection::default(), only_failed: false, principal: "ada".to_owned() };
    bench.store.clear_tasks(bench.now(), &request, false).await.unwrap();
    let second = bench.claim_one().await;
    keep(&bench, &second, "a.txt", b"22").await;
    bench.report(&second, OutcomeKind::Success).await;
    assert_eq!(seen(&bench, &first).await, ["a 1 a.txt 1", "a 2 a.txt 2"]);
}

async fn what_has_lost_the_right_to_act_leaves_nothing(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = bench.trigger("d", "r").await;
    let first = bench.claim_one().await;
    assert!(keep(&bench, &first, "before.txt", b"1").await);
    let stranger = WorkOrder { claim: ClaimId(first.claim.0 + 1), ..first.clone() };
    assert!(!keep(&bench, &stranger, "a.txt", b"1").await);
    let later = WorkOrder { epoch: Epoch(first.epoch.0 + 1), ..first.clone() };
    assert!(!keep(&bench, &later, "a.txt", b"1").await);
    let request = ClearRequest { run, tasks: Selection::default(), only_failed: false, principal: "ada".to_owned() };
    bench.store.clear_tasks(bench.now(), &request, false).await.unwrap();
    assert!(!keep(&bench, &first, "after.txt", b"1").await);
    let second = bench.claim_one().await;
    keep(&bench, &second, "good.txt", b"1").await;
    bench.report(&second, OutcomeKind::Success).await;
    assert_eq!(seen(&bench, &second).await, ["a 2 good.txt 1"]);
    assert!(!keep(&bench, &second, "too_late.txt", b"1").await);
    // The next try sweeps up what nobody will ever see.
    assert_eq!(bench.raw.number("select count(*) from artifact").await, 1);
    assert_eq!(bench.raw.number("select count(*) from artifact_piece").await, 1);
}

async fn a_large_file_is_kept_in_pieces(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let content: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
    keep(&bench, &order, "large.bin", &content).await;
    bench.report(&order, OutcomeKind::Success).await;
    let id = bench.store.list_artifacts(order.run, None).await.unwrap()[0].id;
    let mut read = Vec::new();
    let mut seq = 0;
    while let Some(piece) = bench.store.artifact_piece(id, seq).await.unwrap() {
        assert!(piece.len() <= 256 * 1024);
        read.extend(piece);
        seq += 1;
    }
    assert_eq!((seq, read == content), (3, true));
}

async fn names_that_lead_elsewhere_are_refused(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    for name in ["../a", "/etc/passwd", "a/../../b", ""] {
        let new = NewArtifact {
            task_instance: order.task_instance,
            epoch: order.epoch,
            claim: order.claim,
            name,
            content: b"x",
        };
        assert!(matches!(bench.store.keep_artifact(bench.now(), &new).await, Err(StoreError::Conflict(_))), "{name}");
    }
}
