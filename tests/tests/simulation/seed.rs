//! Runs the simulation that a seed stands for.

use std::path::Path;
use std::sync::OnceLock;

use flow_store::{OpenOptions, Store, StoreKind};
use rand::prelude::*;

use crate::world::{Trace, World};

/// Lines of the trace that are shown when a seed fails.
const SHOWN_LINES: usize = 60;

/// What happened in a simulation.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// What everybody did and heard.
    pub trace: Vec<String>,
    /// What the store remembers.
    pub history: Vec<String>,
}

/// Runs a seed's simulation.
///
/// Panics if anything is wrong, and says how to run it again.
pub fn simulate(seed: u64, kind: StoreKind) -> Account {
    let trace = Trace::default();
    let (url, _folder) = database(kind);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(play(&url, seed, trace.clone()))));
    let lines = trace.lines();
    if let Some(folder) = std::env::var_os("FLOW_SIM_TRACES") {
        let file = Path::new(&folder).join(format!("{seed}-{kind:?}.txt"));
        std::fs::write(&file, lines.join("\n")).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let why = match outcome {
        Ok(Ok(history)) => return Account { trace: lines, history },
        Ok(Err(error)) => format!("{error:?}"),
        Err(_) => "it panicked, see above".to_owned(),
    };
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    panic!(
        "seed {seed} on {kind:?} fails: {why}\n\nThe last of {} things that happened:\n{shown}\n\n\
         Run it again: FLOW_SIM_SEED={seed} cargo test -p flow-tests --test simulation",
        lines.len()
    );
}

async fn play(url: &str, seed: u64, trace: Trace) -> anyhow::Result<Vec<String>> {
    let mut world = World::new(url, seed, trace).await?;
    let steps = world.rng.random_range(150..450);
    for step in 1..=steps {
        world.step().await?;
        if step % 100 == 0 {
            world.check_history().await?;
        }
    }
    world.heal().await?;
    world.check_end().await?;
    let encore = world.call_for_encore().await?;
    world.come_to_the_end().await?;
    world.check_end().await?;
    world.check_encore(&encore).await?;
    let history = world.history().await?;
    world.store.close().await;
    Ok(history)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(future)
}

/// A new database with the schema, and the folder that it lives in.
fn database(kind: StoreKind) -> (String, Option<tempfile::TempDir>) {
    if kind == StoreKind::Postgres {
        let url = flow_testbed::shared_postgres().create_database().expect("the server creates a database");
        migrate(&url);
        // Nobody cuts the power here, and a wait for the disk at every commit is long.
        return (format!("{url}?options=-c%20synchronous_commit%3Doff"), None);
    }
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let folder = folder();
        let path = folder.path().join("template.db");
        migrate(&format!("sqlite:{}", path.display()));
        std::fs::read(path).expect("the template is there")
    });
    let folder = folder();
    let path = folder.path().join("flow.db");
    std::fs::write(&path, template).expect("the folder can be written to");
    (format!("sqlite:{}", path.display()), Some(folder))
}

fn migrate(url: &str) {
    block_on(async {
        let store = Store::open(url, OpenOptions::default()).await.expect("the database opens");
        store.migrate().await.expect("the schema is created");
        store.close().await;
    });
}

/// In memory where that is possible: SQLite waits for the disk at every commit.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::Builder::new()
        .prefix("flow-simulation-")
        .tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder can be created")
}
