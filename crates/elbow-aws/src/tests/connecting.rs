//! Where a connection finds region and VPC, and what it says when it does not.

use elbow_emulator::Quotas;
use elbow_model::Tags;

use super::world::{INSTANCE, REGION, Server, VPC};
use super::{metadata, nobody, sources};
use crate::connect::connect_by;
use crate::failure::chain;
use crate::{Config, ConnectError};

fn tags(name: &str) -> Tags {
    Tags::from([("Name".to_owned(), name.to_owned())])
}

#[tokio::test]
async fn the_vpc_is_found_by_tags_or_by_the_node() {
    let server = Server::start(Quotas::default()).await;
    let by_flag = Config::default();
    let by_tags = Config {
        vpc_tags: tags("demo/VPC"),
        ..Config::default()
    };
    let by_node = Config {
        node_name: Some(INSTANCE.to_owned()),
        ..Config::default()
    };
    for config in [by_flag, by_tags, by_node] {
        let aws = server.connect(config).await.unwrap();
        assert_eq!(aws.vpc_id().as_str(), VPC);
        assert_eq!(aws.region(), REGION);
    }
}

#[tokio::test]
async fn a_vpc_that_is_not_found_is_said_with_what_to_do() {
    let server = Server::start(Quotas::default()).await;
    let by_tags = Config {
        vpc_tags: tags("another"),
        ..Config::default()
    };
    let error = server.connect(by_tags).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "0 VPCs have the tags {\"Name\": \"another\"}: give tags that exactly one has, or \
         `--aws-vpc-id`"
    );
    // A name that is no instance id tells nothing, and is not asked about.
    let by_name = Config {
        node_name: Some("ip-10-0-0-1.ec2.internal".to_owned()),
        ..Config::default()
    };
    let error = server.connect(by_name).await.unwrap_err().to_string();
    assert!(error.contains("set `--aws-vpc-id`"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
    let by_unknown = Config {
        node_name: Some("i-0ffffffffffffffff".to_owned()),
        ..Config::default()
    };
    let error = server.connect(by_unknown).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoVpc { .. }), "{error}");
}

#[tokio::test]
async fn an_endpoint_of_one_service_wins_over_that_of_all() {
    let server = Server::start(Quotas::default()).await;
    let config = Config {
        region: Some(REGION.to_owned()),
        endpoint_url: Some(nobody()),
        endpoints: format!("EC2={}", server.endpoint).parse().unwrap(),
        vpc_tags: tags("demo/VPC"),
        ..Config::default()
    };
    let connected = connect_by(&config, sources(), &metadata(&nobody())).await;
    assert_eq!(connected.unwrap().vpc_id().as_str(), VPC);
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused() {
    for wrong in ["emulator:4566", "ftp://emulator", "http://"] {
        let config = Config {
            region: Some(REGION.to_owned()),
            endpoint_url: Some(wrong.to_owned()),
            ..Config::default()
        };
        let error = connect_by(&config, sources(), &metadata(&nobody())).await;
        let error = chain(&error.unwrap_err());
        assert_eq!(
            error,
            format!("`{wrong}` is no endpoint: give an http or https URL")
        );
    }
}
