//! Carries out [`AwsCall`]s over HTTP with the official SDKs; the only user of `aws_sdk_*`.
//!
//! In: a [`Config`], then calls. Out: the answer or the classified error of each. What always holds:
//! one call is one request; nothing is tried again, since when to is decided where calls are counted
//! (`elbow-reconcile`); no type of the SDKs leaves this crate. Start at [`Aws::connect`] and
//! [`Aws::call`].
//!
//! A call that is added to the model gets an arm in `call` and a short function in the module of its
//! service; without the arm nothing compiles. `tests::equality` holds the answers to those of
//! `elbow-loopback`.

mod acm;
mod call;
mod config;
mod connect;
mod convert;
mod ec2;
mod elbv2;
mod failure;
mod s3;
mod tagging;
#[cfg(test)]
mod tests;
mod vpc;

use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial, VpcId};

pub use config::{Config, EndpointError, Endpoints};
pub use connect::ConnectError;

/// A connection to one region of one account. Clones share it.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    vpc_id: VpcId,
    clients: Clients,
}

/// A client for each service; they share credentials and connections.
#[derive(Debug, Clone)]
struct Clients {
    elbv2: aws_sdk_elasticloadbalancingv2::Client,
    ec2: aws_sdk_ec2::Client,
    acm: aws_sdk_acm::Client,
    s3: aws_sdk_s3::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
}

impl Aws {
    /// Finds region, credentials and VPC, in the order that [`Config`] documents for each.
    ///
    /// No service but the one that gives credentials is asked where region and VPC are configured.
    pub async fn connect(config: &Config) -> Result<Self, ConnectError> {
        connect::connect(config).await
    }

    /// The region that is asked, `eu-west-1` for example.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The cluster's VPC.
    pub fn vpc_id(&self) -> &VpcId {
        &self.vpc_id
    }

    /// Carries out one call, once.
    ///
    /// An error of the class `Transient` leaves open whether the call took effect.
    ///
    /// An import is for [`Aws::call_with`].
    pub async fn call(&self, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        self.call_with(call, None).await
    }

    /// Carries out one call, with what it takes from a Secret if it is an import. Without that, an
    /// import fails with `SecretNotRead`, a conflict.
    pub async fn call_with(
        &self,
        call: &AwsCall,
        material: Option<&CertificateMaterial>,
    ) -> Result<AwsAnswer, AwsError> {
        call::carry_out(&self.clients, call, material)
            .await
            .map_err(|failure| failure.of(call))
    }
}
