//! The command line: every command, flag and its help.
//!
//! In: the arguments. Out: [`Cli`], plain data; nothing is read or resolved here. Flags that the AWS
//! Load Balancer Controller (LBC) has keep its names, so that a chart's values carry over.

#[cfg(feature = "controller")]
mod controller;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "controller")]
pub use controller::{ControllerArgs, LbcFlags, LogFormat, LogLevel};

/// Kubernetes Gateway API objects in, AWS load balancers out.
#[derive(Debug, Parser)]
#[command(
    name = "elbow",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 failed; 2 the plan has changes (`plan --exit-code` only); \
                  3 a manifest is invalid; 64 wrong usage. With `local -- COMMAND`, \
                  the command's own status."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours; `auto` does on a terminal unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// One command each.
#[expect(
    missing_docs,
    reason = "the help of a command is that of its arguments"
)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Local(Box<LocalArgs>),
    #[cfg(feature = "controller")]
    Controller(Box<ControllerArgs>),
    Plan(Box<PlanArgs>),
    Lint(Box<LintArgs>),
    Render(Box<RenderArgs>),
    Crds(CrdsArgs),
    Emulator(Box<EmulatorArgs>),
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Runs manifests on this machine, against a built-in AWS with real traffic.
///
/// Prints the plan, applies it, prints each load balancer with a `curl` line that works, and goes on
/// watching the manifests: an edit shows the new plan and applies it. What the manifests take for
/// granted is made up and said: a VPC with tagged subnets, a certificate for each ARN that they name,
/// an echo backend for each Service that has none.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow local -f examples                       run a folder until Ctrl-C
  elbow local -f k8s --backend app/web=127.0.0.1:3000
                                                send a Service's traffic to a process of yours
  elbow local -f k8s -- ./smoke-test.sh         wait until all is healthy, run a command, stop
  kustomize build overlay | elbow local -f -    run what another tool prints")]
pub struct LocalArgs {
    /// Where manifests come from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How Gateways are translated.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Sends the traffic of a Service to an address of yours; may be given several times.
    #[arg(long, value_name = "NAMESPACE/SERVICE[:PORT]=HOST:PORT")]
    pub backend: Vec<String>,
    /// Makes nothing up: missing Services, endpoints and certificates stay missing.
    #[arg(long)]
    pub no_stand_ins: bool,
    /// How many times faster than on AWS its waits pass: load balancers take 2 to 3 minutes to
    /// become active there, targets are checked every few seconds. 1 gives AWS's own times.
    #[arg(long, default_value_t = 200.0, value_name = "FACTOR")]
    pub speed: f64,
    /// Where the built-in AWS answers API calls; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    pub aws_listen: String,
    /// Writes what runs where to this file as JSON, the same that `ELBOW_STATE` names.
    #[arg(long, value_name = "FILE")]
    pub state_file: Option<PathBuf>,
    /// Gives up waiting for the load balancers of a command after this many seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub timeout: u64,
    /// A command to run once everything is active and healthy. It finds `AWS_ENDPOINT_URL`,
    /// `AWS_REGION`, throwaway credentials and `ELBOW_STATE` in its environment; its exit status
    /// becomes elbow's.
    #[arg(last = true, value_name = "COMMAND")]
    pub exec: Vec<OsString>,
}

/// Shows what would change in AWS, and why.
///
/// Plans against nothing, or against the manifests of another folder (`--base`), as the
/// controller would: with the same functions, against the built-in AWS.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow plan -f k8s                             everything, as from nothing
  elbow plan -f k8s --base ../main/k8s          what this branch changes
  elbow plan -f k8s --base ../main/k8s -o markdown
                                                the same for a pull request's comment
  helm template chart | elbow plan -f - --exit-code
                                                exit code 2 if there are changes")]
pub struct PlanArgs {
    /// Where manifests come from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How Gateways are translated.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Manifests to plan against: what is taken to be running.
    #[arg(long, value_name = "PATH")]
    pub base: Vec<PathBuf>,
    /// Exits with 0 if nothing would change and with 2 if something would.
    #[arg(long)]
    pub exit_code: bool,
    /// Makes up Services and endpoints that the manifests name but do not hold, as `local` does.
    #[arg(long)]
    pub stand_ins: bool,
    /// Form of the plan.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: PlanOutput,
}

/// Form of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanOutput {
    /// For a terminal.
    #[default]
    Text,
    /// For machines; the schema is in docs/reference/plan-json.md.
    Json,
    /// For a pull request's comment.
    Markdown,
}

/// Says what is wrong with manifests.
///
/// Everything is checked that can be without AWS: syntax, schemas, references, attachment, and the
/// limits of ALB and NLB.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow lint -f k8s                             for people
  elbow lint -f k8s -o json                     for machines")]
pub struct LintArgs {
    /// Where manifests come from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How Gateways are translated.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Makes up Services and endpoints that the manifests name but do not hold, as `local` does.
    #[arg(long)]
    pub stand_ins: bool,
    /// Form of the findings.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    pub output: LintOutput,
}

/// Form of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LintOutput {
    /// For a terminal.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Prints the stacks: the AWS resources that the manifests ask for, and the status of each object.
///
/// JSON on standard output; findings go to standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow render -f k8s | jq '.stacks[].listeners'")]
pub struct RenderArgs {
    /// Where manifests come from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How Gateways are translated.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Makes up Services and endpoints that the manifests name but do not hold, as `local` does.
    #[arg(long)]
    pub stand_ins: bool,
}

/// Prints the CustomResourceDefinitions as YAML.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow crds | kubectl apply --server-side -f -")]
pub struct CrdsArgs {}

/// Runs the built-in AWS alone: an endpoint, load balancers on real sockets, their names.
///
/// For tests of anything that speaks to AWS, and for clusters on one machine. Nothing survives the
/// process.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  elbow emulator --state aws.json               an account with a VPC over three zones
  elbow emulator --world world.json --dns 127.0.0.1:5300
                                                a cluster's VPC and nodes; names that resolve")]
pub struct EmulatorArgs {
    /// Where it answers API calls, all services; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    pub listen: String,
    /// What exists before the first call, as JSON (docs/reference/emulator-json.md): VPC,
    /// subnets, nodes. Without it there is a VPC over three zones.
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// Writes where it answers and what runs to this file as JSON, now and after each change.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// How many times faster than on AWS its waits pass; 1 gives AWS's own times.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub speed: f64,
    /// Whether calls that come too fast are refused, as by AWS.
    #[arg(long, value_enum, default_value_t, value_name = "LIKE")]
    pub throttle: Throttle,
    /// What goes wrong, as JSON (docs/reference/emulator-json.md): errors, delays, lost answers,
    /// denied actions, lower quotas.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Lets local clients change what goes wrong while it runs, below `/_emulator/`.
    #[arg(long)]
    pub admin: bool,
    /// Writes each API call to this file, as one line of JSON.
    #[arg(long, value_name = "FILE")]
    pub call_log: Option<PathBuf>,
    /// Where names of load balancers resolve, over UDP and TCP; nothing else does.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<SocketAddr>,
    /// Addresses that load balancers get: a network, a range (`FIRST-LAST`) or one address; may be
    /// given several times. This machine must have them. A load balancer whose interfaces have such
    /// addresses in the VPC gets these, in each of its zones; another gets the next free one. Without
    /// the flag they get addresses in 127.0.0.0/24 that no other elbow has.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESSES")]
    pub addresses: Vec<String>,
}

/// Whether calls that come too fast are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Throttle {
    /// By AWS's token buckets.
    #[default]
    Aws,
    /// Never.
    None,
}

/// What `--speed` may be. Above it, AWS's shortest waits would be fractions of a millisecond.
pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;

/// Where manifests come from.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A folder (searched recursively for YAML and JSON), a file, or `-` for standard input; may be
    /// given several times.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub filename: Vec<PathBuf>,
}

/// How Gateways are translated. Names and defaults are LBC's.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Controller settings")]
pub struct SettingsArgs {
    /// Name of the cluster; part of names and tags. The controller needs it; elsewhere it is
    /// my-cluster if not given.
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Region of the load balancers; taken from the certificates that the manifests name, else from
    /// the environment (`AWS_REGION`), else us-east-1. The controller takes it from the environment,
    /// else from the instance metadata.
    #[arg(long, value_name = "REGION")]
    pub aws_region: Option<String>,
    /// The cluster's VPC; made up if not given. The controller finds it by `--aws-vpc-tags`, else by
    /// the instance metadata.
    #[arg(long, value_name = "VPC")]
    pub aws_vpc_id: Option<String>,
    /// Target type of Services whose TargetGroupConfiguration names none.
    #[arg(long, value_enum, default_value_t, value_name = "TYPE")]
    pub default_target_type: TargetType,
    /// Scheme of Gateways whose LoadBalancerConfiguration names none.
    #[arg(long, value_enum, default_value_t, value_name = "SCHEME")]
    pub default_load_balancer_scheme: Scheme,
    /// Security policy of HTTPS and TLS listeners whose configuration names none.
    #[arg(
        long,
        default_value = "ELBSecurityPolicy-2016-08",
        value_name = "POLICY"
    )]
    pub default_ssl_policy: String,
    /// Tags on everything, over those of the manifests.
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    pub default_tags: Vec<String>,
    /// Tag keys that others manage; they are neither set nor removed.
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    pub external_managed_tags: Vec<String>,
    /// Whether load balancers share one security group as the source of their traffic.
    #[arg(
        long,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub enable_backend_security_group: bool,
    /// That group, if it is not to be created.
    #[arg(long, value_name = "GROUP")]
    pub backend_security_group: Option<String>,
    /// Opens all ports of nodes and pods to load balancers, not only those in use.
    #[arg(
        long,
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub disable_restricted_sg_rules: bool,
    /// Tags that, besides the cluster's, tell which of several security groups of a network interface is opened
    /// to load balancers.
    #[arg(long, value_delimiter = ',', value_name = "KEY=VALUE")]
    pub service_target_eni_security_group_tags: Vec<String>,
    /// Certificate authorities whose certificates may be discovered by hostname.
    #[arg(long, value_delimiter = ',', value_name = "ARN")]
    pub allowed_certificate_authority_arns: Vec<String>,
    /// Rules that a load balancer may have: the account's quota, which AWS raises on request.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub max_rules_per_load_balancer: usize,
    /// Targets that are registered in one target group; 0 for all of them.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub max_targets_per_target_group: usize,
    /// Bucket of S3 through which trust stores are given the certificates that a Gateway's
    /// `spec.tls.frontend` names; made up if not given. Without it the controller refuses such listeners.
    #[arg(long, value_name = "BUCKET")]
    pub trust_store_bucket: Option<String>,
    /// What the keys of objects in that bucket begin with; nobody else may write there.
    #[arg(long, default_value = elbow_model::trust_store::DEFAULT_PREFIX, value_name = "PREFIX")]
    pub trust_store_prefix: String,
    /// LBC's feature gates that matter here: SubnetsClusterTagCheck, SubnetDiscoveryByReachability,
    /// ALBSingleSubnet, EndpointsFailOpen, EnableDefaultTagsLowPriority. Two are elbow's own, and off
    /// since they change rules that LBC made. ListenerIsolation: a listener refuses with 404 what it has
    /// no rule for, also where a listener of its port with a wider hostname has one. HostnamePorts: a
    /// hostname takes requests that name it with a port.
    #[arg(long, value_delimiter = ',', value_name = "GATE=BOOL")]
    pub feature_gates: Vec<String>,
}

/// Target type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TargetType {
    /// Nodes, by their NodePort.
    #[default]
    Instance,
    /// Pods, by their address.
    Ip,
}

/// Scheme.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// Reachable from within the VPC.
    #[default]
    Internal,
    /// Reachable from the internet.
    InternetFacing,
}
