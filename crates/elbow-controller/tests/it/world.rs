//! A cluster, an account, and instances of the controller between them.

use std::collections::BTreeSet;
use std::time::Duration;

use elbow_api::{Kind, Object, ObjectRef};
use elbow_cluster::live::{Event, Leadership};
use elbow_controller::{Driver, DriverError, Ended, Inputs, Metrics, Readiness};
use elbow_model::VpcId;
use elbow_reconcile::Settings;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::account::{FakeAws, VPC};
use crate::cluster::FakeCluster;

/// An ALB with two listeners, a route and a Service with one endpoint.
pub(crate) const ALB: &str = include_str!("../../../elbow-reconcile/tests/it/manifests/alb.yaml");

/// Everything around an instance, and the instance.
pub(crate) struct World {
    pub(crate) cluster: FakeCluster,
    pub(crate) aws: FakeAws,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) named: watch::Receiver<BTreeSet<ObjectRef>>,
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) run: JoinHandle<Result<Ended, DriverError>>,
}

impl World {
    /// An instance that leads, over the objects of a text.
    pub(crate) fn leading(text: &str) -> Self {
        Self::start(FakeAws::new(), text, Leadership::Leader)
    }

    pub(crate) fn start(aws: FakeAws, text: &str, leads: Leadership) -> Self {
        let world = Self::start_unsynced(aws, text, leads);
        world.cluster.synced();
        world
    }

    /// The same, before the watch has said that it has listed everything.
    pub(crate) fn start_unsynced(aws: FakeAws, text: &str, leads: Leadership) -> Self {
        let (cluster, events) = FakeCluster::new();
        for object in objects(text) {
            cluster.apply(&object);
        }
        Self::over(aws, cluster, events, leads)
    }

    /// The next instance, over a cluster that another one has worked on.
    pub(crate) fn resume(aws: FakeAws, cluster: FakeCluster) -> Self {
        let events = cluster.watch_again();
        Self::over(aws, cluster, events, Leadership::Leader)
    }

    fn over(
        aws: FakeAws,
        cluster: FakeCluster,
        events: mpsc::Receiver<Event>,
        leads: Leadership,
    ) -> Self {
        let translate = elbow_translate::Settings::new("demo", VpcId::new(VPC));
        let (metrics, readiness) = (Metrics::new(), Readiness::default());
        let driver = Driver::new(
            Settings::new(translate).unlimited(),
            aws.clone(),
            cluster.clone(),
            metrics.clone(),
            readiness.clone(),
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        let (leadership, leads) = watch::channel(leads);
        let (names, named) = watch::channel(BTreeSet::new());
        let stop = CancellationToken::new();
        let run = tokio::spawn(driver.run(Inputs {
            events,
            named: names,
            leadership: leads,
            stop: stop.clone(),
        }));
        Self {
            cluster,
            aws,
            leadership,
            named,
            stop,
            metrics,
            readiness,
            run,
        }
    }

    /// Applies all objects of a text.
    pub(crate) fn apply(&self, text: &str) {
        for object in objects(text) {
            self.cluster.apply(&object);
        }
    }

    /// Whether a Gateway is programmed.
    pub(crate) fn programmed(&self) -> String {
        self.cluster.condition(&gateway(), "Programmed")
    }
}

/// Lets time pass: the paused clock jumps from one wait to the next, so it takes none.
pub(crate) async fn pass_for(time: Duration) {
    tokio::time::sleep_until(Instant::now() + time).await;
}

pub(crate) async fn pass(seconds: u64) {
    pass_for(Duration::from_secs(seconds)).await;
}

pub(crate) async fn pass_millis(millis: u64) {
    pass_for(Duration::from_millis(millis)).await;
}

pub(crate) fn objects(text: &str) -> Vec<Object> {
    let loaded = elbow_cluster::load(&[elbow_cluster::Input::Stdin(text.as_bytes().to_vec())]);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == elbow_api::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    loaded.snapshot.objects()
}

pub(crate) fn gateway() -> ObjectRef {
    ObjectRef::new(Kind::Gateway, "app", "web")
}

pub(crate) fn route() -> ObjectRef {
    ObjectRef::new(Kind::HttpRoute, "app", "web")
}
