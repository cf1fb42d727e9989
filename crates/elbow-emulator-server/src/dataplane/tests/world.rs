//! An emulated account with load balancers, and a data plane that serves them.

#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON literals read best as arguments"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use elbow_emulator::acm::CertificatePem;
use elbow_emulator::generated::elbv2 as wire;
use elbow_emulator::world::{CertificateSpec, SubnetSpec, VpcSpec};
use elbow_emulator::{Config, Emulator, HealthMode, Response, s3};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::TestCertificate;
use crate::dataplane::{Bindings, DataPlane, DataPlaneConfig, PortChoice, serve};
use crate::{Clock, SharedEmulator};

/// Targets are registered with this address and their real port; the dial function replaces the
/// address.
pub(super) const TARGET: &str = "10.0.0.77";

pub(super) struct World {
    pub(super) emulator: SharedEmulator,
    subnets: Vec<String>,
    plane: DataPlane,
    shutdown: DropGuard,
}

/// Calls one operation with a JSON input and unwraps its own output.
macro_rules! call {
    ($world:expr, $operation:ident, $input:ty, $json:expr) => {{
        let input: $input = serde_json::from_value($json).unwrap();
        let response = $world
            .emulator
            .with(|emulator, now| emulator.handle(now, input))
            .unwrap();
        match response {
            Response::ElbV2(wire::Response::$operation(output)) => output,
            other => panic!("{other:?}"),
        }
    }};
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_health(HealthMode::AssumeHealthy).await
    }

    pub(super) async fn with_health(health: HealthMode) -> Self {
        let mut emulator = Emulator::new(Config {
            health,
            ..Config::default()
        });
        let vpc = emulator
            .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
            .unwrap();
        let subnets =
            [("us-east-1a", "10.0.0.0/24"), ("us-east-1b", "10.0.1.0/24")].map(|(zone, cidr)| {
                emulator
                    .add_subnet(SubnetSpec::new(vpc.clone(), zone, cidr.parse().unwrap()))
                    .unwrap()
            });
        // Checks come every 30 s; nobody wants to wait for the second one.
        let speed = if health == HealthMode::Probed {
            100.0
        } else {
            1.0
        };
        let shutdown = CancellationToken::new();
        let emulator = SharedEmulator::start(emulator, Clock::new(speed), shutdown.clone());
        let config = DataPlaneConfig {
            addresses: Vec::new(),
            owns: None,
            ports: PortChoice::Mapped,
            dial: Arc::new(|address, port| {
                assert_eq!(address, TARGET.parse::<IpAddr>().unwrap());
                SocketAddr::from(([127, 0, 0, 1], port))
            }),
        };
        let plane = serve(emulator.clone(), config, shutdown.clone()).await;
        Self {
            emulator,
            subnets: subnets.into(),
            plane,
            shutdown: shutdown.drop_guard(),
        }
    }

    pub(super) fn load_balancer(&self, name: &str, kind: &str) -> String {
        let output = call!(
            self,
            CreateLoadBalancer,
            wire::CreateLoadBalancerInput,
            json!({
                "Name": name, "Type": kind, "Scheme": "internal", "Subnets": self.subnets,
            })
        );
        output
            .load_balancers
            .unwrap()
            .remove(0)
            .load_balancer_arn
            .unwrap()
    }

    pub(super) fn set_load_balancer(&self, arn: &str, key: &str, value: &str) {
        call!(
            self,
            ModifyLoadBalancerAttributes,
            wire::ModifyLoadBalancerAttributesInput,
            json!({
                "LoadBalancerArn": arn, "Attributes": [{ "Key": key, "Value": value }],
            })
        );
    }

    pub(super) fn set_listener(&self, arn: &str, key: &str, value: &str) {
        call!(
            self,
            ModifyListenerAttributes,
            wire::ModifyListenerAttributesInput,
            json!({
                "ListenerArn": arn, "Attributes": [{ "Key": key, "Value": value }],
            })
        );
    }

    pub(super) fn set_target_group(&self, arn: &str, key: &str, value: &str) {
        call!(
            self,
            ModifyTargetGroupAttributes,
            wire::ModifyTargetGroupAttributesInput,
            json!({
                "TargetGroupArn": arn, "Attributes": [{ "Key": key, "Value": value }],
            })
        );
    }

    /// A target group of addresses; `extra` goes into the request.
    pub(super) fn target_group(&self, name: &str, protocol: &str, extra: Value) -> String {
        let vpc = self.emulator.with(|emulator, now| {
            let input = elbow_emulator::generated::ec2::DescribeVpcsInput::default();
            match emulator.handle(now, input).unwrap() {
                Response::Ec2(elbow_emulator::generated::ec2::Response::DescribeVpcs(output)) => {
                    output.vpcs.unwrap().remove(0).vpc_id.unwrap()
                }
                other => panic!("{other:?}"),
            }
        });
        let mut input = json!({ "Name": name, "Protocol": protocol, "Port": 80, "VpcId": vpc, "TargetType": "ip" });
        input
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().cloned().unwrap_or_default());
        let output = call!(self, CreateTargetGroup, wire::CreateTargetGroupInput, input);
        output
            .target_groups
            .unwrap()
            .remove(0)
            .target_group_arn
            .unwrap()
    }

    pub(super) fn register(&self, target_group: &str, port: u16) {
        call!(
            self,
            RegisterTargets,
            wire::RegisterTargetsInput,
            json!({
                "TargetGroupArn": target_group, "Targets": [{ "Id": TARGET, "Port": port }],
            })
        );
        // Targets are checked as soon as they are registered, and with assumed health pass at once.
        self.emulator.with(elbow_emulator::Emulator::advance);
    }

    /// Registers an application load balancer by its ARN, at the group's port.
    pub(super) fn register_load_balancer(&self, target_group: &str, load_balancer: &str) {
        call!(
            self,
            RegisterTargets,
            wire::RegisterTargetsInput,
            json!({
                "TargetGroupArn": target_group, "Targets": [{ "Id": load_balancer }],
            })
        );
        self.emulator.with(elbow_emulator::Emulator::advance);
    }

    pub(super) fn deregister(&self, target_group: &str, port: u16) {
        call!(
            self,
            DeregisterTargets,
            wire::DeregisterTargetsInput,
            json!({
                "TargetGroupArn": target_group, "Targets": [{ "Id": TARGET, "Port": port }],
            })
        );
    }

    pub(super) fn listener(
        &self,
        load_balancer: &str,
        protocol: &str,
        port: u16,
        action: Value,
        extra: Value,
    ) -> String {
        let mut input = json!({
            "LoadBalancerArn": load_balancer, "Protocol": protocol, "Port": port, "DefaultActions": [action],
        });
        input
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().cloned().unwrap_or_default());
        let output = call!(self, CreateListener, wire::CreateListenerInput, input);
        output.listeners.unwrap().remove(0).listener_arn.unwrap()
    }

    pub(super) fn set_default_action(&self, listener: &str, action: Value) {
        call!(
            self,
            ModifyListener,
            wire::ModifyListenerInput,
            json!({
                "ListenerArn": listener, "DefaultActions": [action],
            })
        );
    }

    pub(super) fn delete_listener(&self, listener: &str) {
        call!(
            self,
            DeleteListener,
            wire::DeleteListenerInput,
            json!({ "ListenerArn": listener })
        );
    }

    pub(super) fn rule(&self, listener: &str, priority: i32, path: &str, action: Value) {
        call!(
            self,
            CreateRule,
            wire::CreateRuleInput,
            json!({
                "ListenerArn": listener, "Priority": priority, "Actions": [action],
                "Conditions": [{ "Field": "path-pattern", "PathPatternConfig": { "Values": [path] } }],
            })
        );
    }

    /// Waits until a listener is bound, and says where.
    pub(super) async fn address(&self, listener: &str) -> SocketAddr {
        self.wait(|bindings| bindings.address(listener)).await
    }

    /// Waits for bindings that have what is looked for.
    pub(super) async fn wait<T>(&self, look: impl Fn(&Bindings) -> Option<T>) -> T {
        let mut bindings = self.plane.bindings();
        loop {
            let found = look(&bindings.borrow_and_update());
            match found {
                Some(found) => return found,
                None => bindings.changed().await.unwrap(),
            }
        }
    }

    /// An ALB with one HTTP listener that forwards everything to one target.
    pub(super) async fn alb_to(&self, port: u16) -> Alb {
        let load_balancer = self.load_balancer("web", "application");
        let target_group = self.target_group("web", "HTTP", json!({}));
        let listener = self.listener(
            &load_balancer,
            "HTTP",
            80,
            forward(&target_group),
            json!({}),
        );
        self.register(&target_group, port);
        let address = self.address(&listener).await;
        Alb {
            load_balancer,
            target_group,
            listener,
            address,
        }
    }

    /// An NLB with one TCP listener that forwards everything to one target.
    pub(super) async fn nlb_to(&self, port: u16) -> Alb {
        let load_balancer = self.load_balancer("net", "network");
        let target_group = self.target_group("net", "TCP", json!({}));
        let listener = self.listener(
            &load_balancer,
            "TCP",
            9000,
            forward(&target_group),
            json!({}),
        );
        self.register(&target_group, port);
        let address = self.address(&listener).await;
        Alb {
            load_balancer,
            target_group,
            listener,
            address,
        }
    }

    /// Waits until a target is neither registering nor unchecked, and says its state and the
    /// reason.
    pub(super) async fn settled_health(
        &self,
        target_group: &str,
        port: u16,
    ) -> (String, Option<String>) {
        let mut changes = self.emulator.changes();
        loop {
            changes.mark_unchanged();
            let output = call!(
                self,
                DescribeTargetHealth,
                wire::DescribeTargetHealthInput,
                json!({
                    "TargetGroupArn": target_group, "Targets": [{ "Id": TARGET, "Port": port }],
                })
            );
            let health = output
                .target_health_descriptions
                .unwrap()
                .remove(0)
                .target_health
                .unwrap();
            let state = health.state.unwrap();
            if state != "initial" {
                return (state, health.reason);
            }
            changes.changed().await.unwrap();
        }
    }

    /// Puts a certificate into ACM and says its ARN.
    pub(super) fn certificate(&self, certificate: &TestCertificate) -> String {
        let mut spec = CertificateSpec::new([certificate.name.clone()]);
        spec.pem = CertificatePem {
            certificate: certificate.pem.clone(),
            chain: String::new(),
            private_key: certificate.key_pem.clone(),
        };
        self.emulator
            .with(|emulator, _| emulator.add_certificate(spec))
            .unwrap()
    }

    /// A trust store of one authority.
    pub(super) fn trust_store(&self, name: &str, authority_pem: &str) -> String {
        let (bucket, key) = ("bundles".to_owned(), name.to_owned());
        self.emulator.with(|emulator, now| {
            let create = s3::Request::CreateBucket {
                bucket: bucket.clone(),
            };
            emulator.s3(now, create).unwrap();
            let put = s3::Request::PutObject {
                bucket,
                key,
                bytes: authority_pem.into(),
                content_type: None,
            };
            emulator.s3(now, put).unwrap();
        });
        let input = json!({
            "Name": name,
            "CaCertificatesBundleS3Bucket": "bundles",
            "CaCertificatesBundleS3Key": name,
        });
        let output = call!(self, CreateTrustStore, wire::CreateTrustStoreInput, input);
        let store = output.trust_stores.unwrap().remove(0);
        store.trust_store_arn.unwrap()
    }

    /// Changes what an HTTPS listener asks of its clients.
    pub(super) fn set_mutual_tls(&self, listener: &str, mutual_authentication: Value) {
        call!(
            self,
            ModifyListener,
            wire::ModifyListenerInput,
            json!({
                "ListenerArn": listener, "MutualAuthentication": mutual_authentication,
            })
        );
    }

    /// Adds a certificate to a listener's SNI list, and says the revision that has it.
    pub(super) fn add_certificate(&self, listener: &str, certificate: &str) -> u64 {
        let input = json!({
            "ListenerArn": listener, "Certificates": [{ "CertificateArn": certificate }],
        });
        call!(
            self,
            AddListenerCertificates,
            wire::AddListenerCertificatesInput,
            input
        );
        self.emulator.with(|emulator, _| emulator.revision())
    }

    /// Waits until so many requests are with targets.
    pub(super) async fn wait_for_outstanding(&self, wanted: usize) {
        while self.plane.outstanding() != wanted {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn shut_down(self) {
        self.shutdown.disarm().cancel();
        self.plane.closed().await;
    }
}

/// A load balancer with one of each.
pub(super) struct Alb {
    pub(super) load_balancer: String,
    pub(super) target_group: String,
    pub(super) listener: String,
    pub(super) address: SocketAddr,
}

pub(super) fn forward(target_group: &str) -> Value {
    json!({ "Type": "forward", "TargetGroupArn": target_group })
}

pub(super) fn fixed(status: u16, body: &str) -> Value {
    json!({ "Type": "fixed-response", "FixedResponseConfig": {
        "StatusCode": status.to_string(), "ContentType": "text/plain", "MessageBody": body,
    }})
}
