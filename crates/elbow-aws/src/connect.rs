//! From a [`Config`] to a connection: HTTP, region, credentials, and a client for each service.
//!
//! In: the configuration, the environment, the instance metadata. Out: [`Aws`], or what is missing
//! and how to provide it. What always holds: TLS is rustls with ring, as everywhere in elbow; proxies
//! are those of the environment, as for LBC; a client waits a limited time and never tries again.

use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpClients, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use elbow_model::{AwsError, Tags};

use crate::config::Config;
use crate::failure::chain;
use crate::{Aws, Clients, vpc};

/// How long one request may take, from connecting to the last byte. The slowest answers in elbow's
/// set, to `CreateLoadBalancer`, take a few seconds; ten times that is no slow answer but a lost one.
/// It bounds how long a lost answer holds up a Gateway, and is half of what the AWS CLI waits.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting may take; the SDKs' own default (3.1 s) in whole seconds. An endpoint that is
/// not reachable, for want of a VPC endpoint for example, is known soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why no connection could be made, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No source names a region.
    #[error(
        "the AWS region is not known: set `--aws-region` or AWS_REGION, or let the pod reach the \
         instance metadata (a hop limit of 2)"
    )]
    NoRegion,
    /// An endpoint is no URL.
    #[error("`{url}` is no endpoint: give an http or https URL")]
    NoEndpoint {
        /// What was given.
        url: String,
    },
    /// No source gives credentials, or the one that should does not.
    #[error(
        "there are no AWS credentials: annotate the ServiceAccount with a role (IRSA), associate one \
         (EKS Pod Identity), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials {
        /// What the last source said.
        source: CredentialsError,
    },
    /// The VPC could not be looked up.
    #[error("the VPC cannot be looked up; `--aws-vpc-id` makes that needless")]
    VpcLookup {
        /// What AWS said.
        source: AwsError,
    },
    /// Not exactly one VPC has the tags.
    #[error(
        "{found} VPCs have the tags {tags:?}: give tags that exactly one has, or `--aws-vpc-id`"
    )]
    VpcTags {
        /// The tags of `--aws-vpc-tags`.
        tags: Tags,
        /// How many VPCs have them.
        found: usize,
    },
    /// No source names the VPC.
    #[error(
        "the VPC is not known ({why}): set `--aws-vpc-id` or `--aws-vpc-tags`, or let the pod reach \
         the instance metadata (a hop limit of 2)"
    )]
    NoVpc {
        /// What the instance metadata said.
        why: String,
    },
}

pub(crate) async fn connect(config: &Config) -> Result<Aws, ConnectError> {
    let http = http_client();
    let provider = ProviderConfig::without_region().with_http_client(http.clone());
    let metadata = imds::Client::builder().configure(&provider).build();
    connect_by(config, loader(http), &metadata).await
}

/// The same with sources of the caller's.
pub(crate) async fn connect_by(
    config: &Config,
    loader: ConfigLoader,
    metadata: &imds::Client,
) -> Result<Aws, ConnectError> {
    let sdk = load(config, loader).await?;
    let region = sdk.region().ok_or(ConnectError::NoRegion)?.to_string();
    // Asked for once at the start, so that what is missing is said at the start.
    if let Some(credentials) = sdk.credentials_provider() {
        let given = credentials.provide_credentials().await;
        given.map_err(|source| ConnectError::NoCredentials { source })?;
    }
    let clients = clients(config, &sdk)?;
    let vpc_id = vpc::find(config, &clients.ec2, metadata).await?;
    Ok(Aws {
        region,
        vpc_id,
        clients,
    })
}

/// What does not depend on the configuration.
pub(crate) fn loader(http: SharedHttpClient) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        // Answers are small and read whole; the attempt's time limits them.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    match AppName::new(concat!("elbow-", env!("CARGO_PKG_VERSION"))) {
        Ok(name) => loader.app_name(name),
        Err(_) => loader,
    }
}

async fn load(config: &Config, mut loader: ConfigLoader) -> Result<SdkConfig, ConnectError> {
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &config.endpoint_url {
        loader = loader.endpoint_url(checked(url)?);
    }
    Ok(loader.load().await)
}

/// A client for each service. Sources of credentials keep the SDKs' retries; these have none.
fn clients(config: &Config, sdk: &SdkConfig) -> Result<Clients, ConnectError> {
    macro_rules! client {
        ($sdk_crate:ident, $service_id:literal $(, $adjust:expr)?) => {{
            let mut of_service = $sdk_crate::config::Builder::from(sdk);
            of_service.set_retry_config(Some(RetryConfig::disabled()));
            if let Some(url) = config.endpoints.of($service_id) {
                of_service.set_endpoint_url(Some(checked(url)?.to_owned()));
            }
            $( let of_service = $adjust(of_service); )?
            $sdk_crate::Client::from_conf(of_service.build())
        }};
    }
    Ok(Clients {
        elbv2: client!(aws_sdk_elasticloadbalancingv2, "Elastic Load Balancing v2"),
        ec2: client!(aws_sdk_ec2, "EC2"),
        acm: client!(aws_sdk_acm, "ACM"),
        s3: client!(aws_sdk_s3, "S3", |s3: aws_sdk_s3::config::Builder| {
            // An endpoint of one's own has no name for each bucket.
            let has_endpoint = config.endpoint_url.is_some() || config.endpoints.of("S3").is_some();
            s3.force_path_style(has_endpoint)
        }),
        tagging: client!(aws_sdk_resourcegroupstagging, "Resource Groups Tagging API"),
    })
}

fn checked(url: &str) -> Result<&str, ConnectError> {
    let parsed = url.parse::<http::Uri>().ok();
    let is_endpoint = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if is_endpoint {
        Ok(url)
    } else {
        let url = url.to_owned();
        Err(ConnectError::NoEndpoint { url })
    }
}

/// The one pool of connections that all services share.
pub(crate) fn http_client() -> SharedHttpClient {
    HttpClients::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}

/// An error of the metadata client, for [`ConnectError::NoVpc`].
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    format!("instance metadata: {}", chain(error))
}
