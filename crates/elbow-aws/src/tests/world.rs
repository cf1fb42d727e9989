//! Two emulators with the same made-up account: one behind the server, one in the process.

use elbow_emulator::acm::CertificatePem;
use elbow_emulator::{Config as EmulatorConfig, Emulator, Quotas, Timestamp};
use elbow_emulator_server::{Clock, SharedEmulator, serve_api};
use elbow_loopback::world::{self, Wanted, WantedCertificate, WantedNode, World};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateArn, CertificateMaterial, VpcId};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{metadata, nobody, sources};
use crate::connect::connect_by;
use crate::{Aws, Config, ConnectError};

pub(super) const REGION: &str = "eu-west-1";
pub(super) const VPC: &str = "vpc-0123456789abcdef0";
pub(super) const BUCKET: &str = "bundles";
pub(super) const INSTANCE: &str = "i-00000000000000001";
pub(super) const CERTIFICATES: [&str; 2] = [
    "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001",
    "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000002",
];

/// The two.
pub(super) struct Both {
    pub(super) world: World,
    pub(super) aws: Aws,
    local: Emulator,
    server: Server,
}

/// The emulator's API on a socket; ends when it is dropped.
pub(super) struct Server {
    pub(super) endpoint: String,
    shared: SharedEmulator,
    _running: DropGuard,
}

impl Both {
    pub(super) async fn start(quotas: Quotas) -> Self {
        let (local, world) = account(quotas.clone());
        let server = Server::start(quotas).await;
        let aws = server.connect(Config::default()).await.unwrap();
        Self {
            world,
            aws,
            local,
            server,
        }
    }

    /// Asks both and holds the two answers to each other.
    pub(super) async fn ask(&mut self, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        self.ask_with(call, None).await
    }

    /// The same with what an import takes from a Secret.
    pub(super) async fn ask_with(
        &mut self,
        call: &AwsCall,
        material: Option<&CertificateMaterial>,
    ) -> Result<AwsAnswer, AwsError> {
        let now = self.server.shared.now();
        let expected = elbow_loopback::answer_with(&mut self.local, now, call, material);
        let got = self.aws.call_with(call, material).await;
        assert_eq!(got, expected, "{call:?}");
        got
    }
}

impl Server {
    pub(super) async fn start(quotas: Quotas) -> Self {
        let running = CancellationToken::new();
        let (emulator, _) = account(quotas);
        // The first of January 2027, when the certificates in testdata/ are valid.
        let clock = Clock::starting_at(Timestamp::from_millis(1_798_761_600_000), 1.0);
        let shared = SharedEmulator::start(emulator, clock, running.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (emulator, token) = (shared.clone(), running.clone());
        tokio::spawn(async move { serve_api(emulator, listener, token).await });
        Self {
            endpoint,
            shared,
            _running: running.drop_guard(),
        }
    }

    /// Connects with the region and endpoint of this server. Where the configuration leaves the VPC
    /// open, it is the world's.
    pub(super) async fn connect(&self, config: Config) -> Result<Aws, ConnectError> {
        let open = config.vpc_tags.is_empty() && config.node_name.is_none();
        let config = Config {
            region: Some(REGION.to_owned()),
            endpoint_url: Some(self.endpoint.clone()),
            vpc_id: open.then(|| VpcId::new(VPC)),
            ..config
        };
        connect_by(&config, sources(), &metadata(&nobody())).await
    }
}

/// The same at each call.
fn account(quotas: Quotas) -> (Emulator, World) {
    let mut emulator = Emulator::new(EmulatorConfig {
        region: REGION.to_owned(),
        quotas,
        ..EmulatorConfig::default()
    });
    let certificates = CERTIFICATES.map(|arn| WantedCertificate {
        arn: Some(CertificateArn::new(arn)),
        domains: vec!["example.com".to_owned(), "*.example.com".to_owned()],
        pem: CertificatePem::default(),
    });
    let node = WantedNode {
        name: "node-1".to_owned(),
        instance_id: Some(INSTANCE.to_owned()),
        zone: None,
        address: None,
    };
    let wanted = Wanted {
        cluster_name: "demo".to_owned(),
        vpc_id: Some(VpcId::new(VPC)),
        certificates: certificates.into(),
        nodes: vec![node],
        buckets: [BUCKET.to_owned()].into(),
        ..Wanted::default()
    };
    let world = world::build(&mut emulator, &wanted).unwrap();
    (emulator, world)
}
