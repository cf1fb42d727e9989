"""What all services share: signatures, protocols, errors, the call log, STS and tagging."""

import http.client
import urllib.parse

import pytest

SCOPE = "AKIA/20260301/us-east-1/{}/aws4_request"


def _post(world, body, headers):
    where = urllib.parse.urlsplit(world["endpoint"])
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    base = {"Content-Type": "application/x-www-form-urlencoded", "X-Amz-Date": "20260301T000000Z"}
    connection.request("POST", "/", body, {**base, **headers})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def _signed(service, credential=None):
    credential = credential or SCOPE.format(service)
    signature = f"Credential={credential}, SignedHeaders=host;x-amz-date, Signature=00"
    return {"Authorization": f"AWS4-HMAC-SHA256 {signature}"}


STS = "Action=GetCallerIdentity&Version=2011-06-15"
EC2 = "Action=DescribeVpcs&Version=2016-11-15"
FORM = [
    ({}, STS, 403, "<Code>MissingAuthenticationToken</Code>"),
    ({}, EC2, 403, "<Response><Errors><Error><Code>MissingAuthenticationToken</Code>"),
    ({"Authorization": "Basic x"}, STS, 400, "<Code>IncompleteSignature</Code>"),
    (_signed("sts", "AKIA/sts"), STS, 400, "<Code>IncompleteSignature</Code>"),
    (_signed("sqs"), STS, 501, "<Code>InvalidAction</Code>"),
    (_signed("sts", SCOPE.format("sts").replace("us-east-1", "mars-1")), STS, 403, "SignatureDoesNotMatch"),
    (_signed("sts"), "Version=2011-06-15", 400, "<Code>MissingAction</Code>"),
    (_signed("sts"), "Action=Nothing&Version=2011-06-15", 501, "<Code>InvalidAction</Code>"),
    (_signed("sts"), "Action=GetCallerIdentity&Version=2012-06-01", 400, "<Code>InvalidAction</Code>"),
    (_signed("sts"), STS + "&Extra=1", 400, "Extra is not a parameter"),
    (_signed("ec2"), EC2 + "&Extra=1", 400, "<Code>UnknownParameter</Code>"),
    (_signed("ec2"), EC2 + "&MaxResults=many", 400, "<Code>InvalidParameterValue</Code>"),
    (_signed("ec2"), EC2 + "&DryRun=perhaps", 400, "<Code>InvalidParameterValue</Code>"),
    (_signed("elasticloadbalancing"), "Action=DescribeTags&Version=2015-12-01", 400, "<Type>Sender</Type><Code>ValidationError</Code>"),
    (_signed("elasticloadbalancing"), "Action=DescribeLoadBalancers&Version=2015-12-01&PageSize=x", 400, "<Code>MalformedInput</Code>"),
    (_signed("elasticloadbalancing"), "Action=DescribeLoadBalancers&Version=2012-06-01", 400, "<Code>InvalidAction</Code>"),
]


@pytest.mark.parametrize(("headers", "body", "status", "part"), FORM)
def test_judges_the_form_of_requests(world, headers, body, status, part):
    response, text = _post(world, body, headers)
    assert (response.status, part in text) == (status, True), text
    assert response.headers["x-amzn-requestid"] in text


def test_get_with_a_query_string(world):
    where = urllib.parse.urlsplit(world["endpoint"])
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    headers = {**_signed("sts"), "X-Amz-Date": "20260301T000000Z"}
    connection.request("GET", f"/?{STS}", headers=headers)
    response = connection.getresponse()
    assert response.status == 200 and b"GetCallerIdentityResult" in response.read()
    connection.close()


JSON = [
    ("CertificateManager.ListCertificates", "{", 400, "SerializationException"),
    ("CertificateManager.ListCertificates", '{"MaxItems": "x"}', 400, "SerializationException"),
    ("CertificateManager.ListCertificates", '{"Extra": 1}', 400, "ValidationException"),
    ("CertificateManager.Nothing", "{}", 501, "UnknownOperationException"),
    ("ResourceGroupsTaggingAPI_20170126.GetResources", "{}", 501, "UnknownOperationException"),
]


@pytest.mark.parametrize(("target", "body", "status", "code"), JSON)
def test_judges_json(world, target, body, status, code):
    headers = {**_signed("acm"), "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    response, text = _post(world, body, headers)
    assert (response.status, response.headers["x-amzn-errortype"]) == (status, code), text


def test_knows_the_caller(aws, world):
    caller = aws.ok("sts", "GetCallerIdentity")
    assert caller["Account"] == world["accountId"]


def test_another_region_is_refused(aws):
    client = aws.client("ec2", region="eu-west-1")
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.describe_vpcs()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_tags_of_all_services(aws, world):
    rgt = "resourcegroupstaggingapi"
    account, region = world["accountId"], world["region"]
    subnets = [f"arn:aws:ec2:{region}:{account}:subnet/{s}" for s in world["publicSubnets"]]

    def arns(**parameters):
        response = aws.ok(rgt, "GetResources", **parameters)
        return {m["ResourceARN"] for m in response["ResourceTagMappingList"]}

    public = [{"Key": "kubernetes.io/role/elb", "Values": ["1"]}]
    assert arns(TagFilters=public) == set(subnets)
    assert arns(TagFilters=public, ResourceTypeFilters=["ec2:vpc"]) == set()
    assert arns(ResourceARNList=[subnets[0]]) == {subnets[0]}
    page = aws.ok(rgt, "GetResources", TagFilters=public, ResourcesPerPage=2)
    assert len(page["ResourceTagMappingList"]) == 2 and page["PaginationToken"]
    token = page["PaginationToken"]
    page = aws.ok(rgt, "GetResources", TagFilters=public, ResourcesPerPage=2, PaginationToken=token)
    assert len(page["ResourceTagMappingList"]) == 1 and page["PaginationToken"] == ""
    certificate = world["certificates"]["rsa"]
    missing = f"arn:aws:ec2:{region}:{account}:subnet/subnet-0123456789abcdef0"
    listed = [subnets[0], certificate, missing]
    failed = aws.ok(rgt, "TagResources", ResourceARNList=listed, Tags={"team": "a"})
    assert set(failed["FailedResourcesMap"]) == {missing}
    team = [{"Key": "team"}]
    assert arns(TagFilters=team) == {subnets[0], certificate}
    aws.ok(rgt, "UntagResources", ResourceARNList=listed[:2], TagKeys=["team"])
    assert arns(TagFilters=team) == set()
    code = "InvalidParameterException"
    aws.refused(rgt, "GetResources", code, ResourceARNList=subnets, TagFilters=public)
    aws.refused(rgt, "GetResources", code, ResourcesPerPage=101)
    aws.refused(rgt, "GetResources", code, PaginationToken="garbage")
    aws.refused(rgt, "TagResources", code, ResourceARNList=["x"], Tags={"a": "b"})
    aws.refused(rgt, "GetResources", code, IncludeComplianceDetails=True)


def test_logs_calls(aws):
    before = len(aws.calls())
    aws.ok("sts", "GetCallerIdentity")
    aws.refused("ec2", "DescribeVpcs", "InvalidVpcID.Malformed", VpcIds=["x"])
    one, two = aws.calls()[before:]
    assert (one["service"], one["operation"], one["error"]) == ("sts", "GetCallerIdentity", None)
    assert (two["operation"], two["error"]) == ("DescribeVpcs", "InvalidVpcID.Malformed")
