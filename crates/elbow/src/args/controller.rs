//! The flags of `elbow controller`: LBC's names and defaults, and one of our own.
//!
//! In: the command line of a Deployment, perhaps one that was LBC's. Out: [`ControllerArgs`]. Flags of
//! LBC's that have no meaning here are taken apart into [`LbcFlags`]; whether each may be passed over
//! is decided by `controller::compat`.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use super::SettingsArgs;
use crate::controller::compat;

/// Runs the controller: makes load balancers of the Gateways of a cluster, and keeps them so.
///
/// Flags and their defaults are those of the AWS Load Balancer Controller, so that its Deployment's
/// arguments carry over. Flags of its that have no meaning here are accepted with a warning where
/// passing over them is harmless, and are an error where it is not. Both hold the same lease, so they
/// never act at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow controller --cluster-name prod           in a pod, with a role for its service account
  elbow controller --cluster-name prod --kubeconfig ~/.kube/config --enable-leader-election=false \\
      --aws-region eu-west-1 --aws-vpc-id vpc-0123456789abcdef0
                                                 on a laptop, with the credentials of the shell
  elbow controller --cluster-name test --aws-endpoint-url http://127.0.0.1:4566 --aws-vpc-id vpc-1
                                                 against an emulated AWS")]
pub struct ControllerArgs {
    /// How Gateways are translated.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Finds the VPC by its tags, if `--aws-vpc-id` is not given; exactly one must have them all.
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    pub aws_vpc_tags: Vec<String>,
    /// Sends all calls to AWS there, `elbow local` for example.
    #[arg(long, value_name = "URL")]
    pub aws_endpoint_url: Option<String>,
    /// Sends calls of single services elsewhere.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "SERVICE=URL,..."
    )]
    pub aws_api_endpoints: String,
    /// The API server; that of the pod, `$KUBECONFIG` or `~/.kube/config` if not given.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Looks at the objects of this namespace only.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "NAMESPACE"
    )]
    pub watch_namespace: String,
    /// Where `/metrics` answers; `0` for nowhere.
    #[arg(long, default_value = ":8080", value_name = "HOST:PORT")]
    pub metrics_bind_addr: String,
    /// Where `/healthz` and `/readyz` answer; `0` for nowhere.
    #[arg(long, default_value = ":61779", value_name = "HOST:PORT")]
    pub health_probe_bind_addr: String,
    /// Whether new pods get readiness gates, through a webhook of the API server. Without
    /// `--webhook-cert-dir` there is none where the folder has no certificate.
    #[arg(
        long,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub enable_pod_readiness_gate_inject: bool,
    /// The port on which the webhook answers.
    #[arg(long, default_value_t = 9443, value_name = "PORT")]
    pub webhook_bind_port: u16,
    /// The folder with the webhook's certificate and key, which are read again when they change;
    /// `k8s-webhook-server/serving-certs` in the folder for temporary files if not given.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "FOLDER"
    )]
    pub webhook_cert_dir: String,
    /// The certificate and its chain in that folder, as PEM.
    #[arg(long, default_value = "tls.crt", value_name = "NAME")]
    pub webhook_cert_file: String,
    /// Its key in that folder, as PEM.
    #[arg(long, default_value = "tls.key", value_name = "NAME")]
    pub webhook_key_file: String,
    /// Whether an instance acts only while it holds the lease. Without, there must be no other.
    #[arg(
        long,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub enable_leader_election: bool,
    /// The lease's name.
    #[arg(
        long,
        default_value = "aws-load-balancer-controller-leader",
        value_name = "NAME"
    )]
    pub leader_election_id: String,
    /// The lease's namespace; that of the pod if not given.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "NAMESPACE"
    )]
    pub leader_election_namespace: String,
    /// How much is logged; `RUST_LOG` is finer.
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Form of the log; `auto` is text on a terminal and JSON elsewhere.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub log_format: LogFormat,
    /// The other flags of LBC's.
    #[command(flatten)]
    pub lbc: LbcFlags,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What changes, and what is wrong.
    #[default]
    Info,
    /// Also why nothing changes.
    Debug,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// A JSON object a line.
    Json,
    /// Text.
    Text,
}

/// Flags of LBC's that elbow does not have, with their values, in the order of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LbcFlags(pub Vec<(&'static str, String)>);

impl FromArgMatches for LbcFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = compat::FLAGS.iter().filter_map(|flag| {
            let value = matches.get_one::<String>(flag.name)?;
            Some((flag.name, value.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for LbcFlags {
    fn augment_args(command: Command) -> Command {
        compat::FLAGS.iter().fold(command, |command, flag| {
            command.arg(
                Arg::new(flag.name)
                    .long(flag.name)
                    .hide(true)
                    .num_args(0..=1)
                    .default_missing_value("true")
                    .value_parser(ValueParser::string()),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
