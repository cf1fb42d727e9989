//! The connection to an API server.
//!
//! In: where the API server is, or nothing inside a cluster. Out: [`Cluster`], from which watches and
//! writers are made. Always holds: all of them share one connection pool and one view of the versions
//! that the API server serves.

use std::collections::BTreeSet;
use std::path::PathBuf;

use elbow_api::ObjectRef;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::kinds::Served;
use super::watch::{Event, WatchSettings};
use super::write::Writer;

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
        let client =
            Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))?;
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
