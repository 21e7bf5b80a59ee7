//! Where the cluster is and how to log in to it: a kubeconfig, or the service account of the worker's own pod.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flow_model::outside::without_mark;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster, and the right to use it.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// The API's address, without a slash at the end.
    pub server: String,
    /// Whoever signs the API's certificate, as PEM; without it, whom the machine trusts.
    pub authority: Option<Vec<u8>>,
    /// A client certificate with its key, as PEM.
    pub identity: Option<Vec<u8>>,
    pub token: Token,
    pub namespace: Option<String>,
}

/// What is shown with each request.
#[derive(Debug, Default)]
pub(crate) enum Token {
    #[default]
    None,
    Text(String),
    /// Read anew for each request: a cluster renews it.
    File(PathBuf),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct KubeConfig {
    current_context: Option<String>,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

impl Access {
    /// Looks for a cluster: the file that the task names, `KUBECONFIG`, the worker's own pod, `~/.kube/config`.
    ///
    /// # Errors
    /// In words: there is none, or it is not usable.
    pub fn find(config_file: Option<&str>, context: Option<&str>) -> Result<Access, String> {
        let named = config_file.map(PathBuf::from).or_else(|| {
            let first = std::env::var("KUBECONFIG").ok()?.split(':').next()?.to_owned();
            (!first.is_empty()).then(|| PathBuf::from(first))
        });
        if let Some(path) = named {
            return Access::from_file(&path, context);
        }
        if let Some(access) = Access::of_own_pod(Path::new(SERVICE_ACCOUNT)) {
            return Ok(access);
        }
        let home = std::env::var("HOME").ok().map(|home| Path::new(&home).join(".kube/config"));
        match home.filter(|path| path.exists()) {
            Some(path) => Access::from_file(&path, context),
            None => Err("this worker knows of no Kubernetes cluster\nhint: run it in a pod with a service account, or set `KUBECONFIG` for the worker, or `config_file` in the task".to_owned()),
        }
    }

    fn of_own_pod(folder: &Path) -> Option<Access> {
        let (host, port) =
            (std::env::var("KUBERNETES_SERVICE_HOST").ok()?, std::env::var("KUBERNETES_SERVICE_PORT").ok()?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let namespace = std::fs::read_to_string(folder.join("namespace")).ok();
        Some(Access {
            server: format!("https://{host}:{port}"),
            authority: Some(std::fs::read(folder.join("ca.crt")).ok()?),
            identity: None,
            token: Token::File(folder.join("token")),
            namespace: namespace.map(|namespace| namespace.trim().to_owned()).filter(|namespace| !namespace.is_empty()),
        })
    }

    fn from_file(path: &Path, context: Option<&str>) -> Result<Access, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("cannot read the kubeconfig `{shown}`: {error}\nhint: it has to be on the worker's machine")
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Access::from_text(without_mark(&text), folder, context)
            .map_err(|why| format!("the kubeconfig `{shown}` is not usable: {why}"))
    }

    fn from_text(text: &str, folder: &Path, context: Option<&str>) -> Result<Access, String> {
        let config: KubeConfig = yaml(text)?;
        let context = context
            .or(config.current_context.as_deref())
            .filter(|name| !name.is_empty())
            .ok_or("it has no current context\nhint: name one with `cluster_context`")?;
        let missing = |what: &str, name: &str| format!("it has no {what} `{name}`");
        let chosen = config.contexts.into_iter().find(|known| known.name == context);
        let Context { cluster: cluster_name, user, namespace } =
            chosen.ok_or_else(|| missing("context", context))?.context;
        let cluster = config.clusters.into_iter().find(|known| known.name == cluster_name);
        let cluster = cluster.ok_or_else(|| missing("cluster", &cluster_name))?.cluster;
        if cluster.insecure_skip_tls_verify {
            return Err("`insecure-skip-tls-verify` would let anybody on the way read the login\nhint: put the cluster's certificate into `certificate-authority-data`".to_owned());
        }
        let user = match user {
            None => User::default(),
            Some(name) => {
                let found = config.users.into_iter().find(|known| known.name == name);
                found.ok_or_else(|| missing("user", &name))?.user
            }
        };
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err("its user logs in with a program of its own, which Flow does not run\nhint: use the token of a service account (kubectl create token), or run the worker in the cluster".to_owned());
        }
        let content = |data: &Option<String>, file: &Option<PathBuf>| content(data.as_deref(), file.as_deref(), folder);
        let certificate = content(&user.client_certificate_data, &user.client_certificate)?;
        let key = content(&user.client_key_data, &user.client_key)?;
        Ok(Access {
            server: cluster.server.trim_end_matches('/').to_owned(),
            authority: content(&cluster.certificate_authority_data, &cluster.certificate_authority)?,
            identity: certificate.zip(key).map(|(certificate, key)| [certificate, b"\n".to_vec(), key].concat()),
            token: match (user.token, user.token_file) {
                (Some(token), _) => Token::Text(token),
                (None, Some(file)) => Token::File(folder.join(file)),
                (None, None) => Token::None,
            },
            namespace,
        })
    }
}

/// Base64 in the file, or another file beside it.
fn content(data: Option<&str>, file: Option<&Path>, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    match (data, file) {
        (Some(data), _) => {
            STANDARD.decode(data.trim()).map(Some).map_err(|error| format!("its base64 is broken: {error}"))
        }
        (None, Some(file)) => {
            let path = folder.join(file);
            let read = std::fs::read(&path);
            read.map(Some).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
        }
        (None, None) => Ok(None),
    }
}

fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: eu
contexts:
- name: eu
  context: { cluster: eu, user: loader, namespace: sales }
- name: us
  context: { cluster: us, user: admin }
- name: cloud
  context: { cluster: us, user: cloud }
- name: lax
  context: { cluster: lax }
clusters:
- name: eu
  cluster:
    server: https://eu.example.org:6443/
    certificate-authority-data: Q0E=
- name: us
  cluster: { server: "https://us.example.org" }
- name: lax
  cluster: { server: "https://lax.example.org", insecure-skip-tls-verify: true }
users:
- name: loader
  user: { token: abc }
- name: admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
- name: cloud
  user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: aws } }
preferences: {}
"#;

    fn read(context: Option<&str>) -> Result<Access, String> {
        Access::from_text(CONFIG, Path::new("/nowhere"), context)
    }

    #[test]
    fn a_context_names_a_cluster_and_a_user() {
        let eu = read(None).unwrap();
        assert_eq!((eu.server.as_str(), eu.namespace.as_deref()), ("https://eu.example.org:6443", Some("sales")));
        assert_eq!(eu.authority.as_deref(), Some(&b"CA"[..]));
        assert!(matches!(eu.token, Token::Text(token) if token == "abc"));
        let us = read(Some("us")).unwrap();
        assert_eq!(us.identity.as_deref(), Some(&b"CERT\nKEY"[..]));
        assert!(us.authority.is_none() && us.namespace.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_told_with_a_way_out() {
        assert_eq!(read(Some("asia")).unwrap_err(), "it has no context `asia`");
        assert!(read(Some("cloud")).unwrap_err().contains("hint: use the token of a service account"));
        assert!(read(Some("lax")).unwrap_err().contains("hint: put the cluster's certificate"));
        let told = Access::find(Some("/nowhere/config"), None).unwrap_err();
        assert!(told.contains("cannot read the kubeconfig `/nowhere/config`") && told.contains("hint: "), "{told}");
        assert!(Access::from_text("clusters: [", Path::new("/"), None).is_err());
        assert!(Access::from_text("{}", Path::new("/"), None).unwrap_err().contains("no current context"));
    }
}
