//! Which VPC the cluster is in.
//!
//! In: flags, EC2, the instance metadata. Out: the VPC's id. Always: in LBC's order, and the next
//! source is only asked when the one before says nothing.

use aws_config::imds;
use aws_sdk_ec2::Client;
use elbow_model::aws_call::Operation;
use elbow_model::{Tags, VpcId};

use crate::config::Config;
use crate::connect::{ConnectError, reason};
use crate::convert::{each, first};
use crate::ec2::{filter, tag_filters};
use crate::failure::Failure;

pub(crate) async fn find(
    config: &Config,
    ec2: &Client,
    metadata: &imds::Client,
) -> Result<VpcId, ConnectError> {
    if let Some(vpc_id) = &config.vpc_id {
        return Ok(vpc_id.clone());
    }
    if !config.vpc_tags.is_empty() {
        return by_tags(ec2, &config.vpc_tags).await;
    }
    let why = match from_metadata(metadata).await {
        Ok(vpc_id) => return Ok(vpc_id),
        Err(error) => reason(&error),
    };
    match &config.node_name {
        Some(node) if node.starts_with("i-") => match of_instance(ec2, node).await? {
            Some(vpc_id) => Ok(vpc_id),
            None => Err(ConnectError::NoVpc { why }),
        },
        _ => Err(ConnectError::NoVpc { why }),
    }
}

async fn by_tags(ec2: &Client, tags: &Tags) -> Result<VpcId, ConnectError> {
    let asked = ec2
        .describe_vpcs()
        .set_filters(Some(tag_filters(tags)))
        .send()
        .await;
    let output = asked.map_err(|error| lookup_failed("DescribeVpcs", error.into()))?;
    let mut found = each(output.vpcs, |vpc| vpc.vpc_id);
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(VpcId::new(only)),
        (last, others) => Err(ConnectError::VpcTags {
            tags: tags.clone(),
            found: others + usize::from(last.is_some()),
        }),
    }
}

/// The VPC of the instance's first network interface.
async fn from_metadata(metadata: &imds::Client) -> Result<VpcId, imds::client::error::ImdsError> {
    let mac = metadata.get("/latest/meta-data/mac").await?;
    let path = format!(
        "/latest/meta-data/network/interfaces/macs/{}/vpc-id",
        mac.as_ref()
    );
    let vpc_id = metadata.get(path).await?;
    Ok(VpcId::new(vpc_id.as_ref()))
}

async fn of_instance(ec2: &Client, instance: &str) -> Result<Option<VpcId>, ConnectError> {
    let asked = ec2
        .describe_instances()
        .filters(filter("instance-id", instance))
        .send()
        .await;
    let output = asked.map_err(|error| lookup_failed("DescribeInstances", error.into()))?;
    let instance = first(output.reservations).and_then(|r| first(r.instances));
    Ok(instance.and_then(|found| found.vpc_id).map(VpcId::new))
}

fn lookup_failed(name: &'static str, failure: Failure) -> ConnectError {
    let operation = Operation {
        service: "ec2",
        name,
    };
    let source = failure.of_operation(operation);
    ConnectError::VpcLookup { source }
}
