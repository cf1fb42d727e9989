//! An emulated AWS that answers calls after a while, and fails as a test wants it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elbow_controller::AwsCaller;
use elbow_emulator::acm::CertificatePem;
use elbow_emulator::world::TargetGroupSpec;
use elbow_emulator::{Config, Emulator, HealthMode, Latencies};
use elbow_loopback::world::{self, Wanted, WantedCertificate, WantedNode};
use elbow_model::{
    AwsAnswer, AwsCall, AwsError, CertificateArn, CertificateMaterial, ErrorClass, VpcId,
};
use tokio::time::Instant;

use crate::world::pass_for;

/// The certificate that manifests of tests name.
const CERTIFICATE: &str =
    "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012";
pub(crate) const VPC: &str = "vpc-0123456789abcdef0";

/// What happens to a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It is refused.
    Refused(AwsError),
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// The adapter panics.
    Panics,
    /// There is never an answer.
    Hangs,
}

type Fault = Box<dyn FnMut(&AwsCall) -> Option<Fate> + Send>;

/// The account. Clones are the same.
#[derive(Clone)]
pub(crate) struct FakeAws(Arc<Mutex<Inner>>);

struct Inner {
    emulator: Emulator,
    started: Instant,
    calls: Vec<&'static str>,
    fault: Fault,
    latency: Duration,
}

impl FakeAws {
    pub(crate) fn new() -> Self {
        Self::with_latencies(Latencies::instant())
    }

    pub(crate) fn with_latencies(latencies: Latencies) -> Self {
        let mut emulator = Emulator::new(Config {
            health: HealthMode::AssumeHealthy,
            latencies,
            ..Config::default()
        });
        let wanted = Wanted {
            cluster_name: "demo".to_owned(),
            vpc_id: Some(VpcId::new(VPC)),
            certificates: vec![WantedCertificate {
                arn: Some(CertificateArn::new(CERTIFICATE)),
                domains: vec!["app.example.com".to_owned()],
                pem: CertificatePem::default(),
            }],
            nodes: vec![WantedNode {
                name: "node-1".to_owned(),
                instance_id: Some("i-0123456789abcdef0".to_owned()),
                zone: None,
                address: None,
            }],
            // So that what is behind new pods is known without another call.
            pods: (10..=40).map(|n| Ipv4Addr::new(192, 168, 96, n)).collect(),
            ..Wanted::default()
        };
        world::build(&mut emulator, &wanted).unwrap();
        Self(Arc::new(Mutex::new(Inner {
            emulator,
            started: Instant::now(),
            calls: Vec::new(),
            fault: Box::new(|_| None),
            latency: Duration::from_millis(20),
        })))
    }

    /// A target group that is nobody's.
    pub(crate) fn add_target_group(&self, spec: TargetGroupSpec) {
        self.with(|inner| inner.emulator.add_target_group(spec).unwrap());
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Operations since the last look.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        self.with(|inner| std::mem::take(&mut inner.calls))
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.with(|inner| inner.calls.iter().filter(|o| **o == operation).count())
    }

    pub(crate) fn set_fault(&self, fault: impl FnMut(&AwsCall) -> Option<Fate> + Send + 'static) {
        self.with(|inner| inner.fault = Box::new(fault));
    }

    /// What carries the cluster's tags: resources by their tag of the resource.
    pub(crate) fn ours(&self) -> BTreeMap<String, usize> {
        self.with(|inner| {
            let call = AwsCall::GetResources {
                tags: [("elbv2.k8s.aws/cluster".to_owned(), "demo".to_owned())].into(),
                resource_types: Vec::new(),
                marker: None,
            };
            let Ok(AwsAnswer::TagsByArn(page)) = inner.answer(&call) else {
                panic!("the tagging API does not answer");
            };
            let mut found = BTreeMap::new();
            for (arn, _) in page.items {
                let kind = arn.split(':').nth(5).unwrap_or_default();
                let kind = kind.split('/').next().unwrap_or_default().to_owned();
                *found.entry(kind).or_default() += 1;
            }
            found
        })
    }
}

impl Inner {
    fn answer(&mut self, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap() + 1_000;
        let now = elbow_emulator::Timestamp::from_millis(now);
        elbow_loopback::answer(&mut self.emulator, now, call)
    }
}

impl AwsCaller for FakeAws {
    async fn call(
        &self,
        call: &AwsCall,
        _: Option<&CertificateMaterial>,
    ) -> Result<AwsAnswer, AwsError> {
        let (latency, fate) = self.with(|inner| {
            inner.calls.push(call.operation());
            ((inner.latency), (inner.fault)(call))
        });
        pass_for(latency).await;
        match fate {
            None => self.with(|inner| inner.answer(call)),
            Some(Fate::Refused(error)) => Err(error),
            Some(Fate::AnswerLost) => {
                drop(self.with(|inner| inner.answer(call)));
                Err(AwsError::new(
                    ErrorClass::Transient,
                    "RequestTimeout",
                    "lost",
                ))
            }
            Some(Fate::Panics) => panic!("the adapter has a bug"),
            Some(Fate::Hangs) => std::future::pending().await,
        }
    }
}
