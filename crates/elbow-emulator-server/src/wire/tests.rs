//! Codecs by table, and each protocol's shape of answers and errors, without a socket.

use elbow_emulator::operation::find;
use elbow_emulator::shape::Shape;
use elbow_emulator::{ApiError, Service};
use http::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{Protocol, errors, json, query, request, xml};

#[track_caller]
fn read(service: Service, operation: &str, form: &str) -> Result<Value, ApiError> {
    let operation = find(service, operation).unwrap();
    query::read(Protocol::of(service), operation.input, &query::form(form))
}

#[test]
fn reads_query_parameters() {
    let rows = [
        (
            Service::ElbV2,
            "CreateLoadBalancer",
            "Name=web&Subnets.member.2=b&Subnets.member.10=c&Subnets.member.1=a",
            json!({"Name": "web", "Subnets": ["a", "b", "c"]}),
        ),
        (
            Service::ElbV2,
            "SetSecurityGroups",
            "LoadBalancerArn=x&SecurityGroups=",
            json!({"LoadBalancerArn": "x", "SecurityGroups": []}),
        ),
        (
            Service::ElbV2,
            "CreateListener",
            "Port=80&DefaultActions.member.1.Type=forward&DefaultActions.member.1.Order=1\
             &DefaultActions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.key=a\
             &DefaultActions.member.1.AuthenticateOidcConfig.AuthenticationRequestExtraParams.entry.1.value=b",
            json!({"Port": 80, "DefaultActions": [{"Type": "forward", "Order": 1,
                "AuthenticateOidcConfig": {"AuthenticationRequestExtraParams": {"a": "b"}}}]}),
        ),
        (
            Service::Ec2,
            "DescribeSubnets",
            "Filter.1.Name=tag%3Aa+b&Filter.1.Value.1=x%26y&SubnetId.1=subnet-1&DryRun=false",
            json!({"Filters": [{"Name": "tag:a b", "Values": ["x&y"]}], "SubnetIds": ["subnet-1"],
                "DryRun": false}),
        ),
        (
            Service::Ec2,
            "CreateSecurityGroup",
            "GroupDescription=d&TagSpecification.1.ResourceType=security-group\
             &TagSpecification.1.Tag.1.Key=k",
            json!({"Description": "d", "TagSpecifications":
                [{"ResourceType": "security-group", "Tags": [{"Key": "k"}]}]}),
        ),
        (
            Service::Ec2,
            "AuthorizeSecurityGroupIngress",
            "IpPermissions.1.Groups.1.GroupId=sg-1&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=%3A%3A%2F0",
            json!({"IpPermissions": [{"UserIdGroupPairs": [{"GroupId": "sg-1"}],
                "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]}),
        ),
    ];
    for (service, operation, form, expected) in rows {
        assert_eq!(read(service, operation, form), Ok(expected), "{form}");
    }
}

#[test]
fn refuses_parameters_it_cannot_read() {
    let rows = [
        (
            Service::Ec2,
            "DescribeVpcs",
            "Vpc=1",
            "UnknownParameter",
            "Vpc",
        ),
        (
            Service::Ec2,
            "DescribeVpcs",
            "Filter.1.Nam=1",
            "UnknownParameter",
            "Filter.1.Nam",
        ),
        (
            Service::Ec2,
            "DescribeVpcs",
            "Filter.x.Name=1",
            "UnknownParameter",
            "Filter.x",
        ),
        (
            Service::Ec2,
            "DescribeVpcs",
            "DryRun=1",
            "InvalidParameterValue",
            "DryRun",
        ),
        (
            Service::Ec2,
            "DescribeVpcs",
            "DryRun.x=true",
            "UnknownParameter",
            "DryRun.x",
        ),
        (
            Service::ElbV2,
            "DescribeRules",
            "PageSize=1.5",
            "MalformedInput",
            "PageSize",
        ),
        (
            Service::ElbV2,
            "DescribeRules",
            "RuleArns.1=x",
            "ValidationError",
            "RuleArns.1",
        ),
        (
            Service::ElbV2,
            "DescribeRules",
            "RuleArns=x",
            "MalformedInput",
            "RuleArns",
        ),
    ];
    for (service, operation, form, code, part) in rows {
        let error = read(service, operation, form).unwrap_err();
        assert_eq!(error.code, code, "{form}");
        assert!(error.message.contains(part), "{form}: {}", error.message);
    }
}

#[test]
fn prints_responses() {
    let describe = find(Service::ElbV2, "DescribeLoadBalancers").unwrap();
    let value = json!({"LoadBalancers": [{"LoadBalancerName": "a<b", "CreatedTime": 0,
        "SecurityGroups": [], "DNSName": null}], "NextMarker": null});
    assert_eq!(
        xml::query_response(describe, &value, "id"),
        "<DescribeLoadBalancersResponse \
         xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <DescribeLoadBalancersResult><LoadBalancers><member>\
         <CreatedTime>1970-01-01T00:00:00.000Z</CreatedTime>\
         <LoadBalancerName>a&lt;b</LoadBalancerName><SecurityGroups></SecurityGroups>\
         </member></LoadBalancers></DescribeLoadBalancersResult>\
         <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>\
         </DescribeLoadBalancersResponse>"
    );
    let vpcs = find(Service::Ec2, "DescribeVpcs").unwrap();
    let text = xml::ec2_response(vpcs, &json!({"Vpcs": [{"VpcId": "vpc-1"}]}), "id");
    assert!(
        text.contains(
            "<requestId>id</requestId><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>"
        )
    );
    let tags = find(Service::Ec2, "CreateTags").unwrap();
    assert!(xml::ec2_response(tags, &json!({}), "id").contains("<return>true</return>"));
    let certificate = find(Service::Acm, "DescribeCertificate").unwrap();
    let value = json!({"Certificate": {"CreatedAt": 1500, "Serial": null}});
    let printed = json::print(certificate.output, &value);
    assert_eq!(printed, json!({"Certificate": {"CreatedAt": 1.5}}));
}

#[test]
fn blobs_are_base64_on_the_wire() {
    let import = find(Service::Acm, "ImportCertificate").unwrap();
    let body = br#"{"Certificate": "AQI=", "PrivateKey": "/w=="}"#;
    let value = json::read(Service::Acm, import.input, body).unwrap();
    assert_eq!(value, json!({"Certificate": "0102", "PrivateKey": "ff"}));
    let wrong = json::read(Service::Acm, import.input, br#"{"Certificate": "?"}"#).unwrap_err();
    assert_eq!(wrong.code, "SerializationException");
}

#[test]
fn errors_in_each_protocol() {
    let error = ApiError::sender("Some.Code", "a & b");
    let rows = [
        (
            Protocol::Query,
            "<Error><Type>Sender</Type><Code>Some.Code</Code><Message>a &amp; b</Message></Error><RequestId>id</RequestId></ErrorResponse>",
        ),
        (
            Protocol::Ec2,
            "<Response><Errors><Error><Code>Some.Code</Code><Message>a &amp; b</Message></Error></Errors><RequestID>id</RequestID></Response>",
        ),
        (Protocol::Json, r#""__type":"Some.Code""#),
    ];
    for (protocol, part) in rows {
        let body = errors::body(protocol, &error, "id");
        assert!(body.contains(part), "{body}");
    }
}

#[test]
fn finds_the_operation() {
    let signed = |service: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AK/20260301/us-east-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=00"
        )
    };
    let call = |service: &str, target: Option<&str>, body: &'static str| {
        let mut builder = Request::post("/")
            .header("authorization", signed(service))
            .header("x-amz-date", "20260301T000000Z");
        if let Some(target) = target {
            builder = builder.header("x-amz-target", target);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        match request::call(&head, Bytes::from_static(body.as_bytes()), "us-east-1") {
            Ok(call) => call.operation.name.to_owned(),
            Err(error) => format!("{:?} {}", error.protocol, error.error.code),
        }
    };
    let rows = [
        (
            "sts",
            None,
            "Action=GetCallerIdentity&Version=2011-06-15",
            "GetCallerIdentity",
        ),
        (
            "ec2",
            None,
            "Action=DescribeVpcs&Version=2016-11-15",
            "DescribeVpcs",
        ),
        (
            "ec2",
            None,
            "Action=RunInstances&Version=2016-11-15",
            "Ec2 InvalidAction",
        ),
        (
            "acm",
            Some("CertificateManager.ListCertificates"),
            "{}",
            "ListCertificates",
        ),
        (
            "acm",
            Some("Other.ListCertificates"),
            "{}",
            "Json UnknownOperationException",
        ),
        (
            "acm",
            None,
            "Action=ListCertificates",
            "Json UnknownOperationException",
        ),
        (
            "wafv2",
            Some("AWSWAF_20190729.GetWebACL"),
            "{}",
            "Json UnknownOperationException",
        ),
    ];
    for (service, target, body, expected) in rows {
        assert_eq!(call(service, target, body), expected, "{service} {body}");
    }
}

#[test]
fn no_query_request_carries_what_query_cannot() {
    fn visit(shape: &'static Shape, depth: usize) {
        // Shapes may contain themselves; nothing new lies deeper.
        if depth > 8 {
            return;
        }
        match shape {
            Shape::Structure(members) => {
                members
                    .iter()
                    .for_each(|member| visit(member.shape, depth + 1));
            }
            Shape::List { item, .. } => visit(item, depth + 1),
            Shape::Map { value } => visit(value, depth + 1),
            Shape::Timestamp | Shape::Blob { .. } => panic!("a time or bytes in a Query request"),
            _ => {}
        }
    }
    let services = Service::ALL
        .into_iter()
        .filter(|s| Protocol::of(*s) != Protocol::Json);
    for operation in services.flat_map(Service::operations) {
        visit(operation.input, 0);
    }
}
