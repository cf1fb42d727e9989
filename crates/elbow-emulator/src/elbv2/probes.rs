//! Health checks that somebody else carries out.
//!
//! Expected flow: [`Emulator::due_probes`] hands out what is due, the caller knocks at each target
//! within its timeout, and [`Emulator::report_probe`] tells what came back. The matcher and the
//! thresholds are applied here.
//! Guarantees: a target has one probe under way at most; the next one is due an interval after
//! this one was handed out, however long it takes.
//! Caveats: a probe that is never reported is superseded when the next one is due; a report of a
//! superseded probe, or of a target that is no longer checked, changes nothing.

use std::net::IpAddr;

pub use super::state::ProbeId;

use super::health::Finding;
use super::state::{
    Protocol, ProtocolVersion, TargetFamily, TargetGroup, TargetKey, TargetType, UnhealthyReason,
};
use crate::config::HealthMode;
use crate::ec2::state::InstanceState;
use crate::{Emulator, Timestamp};

/// A health check to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// To be named in the report.
    pub id: ProbeId,
    /// The target group.
    pub target_group_arn: String,
    /// Instance id, address or load balancer ARN of the target.
    pub target_id: String,
    /// Where to knock.
    pub address: ProbeAddress,
    /// The port to knock at.
    pub port: u16,
    /// What to say.
    pub kind: ProbeKind,
    /// Silence for that many milliseconds of virtual time is a failure.
    pub timeout_ms: u64,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAddress {
    /// At an address of the VPC.
    Ip(IpAddr),
    /// It is the application load balancer of that ARN.
    LoadBalancer(String),
}

/// What a health check says to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// Connects, and says nothing.
    Tcp,
    /// Asks for a path with GET; a status answers.
    Http {
        /// Over TLS, without judging the certificate.
        tls: bool,
        /// HTTP/2 instead of HTTP/1.1.
        http2: bool,
        /// Path, and query if it has one.
        path: String,
    },
    /// Calls a method; a gRPC status answers.
    Grpc {
        /// Over TLS, without judging the certificate.
        tls: bool,
        /// `/package.service/method`
        path: String,
    },
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The connection came about (TCP checks).
    Passed,
    /// An HTTP status.
    HttpStatus(u16),
    /// A gRPC status.
    GrpcStatus(u32),
    /// Nothing in time.
    Timeout,
    /// No connection.
    Refused,
    /// An answer that is none.
    Malformed,
}

impl Emulator {
    /// The health checks that are due. Each is handed out once.
    ///
    /// Targets that cannot be knocked at (an instance that is gone or stopped) fail at once and are
    /// not among them.
    pub fn due_probes(&mut self, now: Timestamp) -> Vec<Probe> {
        self.elbv2_advance(now);
        if self.config.health == HealthMode::AssumeHealthy {
            return Vec::new();
        }
        let mut due: Vec<(String, TargetKey)> = Vec::new();
        for group in self.elbv2.target_groups.values() {
            let ready = group
                .targets
                .iter()
                .filter(|(_, target)| target.next_check_at.is_some_and(|at| at <= now));
            due.extend(ready.map(|(key, _)| (group.arn.clone(), key.clone())));
        }
        due.into_iter()
            .filter_map(|(group, key)| self.start_probe(now, &group, &key))
            .collect()
    }

    /// When the next health check is due.
    pub fn next_probe_at(&self) -> Option<Timestamp> {
        if self.config.health == HealthMode::AssumeHealthy {
            return None;
        }
        let targets = self
            .elbv2
            .target_groups
            .values()
            .flat_map(|group| group.targets.values());
        targets.filter_map(|target| target.next_check_at).min()
    }

    /// Lets the result of a health check count.
    pub fn report_probe(&mut self, now: Timestamp, id: ProbeId, outcome: ProbeOutcome) {
        self.elbv2_advance(now);
        let found = self.elbv2.target_groups.values().find_map(|group| {
            let mut targets = group.targets.iter();
            let (key, _) = targets.find(|(_, target)| target.probe == Some(id))?;
            Some((group.arn.clone(), key.clone(), judge(group, outcome)))
        });
        let Some((group, key, finding)) = found else {
            return;
        };
        let target = self.elbv2.target_groups.get_mut(&group);
        if let Some(target) = target.and_then(|group| group.targets.get_mut(&key)) {
            target.probe = None;
        }
        self.elbv2.count(now, &group, &key, finding);
    }

    fn start_probe(&mut self, now: Timestamp, arn: &str, key: &TargetKey) -> Option<Probe> {
        let group = self.elbv2.target_groups.get(arn)?;
        let address = self.probe_address(group, key);
        let check = &group.health_check;
        let (interval, timeout_ms) = (
            u64::from(check.interval_seconds),
            u64::from(check.timeout_seconds) * 1000,
        );
        let probe = address.map(|address| Probe {
            id: ProbeId(self.elbv2.next_probe),
            target_group_arn: arn.to_owned(),
            target_id: key.id.clone(),
            address,
            port: group.health_check_port(key),
            kind: kind(group),
            timeout_ms,
        });
        self.elbv2.next_probe += 1;
        let target = self
            .elbv2
            .target_groups
            .get_mut(arn)?
            .targets
            .get_mut(key)?;
        target.next_check_at = Some(now.plus_seconds(interval));
        target.probe = probe.as_ref().map(|probe| probe.id);
        if probe.is_none() {
            let finding = Finding::Fail(UnhealthyReason::FailedHealthChecks);
            self.elbv2.count(now, arn, key, finding);
        }
        probe
    }

    fn probe_address(&self, group: &TargetGroup, key: &TargetKey) -> Option<ProbeAddress> {
        match group.target_type {
            TargetType::Alb => Some(ProbeAddress::LoadBalancer(key.id.clone())),
            TargetType::Ip => key.id.parse().ok().map(ProbeAddress::Ip),
            TargetType::Instance => {
                let instance = self.ec2.instances.get(&key.id)?;
                let running = instance.state == InstanceState::Running;
                let address = match group.family {
                    TargetFamily::Ipv4 => Some(IpAddr::V4(instance.private_ip)),
                    TargetFamily::Ipv6 => instance.ipv6.map(IpAddr::V6),
                };
                address.filter(|_| running).map(ProbeAddress::Ip)
            }
        }
    }
}

fn kind(group: &TargetGroup) -> ProbeKind {
    let check = &group.health_check;
    let tls = check.protocol == Protocol::Https;
    let path = check.path.clone().unwrap_or_default();
    match (check.protocol, group.protocol_version) {
        (Protocol::Http | Protocol::Https, Some(ProtocolVersion::Grpc)) => {
            ProbeKind::Grpc { tls, path }
        }
        (Protocol::Http | Protocol::Https, version) => ProbeKind::Http {
            tls,
            http2: version == Some(ProtocolVersion::Http2),
            path,
        },
        _ => ProbeKind::Tcp,
    }
}

fn judge(group: &TargetGroup, outcome: ProbeOutcome) -> Finding {
    let code = match outcome {
        ProbeOutcome::Passed => return Finding::Pass,
        ProbeOutcome::HttpStatus(status) => u32::from(status),
        ProbeOutcome::GrpcStatus(status) => status,
        ProbeOutcome::Timeout => return Finding::Fail(UnhealthyReason::Timeout),
        ProbeOutcome::Refused | ProbeOutcome::Malformed => {
            return Finding::Fail(UnhealthyReason::FailedHealthChecks);
        }
    };
    match &group.health_check.matcher {
        Some(matcher) if !matcher.matches(code) => {
            Finding::Fail(UnhealthyReason::ResponseCodeMismatch(code.to_string()))
        }
        _ => Finding::Pass,
    }
}
