//! `cargo xtask aws-models`: Rust types and shape tables from AWS's published service models.
//!
//! In: the models that the `botocore` package of PyPI carries (`data/<service>/<version>/service-2.json.gz`).
//! Out: `crates/elbow-emulator/src/generated/<service>.rs` (types) and `<service>/shapes.rs` (tables).
//! Always: the generated text depends on the models and on the operation lists below alone; the
//! models themselves, and AWS's descriptions in them, are not copied into the repository.

mod emit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The release that the checked-in code was generated from.
const BOTOCORE_VERSION: &str = "1.44.5";

/// Generates the emulator's wire types from AWS's service models.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A botocore `data` folder; without it botocore is installed into a virtual environment
    /// under `target/`
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Compare with what is checked in instead of writing
    #[arg(long)]
    check: bool,
}

/// One service, and which of its operations the emulator knows.
pub(crate) struct ServiceSpec {
    /// Name of the generated module.
    pub(crate) module: &'static str,
    /// Variant of the emulator's `Service` enum.
    pub(crate) variant: &'static str,
    /// Folder of the model in botocore.
    folder: &'static str,
    version: &'static str,
    pub(crate) operations: &'static [&'static str],
}

const SERVICES: &[ServiceSpec] = &[
    ServiceSpec {
        module: "elbv2",
        variant: "ElbV2",
        folder: "elbv2",
        version: "2015-12-01",
        operations: &[
            "AddListenerCertificates",
            "AddTags",
            "CreateListener",
            "CreateLoadBalancer",
            "CreateRule",
            "CreateTargetGroup",
            "CreateTrustStore",
            "DeleteListener",
            "DeleteLoadBalancer",
            "DeleteRule",
            "DeleteTargetGroup",
            "DeleteTrustStore",
            "DeregisterTargets",
            "DescribeAccountLimits",
            "DescribeCapacityReservation",
            "DescribeListenerAttributes",
            "DescribeListenerCertificates",
            "DescribeListeners",
            "DescribeLoadBalancerAttributes",
            "DescribeLoadBalancers",
            "DescribeRules",
            "DescribeSSLPolicies",
            "DescribeTags",
            "DescribeTargetGroupAttributes",
            "DescribeTargetGroups",
            "DescribeTargetHealth",
            "DescribeTrustStoreAssociations",
            "DescribeTrustStores",
            "ModifyListener",
            "ModifyListenerAttributes",
            "ModifyLoadBalancerAttributes",
            "ModifyRule",
            "ModifyTargetGroup",
            "ModifyTargetGroupAttributes",
            "ModifyTrustStore",
            "RegisterTargets",
            "RemoveListenerCertificates",
            "RemoveTags",
            "SetIpAddressType",
            "SetRulePriorities",
            "SetSecurityGroups",
            "SetSubnets",
        ],
    },
    ServiceSpec {
        module: "ec2",
        variant: "Ec2",
        folder: "ec2",
        version: "2016-11-15",
        operations: &[
            "AuthorizeSecurityGroupEgress",
            "AuthorizeSecurityGroupIngress",
            "CreateSecurityGroup",
            "CreateTags",
            "DeleteSecurityGroup",
            "DeleteTags",
            "DescribeAddresses",
            "DescribeAvailabilityZones",
            "DescribeInstances",
            "DescribeNetworkInterfaces",
            "DescribeRouteTables",
            "DescribeSecurityGroupRules",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "DescribeVpcs",
            "RevokeSecurityGroupEgress",
            "RevokeSecurityGroupIngress",
        ],
    },
    ServiceSpec {
        module: "acm",
        variant: "Acm",
        folder: "acm",
        version: "2015-12-08",
        operations: &[
            "AddTagsToCertificate",
            "DeleteCertificate",
            "DescribeCertificate",
            "GetCertificate",
            "ImportCertificate",
            "ListCertificates",
            "ListTagsForCertificate",
            "RemoveTagsFromCertificate",
        ],
    },
    ServiceSpec {
        module: "sts",
        variant: "Sts",
        folder: "sts",
        version: "2011-06-15",
        operations: &["GetCallerIdentity"],
    },
    ServiceSpec {
        module: "tagging",
        variant: "Tagging",
        folder: "resourcegroupstaggingapi",
        version: "2017-01-26",
        operations: &["GetResources", "TagResources", "UntagResources"],
    },
];

/// What the generator reads of a service model.
#[derive(Deserialize)]
pub(crate) struct Model {
    pub(crate) metadata: Metadata,
    pub(crate) operations: BTreeMap<String, OperationModel>,
    pub(crate) shapes: BTreeMap<String, ShapeModel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) protocol: String,
}

#[derive(Deserialize)]
pub(crate) struct OperationModel {
    pub(crate) input: Option<ShapeRef>,
    pub(crate) output: Option<OutputRef>,
    #[serde(default)]
    pub(crate) errors: Vec<ShapeRef>,
}

#[derive(Deserialize)]
pub(crate) struct OutputRef {
    pub(crate) shape: String,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShapeRef {
    pub(crate) shape: String,
    pub(crate) location_name: Option<String>,
    pub(crate) query_name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ShapeModel {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) required: Vec<String>,
    #[serde(default)]
    pub(crate) members: BTreeMap<String, ShapeRef>,
    pub(crate) member: Option<ShapeRef>,
    pub(crate) key: Option<ShapeRef>,
    pub(crate) value: Option<ShapeRef>,
    #[serde(default, rename = "enum")]
    pub(crate) values: Vec<String>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) pattern: Option<String>,
    pub(crate) error: Option<ErrorModel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorModel {
    pub(crate) code: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = crate::workspace_root()?;
    let data = match &args.models {
        Some(folder) => folder.clone(),
        None => install_botocore(&root)?,
    };
    let generated = root.join("crates/elbow-emulator/src/generated");
    let mut stale = Vec::new();
    for service in SERVICES {
        let path = data
            .join(service.folder)
            .join(service.version)
            .join("service-2.json.gz");
        let model = read_model(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (name, text) in emit::service(service, &model)? {
            let file = generated.join(name);
            if args.check {
                if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
                    stale.push(file.display().to_string());
                }
            } else {
                if let Some(parent) = file.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(&file, text)
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    ensure!(
        stale.is_empty(),
        "stale, run `cargo xtask aws-models`: {}",
        stale.join(", ")
    );
    Ok(())
}

/// Python is asked to decompress: it is needed for botocore anyway, and spares a crate.
fn read_model(path: &Path) -> anyhow::Result<Model> {
    let script = "import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(path)
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn install_botocore(root: &Path) -> anyhow::Result<PathBuf> {
    let venv = root.join("target/aws-models-venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let package = format!("botocore=={BOTOCORE_VERSION}");
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
    let script =
        "import botocore,os; print(os.path.join(os.path.dirname(botocore.__file__),'data'))";
    let output = Command::new(&python).args(["-c", script]).output()?;
    ensure!(
        output.status.success(),
        "botocore does not import after its installation"
    );
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
