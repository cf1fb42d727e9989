"""S3, as far as it takes, and trust stores whose CA bundles come from it."""

import pytest

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@pytest.fixture(scope="module")
def bucket(aws, world):
    aws.ok("s3", "CreateBucket", Bucket="ca-bundles")
    body = world["authority"].encode()
    aws.ok("s3", "PutObject", Bucket="ca-bundles", Key="ours/ca.pem", Body=body)
    return "ca-bundles"


@pytest.fixture(scope="module")
def store(aws, bucket):
    made = aws.ok("elbv2", "CreateTrustStore", **_input("ours", bucket, "ours/ca.pem"))
    return made["TrustStores"][0]


def _input(name, bucket, key):
    return {
        "Name": name,
        "CaCertificatesBundleS3Bucket": bucket,
        "CaCertificatesBundleS3Key": key,
    }


def test_objects(aws, bucket):
    for body in [b"", b"some text", bytes(range(256)) * 400]:
        put = aws.ok("s3", "PutObject", Bucket=bucket, Key="a b/c", Body=body, ContentType="x/y")
        got = aws.ok("s3", "GetObject", Bucket=bucket, Key="a b/c")
        assert got["Body"].read() == body
        assert (got["ETag"], got["ContentType"]) == (put["ETag"], "x/y")
        head = aws.ok("s3", "HeadObject", Bucket=bucket, Key="a b/c")
        assert head["ContentLength"] == len(body) and head["LastModified"] == got["LastModified"]
    aws.ok("s3", "DeleteObject", Bucket=bucket, Key="a b/c")
    aws.refused("s3", "GetObject", "NoSuchKey", 404, Bucket=bucket, Key="a b/c")
    aws.refused("s3", "HeadObject", "404", 404, Bucket=bucket, Key="a b/c")
    aws.refused("s3", "GetObject", "NoSuchBucket", 404, Bucket="gone", Key="a")
    aws.refused("s3", "CreateBucket", "InvalidBucketName", Bucket="No")
    aws.refused("s3", "ListObjectsV2", "NotImplemented", 501, Bucket=bucket)


def test_trust_stores(aws, bucket, store):
    assert store["Status"] == "ACTIVE" and store["NumberOfCaCertificates"] == 1
    assert ":truststore/ours/" in store["TrustStoreArn"]
    found = aws.ok("elbv2", "DescribeTrustStores", Names=["ours"])["TrustStores"]
    assert found == [store]
    rows = [
        ("DuplicateTrustStoreName", _input("ours", bucket, "ours/ca.pem")),
        ("CaCertificatesBundleNotFound", _input("other", bucket, "gone")),
        ("ValidationError", _input("no_name", bucket, "ours/ca.pem")),
    ]
    for code, input in rows:
        aws.refused("elbv2", "CreateTrustStore", code, **input)
    aws.ok("s3", "PutObject", Bucket=bucket, Key="bad", Body=b"no certificate")
    aws.refused("elbv2", "CreateTrustStore", "InvalidCaCertificatesBundle", **_input("bad", bucket, "bad"))
    aws.refused("elbv2", "DescribeTrustStores", "TrustStoreNotFound", Names=["gone"])


def test_listeners_that_verify(aws, world, store):
    made = aws.ok("elbv2", "CreateLoadBalancer", Name="mutual", Subnets=world["publicSubnets"])
    lb = made["LoadBalancers"][0]["LoadBalancerArn"]
    verify = {"Mode": "verify", "TrustStoreArn": store["TrustStoreArn"]}
    listener = {
        "LoadBalancerArn": lb,
        "Protocol": "HTTPS",
        "Port": 443,
        "Certificates": [{"CertificateArn": world["certificates"]["ec"]}],
        "DefaultActions": [FIXED],
    }
    made = aws.ok("elbv2", "CreateListener", **listener, MutualAuthentication=verify)
    shown = made["Listeners"][0]["MutualAuthentication"]
    assert {key: shown[key] for key in verify} == verify
    delete = {"TrustStoreArn": store["TrustStoreArn"]}
    aws.refused("elbv2", "DeleteTrustStore", "TrustStoreInUse", **delete)
    users = aws.ok("elbv2", "DescribeTrustStoreAssociations", **delete)
    assert users["TrustStoreAssociations"] == [{"ResourceArn": lb}]
    listener_arn = made["Listeners"][0]["ListenerArn"]
    off = {"Mode": "off"}
    aws.ok("elbv2", "ModifyListener", ListenerArn=listener_arn, MutualAuthentication=off)
    aws.ok("elbv2", "DeleteTrustStore", **delete)
