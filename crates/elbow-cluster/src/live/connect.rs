//! The connection to an API server.
//!
//! In: where the API server is, or nothing inside a cluster. Out: [`Cluster`], from which watches and
//! writers are made. Always holds: all of them share one connection pool and one view of the versions
//! that the API server serves; an API server that has gone without a word is noticed within a minute.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use elbow_api::ObjectRef;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tower::{BoxError, ServiceBuilder};

use super::kinds::Served;
use super::watch::{Event, WatchSettings};
use super::write::Writer;

/// After so long without a byte the kernel asks whether the other end is there, and so often again.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// After so many questions without an answer a connection counts as broken.
const KEEPALIVE_RETRIES: u32 = 3;
/// After so long without a confirmation of what was sent, as well. The same in sum.
const CONFIRMATION_TIME_MAX: Duration = Duration::from_mins(1);

/// Where the API server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectSettings {
    /// A kubeconfig file. Without one it is `$KUBECONFIG`, then `~/.kube/config`, then the service
    /// account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, if not its current one.
    pub context: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The kubeconfig file, or the context in it, cannot be used.
    #[error("read the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a service account was found.
    #[error("find an API server: there is no kubeconfig, and no service account of a pod")]
    Nowhere(#[source] kube::config::InferConfigError),
    /// The credentials or the certificate authority cannot be used.
    #[error("set up the client of the API server")]
    Client(#[source] Box<kube::Error>),
}

/// An API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    served: Served,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the API server. Nothing is sent to it yet. Must be called within a tokio runtime.
    pub async fn connect(settings: &ConnectSettings) -> Result<Self, ConnectError> {
        let options = KubeConfigOptions {
            context: settings.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config =
            match &settings.kubeconfig {
                Some(path) => {
                    let failed = |source| ConnectError::Kubeconfig {
                        path: path.clone(),
                        source,
                    };
                    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
                    Config::from_custom_kubeconfig(kubeconfig, &options)
                        .await
                        .map_err(failed)?
                }
                None if settings.context.is_some() => Config::from_kubeconfig(&options)
                    .await
                    .map_err(|source| ConnectError::Kubeconfig {
                        path: PathBuf::from("~/.kube/config"),
                        source,
                    })?,
                None => Config::infer().await.map_err(ConnectError::Nowhere)?,
            };
        let client = client(config).map_err(ConnectError::Client)?;
        Ok(Self::new(client))
    }

    /// An API server that a client was made for already.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            served: Served::default(),
        }
    }

    /// The client, for what needs one of its own, like the lease of the leader.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace of the kubeconfig's context, or of the pod that this runs in.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// The versions of custom resources that the API server serves, as the watch last saw them.
    pub fn served(&self) -> Served {
        self.served.clone()
    }

    /// Watches the API server. Of Secrets and ConfigMaps only those are watched that `named` has at the
    /// time. All work ends when the receiver is dropped. Must be called within a tokio runtime.
    pub fn watch(
        &self,
        settings: WatchSettings,
        named: watch::Receiver<BTreeSet<ObjectRef>>,
    ) -> mpsc::Receiver<Event> {
        super::watch::watch(self.client.clone(), self.served.clone(), settings, named)
    }

    /// A writer. `instance` names this process in the events that it reports, as a pod's name does.
    pub fn writer(&self, instance: &str) -> Writer {
        Writer::new(self.client.clone(), self.served.clone(), instance)
    }
}

/// The client of kube, less its log (each failed request is an error there; here each trouble is said once)
/// and its own repeats, and with connections that do not stay silent for ever.
///
/// A watch may say nothing for minutes. When the node that it leads to is gone, or a firewall has forgotten
/// it, nobody would notice before the watch was to end, after five minutes, in which no endpoint changes.
fn client(config: Config) -> Result<Client, Box<kube::Error>> {
    if config.proxy_url.is_some() {
        // It says what is to be done about that.
        return Ok(Client::try_from(config)?);
    }
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_keepalive(Some(KEEPALIVE_TIME));
    sockets.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    sockets.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    sockets.set_tcp_user_timeout(Some(CONFIRMATION_TIME_MAX));
    let mut connector =
        TimeoutConnector::new(config.rustls_https_connector_with_connector(sockets)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let pool: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(pool);
    Ok(Client::new(service, config.default_namespace))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Write as _;

    use elbow_api::NamespacedName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// The timer of the socket that is connected to this port, as `/proc/net/tcp` has it.
    fn timer(port: u16) -> Option<String> {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let ours = sockets.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_ours = fields.get(2)?.ends_with(&format!(":{port:04X}"));
            (is_ours && *fields.get(3)? == "01").then(|| fields.get(5).map(ToString::to_string))
        });
        ours.flatten()
    }

    #[tokio::test]
    async fn connections_ask_whether_the_other_end_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut kubeconfig = tempfile::NamedTempFile::new().unwrap();
        write!(
            kubeconfig,
            "{{apiVersion: v1, kind: Config, current-context: a, users: [], \
             clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
             contexts: [{{name: a, context: {{cluster: a, user: ''}}}}]}}",
        )
        .unwrap();
        let settings = ConnectSettings {
            kubeconfig: Some(kubeconfig.path().to_owned()),
            context: None,
        };
        let cluster = Cluster::connect(&settings).await.unwrap();
        let writer = cluster.writer("elbow-0");
        let asked =
            tokio::spawn(
                async move { writer.config_map(&NamespacedName::new("app", "web")).await },
            );
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert_ne!(stream.read(&mut head).await.unwrap(), 0);
        // What it has sent is confirmed with this, and the rest never comes.
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
        stream.write_all(answer).await.unwrap();
        let timer = timer(port).unwrap();
        assert!(timer.starts_with("02:"), "no keepalive: {timer}");
        drop(stream);
        assert!(asked.await.unwrap().is_err());
    }
}
