//! What a connection needs to know. In: flags. Out: [`Config`]. Always: what is absent is looked up.

use std::collections::BTreeMap;
use std::str::FromStr;

use elbow_model::{Tags, VpcId};

/// Where to connect to. The default finds everything out by itself, as it does on an EKS node.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The region (`--aws-region`). Otherwise `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, then
    /// the instance metadata.
    pub region: Option<String>,
    /// The cluster's VPC (`--aws-vpc-id`). Otherwise the one VPC with [`Config::vpc_tags`], then the
    /// VPC in the instance metadata, then that of [`Config::node_name`].
    pub vpc_id: Option<VpcId>,
    /// Tags by which the VPC is found (`--aws-vpc-tags`): exactly one VPC has all of them.
    pub vpc_tags: Tags,
    /// The node that elbow runs on (`NODENAME`); where its name is an instance id, as with EKS
    /// resource-based names, the instance tells the VPC.
    pub node_name: Option<String>,
    /// One endpoint for all services (`--aws-endpoint-url`), for the emulator and its like.
    pub endpoint_url: Option<String>,
    /// Endpoints of single services (`--aws-api-endpoints`); they win over `endpoint_url`.
    pub endpoints: Endpoints,
}

/// Endpoints by service, as the flag `--aws-api-endpoints` of LBC gives them:
/// `Elastic Load Balancing v2=https://elb.example,EC2=https://ec2.example`.
///
/// Services that elbow does not use are kept and have no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<String, String>);

impl Endpoints {
    /// The endpoint of a service by its service id, `EC2` for example.
    pub(crate) fn of(&self, service_id: &str) -> Option<&str> {
        self.0.get(service_id).map(String::as_str)
    }
}

/// An entry of `--aws-api-endpoints` that is not `service id=URL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is not `<service id>=<https or http URL>`, `EC2=https://ec2.example` for example"
)]
pub struct EndpointError {
    entry: String,
}

impl FromStr for Endpoints {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let mut endpoints = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let is_url = |url: &str| url.starts_with("https://") || url.starts_with("http://");
            match entry.split_once('=') {
                Some((service, url)) if !service.trim().is_empty() && is_url(url.trim()) => {
                    endpoints.insert(service.trim().to_owned(), url.trim().to_owned());
                }
                _ => {
                    let entry = entry.to_owned();
                    return Err(EndpointError { entry });
                }
            }
        }
        Ok(Self(endpoints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_lbc_reads_them() {
        let endpoints: Endpoints =
            "Elastic Load Balancing v2=https://elb.example, EC2=http://ec2.example/path?a=b"
                .parse()
                .unwrap();
        assert_eq!(
            endpoints.of("Elastic Load Balancing v2"),
            Some("https://elb.example")
        );
        assert_eq!(endpoints.of("EC2"), Some("http://ec2.example/path?a=b"));
        assert_eq!(endpoints.of("ACM"), None);
        assert_eq!("".parse(), Ok(Endpoints::default()));
        for wrong in ["EC2", "EC2=ec2.example", "=https://ec2.example"] {
            let error = wrong.parse::<Endpoints>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
