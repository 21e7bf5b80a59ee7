//! `flowctl standalone`: every role in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flow_model::time::duration_text;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::LOGIN_LINK_LIFETIME;
use super::{Engine, prepare, probes, scheduler, secrets, shutdown_signal, triggerer, web, worker};
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::slot::Slot;

/// The name of the token with which commands on this machine reach it.
const TOKEN_NAME: &str = "standalone";

/// How commands find a local standalone.
#[derive(Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub url: String,
    /// A token for it.
    pub token: String,
    /// Its process.
    pub pid: u32,
    /// Where its probes and metrics are; empty: nowhere.
    #[serde(default)]
    pub probes_url: String,
}

/// The file that holds the endpoint; readable by its owner only.
pub fn endpoint_path(state: &Path) -> PathBuf {
    state.join("standalone.json")
}

/// Runs everything until a signal.
///
/// # Errors
/// It cannot start.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    prepare(&settings)?;
    let shutdown = shutdown_signal()?;
    let state = settings.state.folder.clone();
    if !settings.dags.folder.is_dir() {
        let folder = settings.dags.folder.display();
        let failure = Failure::new(Exit::Usage, format!("there is no DAG folder `{folder}`"));
        return Err(failure.hint("`flowctl init` makes one with a first DAG in it; `--dags` names another one").into());
    }
    let slot = Slot::take_only(&state, "standalone", "local")?;
    let listener = web::bind(&settings.web.bind, "web.bind").await?;
    let address = listener.local_addr()?;
    secrets::ensure_key(&settings)?;
    let mut engine = Engine::start(settings, "standalone", true).await?;
    engine.pages_url.get_or_insert_with(|| format!("http://{address}"));
    let slot = Slot { name: format!("{}:{}", engine.host, slot.name), ..slot };

    // Workers outlive the rest, so that what ends during the drain is still scheduled on; the web role goes last.
    let (stop_engine, stop_web) = (CancellationToken::new(), CancellationToken::new());
    let serving = tokio::spawn(flow_web::serve(listener, web::web_state(&engine), stop_web.clone()));
    let publishing = tokio::spawn(scheduler::publisher(&engine).run(stop_engine.clone()));
    let url = format!("http://{address}");
    let probes = probes::start(&engine, &stop_web).await?;
    announce(&engine, &url, probes).await?;
    // Each a task of its own: on the runtime's own threads they wake each other without a detour.
    let (engine, slot) = (Arc::new(engine), Arc::new(slot));
    let working = spawn(&engine, &slot, shutdown.clone(), |engine, slot, stop| async move {
        worker::serve(&engine, &slot, stop).await
    });
    let scheduling = spawn(&engine, &slot, stop_engine.clone(), |engine, slot, stop| async move {
        scheduler::serve(&engine, slot.name.clone(), stop).await
    });
    let triggering = spawn(&engine, &slot, stop_engine.clone(), |engine, slot, stop| async move {
        triggerer::serve(&engine, slot.name.clone(), stop).await
    });
    let result = tokio::try_join!(
        async {
            let ended = working.await?;
            stop_engine.cancel();
            ended
        },
        async { scheduling.await? },
        async { triggering.await? },
    );
    stop_engine.cancel();
    stop_web.cancel();
    let _ = publishing.await;
    let _ = tokio::time::timeout(Duration::from_secs(2), serving).await;
    let _ = std::fs::remove_file(endpoint_path(&state));
    engine.store.close().await;
    result?;
    Ok(ExitCode::SUCCESS)
}

fn spawn<F: Future<Output = anyhow::Result<()>> + Send + 'static>(
    engine: &Arc<Engine>,
    slot: &Arc<Slot>,
    stop: CancellationToken,
    role: impl FnOnce(Arc<Engine>, Arc<Slot>, CancellationToken) -> F,
) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    tokio::spawn(role(Arc::clone(engine), Arc::clone(slot), stop))
}

/// Leaves the endpoint for commands, and prints the login link for people.
async fn announce(engine: &Engine, url: &str, probes: Option<SocketAddr>) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let now = engine.store.now();
    let token = engine.store.create_local_token(now, TOKEN_NAME).await?;
    let link = engine.store.create_login_link(now, now + LOGIN_LINK_LIFETIME).await?;
    let probes_url = probes.map(|address| format!("http://{address}")).unwrap_or_default();
    let path = endpoint_path(&engine.settings.state.folder);
    let _ = std::fs::remove_file(&path);
    let endpoint = Endpoint { url: url.to_owned(), token, pid: std::process::id(), probes_url: probes_url.clone() };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    file.write_all(serde_json::to_string_pretty(&endpoint)?.as_bytes())?;
    anstream::println!(
        "Flow {version} is up\n  web UI  {url}/login?link={link}\n          (this link logs one browser in, within {within}; `flowctl login` prints another)\n{metrics}  dags    {dags}\n  store   {store}\n",
        within = duration_text::format(LOGIN_LINK_LIFETIME),
        metrics = if probes_url.is_empty() { String::new() } else { format!("  metrics {probes_url}/metrics\n") },
        version = env!("CARGO_PKG_VERSION"),
        dags = engine.settings.dags.folder.display(),
        store = engine.settings.database_url().split('@').next_back().unwrap_or_default(),
    );
    Ok(())
}
