//! `elbow controller`: the daemon.
//!
//! In: flags, the environment of a pod. Out: how the daemon ended. Always holds: what is wrong with the
//! flags is said before anything is connected to; SIGTERM and SIGINT stop it in good order, a second one
//! at once.

pub(crate) mod compat;

use std::io::IsTerminal as _;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use elbow_controller::{AwsConfig, ConnectSettings, Daemon, Election, Endpoints, WebhookSettings};
use elbow_model::{Tags, VpcId};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{ControllerArgs, LogFormat, LogLevel};
use crate::exit_code::ExitCode;
use crate::settings::{self, Place};
use crate::terminal::Terminal;

/// Threads that the daemon works on. It waits for AWS and the API server; what it computes takes
/// milliseconds.
const THREADS: usize = 2;

/// Runs until it is stopped.
pub(crate) fn run(args: &ControllerArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let (daemon, warnings) = match daemon(args) {
        Ok(parts) => parts,
        Err(error) => {
            terminal.err(&format!("error: {error:#}\n"))?;
            return Ok(ExitCode::Usage);
        }
    };
    log(args);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = stop_on_signal(stop.clone())?;
        let ended = tokio::select! {
            ended = elbow_controller::run(daemon, stop) => ended.map_err(anyhow::Error::from),
            () = signals => Err(anyhow::anyhow!("aborted by a second signal")),
        };
        if let Err(error) = &ended {
            tracing::error!(error = format!("{error:#}"), "The controller has ended");
        }
        ended
    });
    // Calls that were given up are not waited for.
    runtime.shutdown_background();
    result.map(|()| ExitCode::Ok)
}

/// Cancels the token at the first signal; ends at the second.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_first {
                stop.cancel();
            }
        }
    })
}

fn log(args: &ControllerArgs) {
    let level = match args.log_level {
        LogLevel::Info => "info",
        LogLevel::Debug => {
            "info,elbow=debug,elbow_controller=debug,elbow_cluster=debug,elbow_aws=debug"
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let is_json = match args.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if is_json {
        subscriber
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init();
    } else {
        subscriber.with_target(false).init();
    }
}

/// What the flags ask for, and what is to be said about them.
fn daemon(args: &ControllerArgs) -> anyhow::Result<(Daemon, Vec<String>)> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut settings_args = args.settings.clone();
    // Manifests whose settings are filled in elsewhere have flags without a value; LBC takes them for
    // flags that are not given.
    settings_args.aws_region = settings_args.aws_region.filter(|region| !region.is_empty());
    settings_args.aws_vpc_id = settings_args.aws_vpc_id.filter(|vpc| !vpc.is_empty());
    let cluster_name = settings_args.cluster_name.as_deref().unwrap_or_default();
    anyhow::ensure!(
        !cluster_name.is_empty(),
        "--cluster-name is missing: it is part of the names and tags of everything in AWS"
    );
    let mut warnings = compat::warnings(&args.lbc.0)?;
    let (gates, more) = compat::gates(&settings_args.feature_gates)?;
    settings_args.feature_gates = gates;
    warnings.extend(more);
    let place = Place {
        // Both are filled in from the connection.
        region: settings_args.aws_region.clone().unwrap_or_default(),
        account: String::new(),
    };
    let translate = settings::settings(&settings_args, &place)?;
    let endpoints: Endpoints = args
        .aws_api_endpoints
        .parse()
        .context("--aws-api-endpoints")?;
    let aws = AwsConfig {
        region: settings_args.aws_region,
        vpc_id: settings_args.aws_vpc_id.map(VpcId::new),
        vpc_tags: vpc_tags(&args.aws_vpc_tags)?,
        node_name: std::env::var("NODENAME")
            .ok()
            .filter(|name| !name.is_empty()),
        endpoint_url: args.aws_endpoint_url.clone(),
        endpoints,
    };
    let election = if args.enable_leader_election {
        Election::Lease {
            namespace: some(&args.leader_election_namespace),
            name: args.leader_election_id.clone(),
        }
    } else {
        Election::None
    };
    let webhook = webhook(args);
    if webhook.is_none() && args.enable_pod_readiness_gate_inject {
        let folder = default_certificates().display().to_string();
        warnings.push(format!(
            "pods get no readiness gates: {folder} has no certificate for the webhook, and \
             --webhook-cert-dir names no other folder"
        ));
    }
    let daemon = Daemon {
        translate,
        aws,
        cluster: ConnectSettings {
            kubeconfig: args.kubeconfig.clone(),
            context: None,
        },
        watch_namespace: some(&args.watch_namespace),
        election,
        metrics_address: args.metrics_bind_addr.clone(),
        health_address: args.health_probe_bind_addr.clone(),
        webhook,
        instance: instance(),
    };
    Ok((daemon, warnings))
}

/// Where the webhook listens, and as whom; `None` where there is to be none.
fn webhook(args: &ControllerArgs) -> Option<WebhookSettings> {
    if !args.enable_pod_readiness_gate_inject {
        return None;
    }
    let is_given = !args.webhook_cert_dir.is_empty();
    let folder = if is_given {
        PathBuf::from(&args.webhook_cert_dir)
    } else {
        default_certificates()
    };
    let named =
        |file: &str, default: &str| folder.join(if file.is_empty() { default } else { file });
    let certificate = named(&args.webhook_cert_file, "tls.crt");
    // Out of a cluster there is neither a certificate nor anybody who could ask.
    (is_given || certificate.exists()).then(|| WebhookSettings {
        address: (Ipv6Addr::UNSPECIFIED, args.webhook_bind_port).into(),
        certificate,
        key: named(&args.webhook_key_file, "tls.key"),
    })
}

/// Where LBC's library has certificates, and its chart mounts them.
fn default_certificates() -> PathBuf {
    std::env::temp_dir().join("k8s-webhook-server/serving-certs")
}

fn vpc_tags(pairs: &[String]) -> anyhow::Result<Tags> {
    let pairs = pairs.iter().filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .with_context(|| format!("--aws-vpc-tags: `{pair}` is not KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The pod's name, which is its host name.
fn instance() -> String {
    let of_pod = std::env::var("HOSTNAME").ok();
    let of_host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = of_pod.filter(|name| !name.is_empty()).or_else(of_host);
    name.map_or_else(|| "elbow".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn of(flags: &[&str]) -> anyhow::Result<(Daemon, Vec<String>)> {
        let line = ["elbow", "controller"].iter().chain(flags);
        match Cli::try_parse_from(line)?.command {
            Command::Controller(args) => daemon(&args),
            other => anyhow::bail!("not controller: {other:?}"),
        }
    }

    /// What LBC's chart passes with its default values, and a few more.
    const OF_LBC: &[&str] = &[
        "--cluster-name=prod",
        "--ingress-class=alb",
        "--aws-region=eu-west-1",
        "--aws-vpc-id=vpc-0123456789abcdef0",
        "--default-tags=team=shop",
        "--metrics-bind-addr=:9090",
        "--enable-leader-election",
        "--sync-period=1h",
        "--feature-gates=NLBGatewayAPI=true,ALBSingleSubnet=true",
        "--log-level=debug",
    ];

    #[test]
    fn the_arguments_of_lbc_carry_over() {
        let (daemon, warnings) = of(OF_LBC).expect("they are right");
        assert_eq!(daemon.translate.cluster_name, "prod");
        assert!(daemon.translate.gates.alb_single_subnet);
        assert_eq!(daemon.metrics_address, ":9090");
        assert_eq!(daemon.health_address, ":61779");
        assert_eq!(daemon.watch_namespace, None);
        let name = "aws-load-balancer-controller-leader".to_owned();
        assert_eq!(
            daemon.election,
            Election::Lease {
                namespace: None,
                name
            }
        );
        let said: Vec<&str> = warnings
            .iter()
            .map(|w| w.split(' ').next().unwrap_or_default())
            .collect();
        assert_eq!(said, ["--ingress-class", "--sync-period", "pods"]);
    }

    #[test]
    fn the_webhook_is_served_where_there_is_a_certificate_or_is_to_be_one() {
        let served = |flags: &[&str]| {
            let flags = [&["--cluster-name=a"], flags].concat();
            let (daemon, _) = of(&flags).expect("right");
            daemon.webhook
        };
        // Nobody has put a certificate where LBC's chart mounts one.
        assert_eq!(served(&[]), None);
        let settings = served(&[
            "--webhook-cert-dir=/certs",
            "--webhook-cert-file=",
            "--webhook-key-file=",
        ]);
        let settings = settings.expect("the folder is named");
        assert_eq!(settings.address.port(), 9443);
        assert_eq!(settings.certificate, PathBuf::from("/certs/tls.crt"));
        assert_eq!(settings.key, PathBuf::from("/certs/tls.key"));
        let settings = served(&[
            "--webhook-cert-dir=/certs",
            "--webhook-bind-port=8443",
            "--webhook-cert-file=a",
            "--webhook-key-file=b",
        ]);
        let settings = settings.expect("the folder is named");
        assert_eq!(settings.address.port(), 8443);
        assert_eq!(settings.certificate, PathBuf::from("/certs/a"));
        assert_eq!(settings.key, PathBuf::from("/certs/b"));
        let off = "--enable-pod-readiness-gate-inject=false";
        assert_eq!(served(&["--webhook-cert-dir=/certs", off]), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (flags, says) in [
            (&[][..], "--cluster-name"),
            (&["--cluster-name=a", "--aws-vpc-tags=b"], "--aws-vpc-tags"),
            (
                &["--cluster-name=a", "--aws-api-endpoints=EC2"],
                "--aws-api-endpoints",
            ),
            (
                &[
                    "--cluster-name=a",
                    "--enable-manage-backend-security-group-rules",
                ],
                "cannot do that",
            ),
            (&["--cluster-name=a", "--nope"], "--nope"),
        ] {
            let error = of(flags).expect_err(says);
            assert!(format!("{error:#}").contains(says), "{flags:?}: {error:#}");
        }
    }

    /// The flags that a manifest passes or that stand in a comment of it, filled in.
    fn flags_in(manifest: &str, cluster: &str, vpc: &str) -> Vec<String> {
        let args = manifest
            .lines()
            .filter_map(|line| line.split_once("- --").or(line.split_once("value: --")));
        args.map(|(_, flag)| format!("--{flag}"))
            .map(|flag| flag.replace("$(CLUSTER_NAME)", cluster))
            .map(|flag| flag.replace("$(VPC_ID)", vpc))
            .collect()
    }

    fn of_manifest(flags: &[String]) -> anyhow::Result<(Daemon, Vec<String>)> {
        of(&flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    const DEPLOYMENT: &str = include_str!("../../../deploy/controller/deployment.yaml");

    #[test]
    fn the_shipped_deployment_passes_what_is_understood() {
        let filled = flags_in(DEPLOYMENT, "prod", "vpc-1");
        assert_eq!(filled.len(), 4, "{filled:?}");
        let (daemon, warnings) = of_manifest(&filled).expect("right");
        assert_eq!(daemon.translate.cluster_name, "prod");
        assert_eq!(daemon.aws.vpc_id, Some(VpcId::new("vpc-1")));
        assert_eq!(warnings, Vec::<String>::new());
        let (daemon, _) = of_manifest(&flags_in(DEPLOYMENT, "prod", "")).expect("right");
        assert_eq!(daemon.aws.vpc_id, None, "whoever knows it is asked");
        let error = of_manifest(&flags_in(DEPLOYMENT, "", "vpc-1")).expect_err("nameless");
        assert!(error.to_string().contains("--cluster-name"), "{error}");
    }

    #[test]
    fn the_guide_adds_what_is_understood() {
        let guide = include_str!("../../../docs/guide/run-the-controller.md");
        let mut flags = flags_in(guide, "", "");
        assert_ne!(flags.len(), 0);
        flags.push("--cluster-name=prod".to_owned());
        let (_, warnings) = of_manifest(&flags).expect("right");
        let readiness = warnings.iter().filter(|w| !w.starts_with("pods get no"));
        assert_eq!(readiness.count(), 0, "{warnings:?}");
    }

    #[test]
    fn switches_are_written_as_lbc_has_them() {
        let (daemon, _) =
            of(&["--cluster-name=a", "--enable-leader-election=false"]).expect("right");
        assert_eq!(daemon.election, Election::None);
    }
}
