//! The daemon as a whole: connects, listens, takes part in the election, drives, stops in order.
//!
//! In: [`Daemon`], and a token that says when to stop. Out: how it ended. What always holds: nothing is
//! done to AWS or the cluster before this instance leads, and it does not ask for the lead before it has
//! read the cluster; the lease is handed over last, after every call that was out is answered and what is
//! known is written, and else runs out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use elbow_api::NamespacedName;
use elbow_aws::Aws;
use elbow_cluster::live::{
    Cluster, ConnectError, ConnectSettings, Leadership, LeaseSettings, WatchSettings, WebhookError,
    WebhookSettings, elect,
};
use elbow_model::VpcId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Readiness, Service};
use crate::driver::{Driver, DriverError, Ended, Inputs};
use crate::metrics::Metrics;
use crate::ports::KubeCluster;
use crate::webhook;

/// The ConfigMap of the records, beside the lease.
const RECORDS: &str = "elbow-records";

/// How long handing over the lease may take: then it runs out by itself.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(5);

/// What the daemon is to be.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// How Gateways are translated. Region and VPC are filled in from the connection to AWS.
    pub translate: elbow_translate::Settings,
    /// Where AWS is.
    pub aws: elbow_aws::Config,
    /// Where the API server is.
    pub cluster: ConnectSettings,
    /// Of namespaced objects, only those in this namespace.
    pub watch_namespace: Option<String>,
    /// Who acts, when there are several instances.
    pub election: Election,
    /// Where metrics are scraped; none for `0`.
    pub metrics_address: String,
    /// Where probes ask; none for `0`.
    pub health_address: String,
    /// Where pods are sent to get their readiness gates; nowhere if absent.
    pub webhook: Option<WebhookSettings>,
    /// The name of this instance, that of the pod as a rule.
    pub instance: String,
}

/// Who acts, when there are several instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Election {
    /// This one, whoever else there is.
    None,
    /// The one that holds this Lease.
    Lease {
        /// Its namespace; that of the pod or of the kubeconfig's context when absent.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

/// Why the daemon ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// AWS cannot be used.
    #[error("connect to AWS")]
    Aws(#[source] elbow_aws::ConnectError),
    /// The API server cannot be used.
    #[error("connect to the API server")]
    Cluster(#[source] ConnectError),
    /// An address cannot be listened on.
    #[error("listen on {address} ({flag})")]
    Listen {
        /// The address.
        address: String,
        /// The flag that gives it.
        flag: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The webhook cannot be served.
    #[error("serve the webhook")]
    Webhook(#[source] WebhookError),
    /// It cannot go on.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Runs the daemon until `stop` is cancelled.
pub async fn run(daemon: Daemon, stop: CancellationToken) -> Result<(), DaemonError> {
    let metrics = Metrics::new();
    let readiness = Readiness::default();
    let over = CancellationToken::new();
    // Ends the servers however this ends.
    let _guard = over.clone().drop_guard();
    for (address, flag, service) in [
        (
            &daemon.health_address,
            "--health-probe-bind-addr",
            Service::Health(readiness.clone()),
        ),
        (
            &daemon.metrics_address,
            "--metrics-bind-addr",
            Service::Metrics(metrics.clone()),
        ),
    ] {
        listen(address, flag, service, &over).await?;
    }
    let gates = Arc::default();
    if let Some(settings) = &daemon.webhook {
        let gates = Arc::clone(&gates);
        webhook::serve(settings, gates, readiness.clone(), over.clone())
            .await
            .map_err(DaemonError::Webhook)?;
    }
    let aws = tokio::select! {
        connected = Aws::connect(&daemon.aws) => connected.map_err(DaemonError::Aws)?,
        () = stop.cancelled() => return Ok(()),
    };
    let mut translate = daemon.translate;
    translate.region = Some(aws.region().to_owned());
    translate.vpc_id = VpcId::new(aws.vpc_id().as_str());
    tracing::info!(
        cluster = translate.cluster_name,
        region = aws.region(),
        vpc = %aws.vpc_id(),
        "Connected to AWS"
    );
    let cluster = Cluster::connect(&daemon.cluster)
        .await
        .map_err(DaemonError::Cluster)?;
    let (names, named) = watch::channel(BTreeSet::new());
    let watch_settings = WatchSettings {
        namespace: daemon.watch_namespace,
        ..WatchSettings::default()
    };
    let events = webhook::follow(cluster.watch(watch_settings, named), gates);
    let release = CancellationToken::new();
    let namespace = match &daemon.election {
        Election::Lease {
            namespace: Some(namespace),
            ..
        } => namespace.clone(),
        _ => cluster.default_namespace().to_owned(),
    };
    let (leadership, election) = match daemon.election {
        Election::None => {
            let (sender, receiver) = watch::channel(Leadership::Leader);
            let held = release.clone();
            let task = tokio::spawn(async move {
                held.cancelled().await;
                drop(sender);
            });
            (receiver, task)
        }
        Election::Lease { name, .. } => {
            let settings = LeaseSettings {
                namespace: namespace.clone(),
                name,
                identity: identity(&daemon.instance),
            };
            let begin = readiness.clone();
            let begin = async move { begin.snapshot().await };
            elect(cluster.client(), settings, begin, release.clone())
        }
    };
    let driver = Driver::new(
        elbow_reconcile::Settings::new(translate),
        aws,
        KubeCluster::new(
            cluster.writer(&daemon.instance),
            NamespacedName::new(namespace, RECORDS),
        ),
        metrics,
        readiness,
        jiff::Timestamp::now(),
    );
    let inputs = Inputs {
        events,
        named: names,
        leadership,
        stop,
    };
    match driver.run(inputs).await? {
        Ended::InOrder => {
            release.cancel();
            let handed_over = tokio::time::timeout(HAND_OVER_TIME_MAX, election).await;
            if handed_over.is_err() {
                tracing::warn!("The lease was not handed over in time; it will run out");
            }
        }
        Ended::InMidair => {
            tracing::warn!("Something is still out; the lease is kept until it runs out");
        }
    }
    tracing::info!("Stopped");
    Ok(())
}

async fn listen(
    address: &str,
    flag: &'static str,
    service: Service,
    over: &CancellationToken,
) -> Result<(), DaemonError> {
    // As controller-runtime has it.
    if matches!(address, "" | "0") {
        return Ok(());
    }
    let listener = admin::bind(address)
        .await
        .map_err(|source| DaemonError::Listen {
            address: address.to_owned(),
            flag,
            source,
        })?;
    tokio::spawn(admin::serve(listener, service, over.clone()));
    Ok(())
}

/// A name that no other process has: a restarted container keeps the name of its pod.
fn identity(instance: &str) -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    format!("{instance}_{}_{now:x}", std::process::id())
}
