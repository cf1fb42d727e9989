"""ELBv2: load balancers, listeners, rules and target groups, with good and bad parameters."""

import pytest

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
GONE = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
LB_GONE = f"{GONE}:loadbalancer/app/gone/0123456789abcdef"
TG_GONE = f"{GONE}:targetgroup/gone/0123456789abcdef"
LISTENER_GONE = f"{GONE}:listener/app/gone/0123456789abcdef/0123456789abcdef"
RULE_GONE = f"{GONE}:listener-rule/app/gone/0123456789abcdef/0123456789abcdef/0123456789abcdef"


@pytest.fixture(scope="module")
def alb(aws, world):
    tags = [{"Key": "team", "Value": "a"}]
    made = aws.ok("elbv2", "CreateLoadBalancer", Name="web", Subnets=world["publicSubnets"], Tags=tags)
    return made["LoadBalancers"][0]


@pytest.fixture(scope="module")
def nlb(aws, world):
    pairs = zip(world["publicSubnets"], world["allocations"])
    mappings = [{"SubnetId": subnet, "AllocationId": id} for subnet, id in pairs]
    made = aws.ok("elbv2", "CreateLoadBalancer", Name="flows", Type="network", SubnetMappings=mappings)
    return made["LoadBalancers"][0]


@pytest.fixture(scope="module")
def group(aws, world):
    made = aws.ok(
        "elbv2",
        "CreateTargetGroup",
        Name="pods",
        Protocol="HTTP",
        Port=8080,
        VpcId=world["vpcId"],
        TargetType="ip",
    )
    return made["TargetGroups"][0]


@pytest.fixture(scope="module")
def listener(aws, alb):
    made = aws.ok(
        "elbv2",
        "CreateListener",
        LoadBalancerArn=alb["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[FIXED],
    )
    return made["Listeners"][0]


def test_load_balancers(aws, world, alb, nlb):
    assert alb["Type"] == "application" and alb["Scheme"] == "internet-facing"
    assert alb["VpcId"] == world["vpcId"] and len(alb["AvailabilityZones"]) == 3
    found = aws.ok("elbv2", "DescribeLoadBalancers", Names=["web"])["LoadBalancers"]
    assert [b["State"]["Code"] for b in found] == ["active"]
    again = aws.ok("elbv2", "CreateLoadBalancer", Name="web", Subnets=world["publicSubnets"])
    assert again["LoadBalancers"][0]["LoadBalancerArn"] == alb["LoadBalancerArn"]
    aws.refused(
        "elbv2",
        "CreateLoadBalancer",
        "DuplicateLoadBalancerName",
        Name="web",
        Scheme="internal",
        Subnets=world["privateSubnets"],
    )
    page = aws.ok("elbv2", "DescribeLoadBalancers", PageSize=1)
    rest = aws.ok("elbv2", "DescribeLoadBalancers", PageSize=1, Marker=page["NextMarker"])
    arns = [b["LoadBalancerArn"] for b in page["LoadBalancers"] + rest["LoadBalancers"]]
    assert set(arns) == {alb["LoadBalancerArn"], nlb["LoadBalancerArn"]}
    addresses = aws.ok("ec2", "DescribeAddresses")["Addresses"]
    assert all(a["NetworkInterfaceId"].startswith("eni-") for a in addresses)


def test_attributes(aws, alb, listener, group):
    arn = {"LoadBalancerArn": alb["LoadBalancerArn"]}
    change = [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}]
    changed = aws.ok("elbv2", "ModifyLoadBalancerAttributes", Attributes=change, **arn)
    assert change[0] in changed["Attributes"]
    assert change[0] in aws.ok("elbv2", "DescribeLoadBalancerAttributes", **arn)["Attributes"]
    many = change * 21
    aws.refused("elbv2", "ModifyLoadBalancerAttributes", "ValidationError", Attributes=many, **arn)
    arn = {"TargetGroupArn": group["TargetGroupArn"]}
    change = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    aws.ok("elbv2", "ModifyTargetGroupAttributes", Attributes=change, **arn)
    assert change[0] in aws.ok("elbv2", "DescribeTargetGroupAttributes", **arn)["Attributes"]
    bad = [{"Key": "deregistration_delay.timeout_seconds", "Value": "3601"}]
    aws.refused("elbv2", "ModifyTargetGroupAttributes", "ValidationError", Attributes=bad, **arn)
    arn = {"ListenerArn": listener["ListenerArn"]}
    change = [{"Key": "routing.http.response.server.enabled", "Value": "false"}]
    aws.ok("elbv2", "ModifyListenerAttributes", Attributes=change, **arn)
    assert change[0] in aws.ok("elbv2", "DescribeListenerAttributes", **arn)["Attributes"]


def test_targets(aws, alb, listener, group):
    arn = {"TargetGroupArn": group["TargetGroupArn"]}
    targets = [{"Id": "10.0.100.20"}, {"Id": "10.0.101.20", "Port": 9090}]
    aws.ok("elbv2", "RegisterTargets", Targets=targets, **arn)

    def health():
        found = aws.ok("elbv2", "DescribeTargetHealth", **arn)["TargetHealthDescriptions"]
        return {(t["Target"]["Id"], t["Target"]["Port"]): t["TargetHealth"]["State"] for t in found}

    assert health() == {("10.0.100.20", 8080): "unused", ("10.0.101.20", 9090): "unused"}
    forward = {"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}
    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*"]}}
    made = aws.ok(
        "elbv2",
        "CreateRule",
        ListenerArn=listener["ListenerArn"],
        Priority=10,
        Conditions=[path],
        Actions=[forward],
    )
    rule = made["Rules"][0]
    assert rule["Priority"] == "10" and not rule["IsDefault"]
    assert set(health().values()) <= {"initial", "healthy"}
    aws.refused("elbv2", "DeleteTargetGroup", "ResourceInUse", **arn)
    same = {"ListenerArn": listener["ListenerArn"], "Priority": 10}
    aws.refused("elbv2", "CreateRule", "PriorityInUse", Conditions=[path], Actions=[FIXED], **same)
    pairs = [{"RuleArn": rule["RuleArn"], "Priority": 20}]
    aws.ok("elbv2", "SetRulePriorities", RulePriorities=pairs)
    rules = aws.ok("elbv2", "DescribeRules", ListenerArn=listener["ListenerArn"])["Rules"]
    assert [r["Priority"] for r in rules] == ["20", "default"]
    aws.ok("elbv2", "ModifyRule", RuleArn=rule["RuleArn"], Actions=[FIXED])
    aws.ok("elbv2", "DeregisterTargets", Targets=targets[:1], **arn)
    aws.ok("elbv2", "DeleteRule", RuleArn=rule["RuleArn"])
    aws.refused("elbv2", "DeleteRule", "OperationNotPermitted", RuleArn=rules[1]["RuleArn"])


def test_certificates(aws, world, alb):
    arn = world["certificates"]["rsa"]
    secure = {
        "LoadBalancerArn": alb["LoadBalancerArn"],
        "Protocol": "HTTPS",
        "Port": 443,
        "DefaultActions": [FIXED],
    }
    code = "InvalidConfigurationRequest"
    aws.refused("elbv2", "CreateListener", code, Certificates=[], **secure)
    missing = [{"CertificateArn": arn[:-4] + "0000"}]
    aws.refused("elbv2", "CreateListener", "CertificateNotFound", Certificates=missing, **secure)
    made = aws.ok("elbv2", "CreateListener", Certificates=[{"CertificateArn": arn}], **secure)
    listener = {"ListenerArn": made["Listeners"][0]["ListenerArn"]}
    assert made["Listeners"][0]["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    more = [{"CertificateArn": world["certificates"]["ec"]}]
    aws.ok("elbv2", "AddListenerCertificates", Certificates=more, **listener)
    listed = aws.ok("elbv2", "DescribeListenerCertificates", **listener)["Certificates"]
    assert {(c["CertificateArn"], c["IsDefault"]) for c in listed} == {
        (arn, True),
        (world["certificates"]["ec"], False),
    }
    aws.refused("acm", "DeleteCertificate", "ResourceInUseException", CertificateArn=arn)
    detail = aws.ok("acm", "DescribeCertificate", CertificateArn=arn)["Certificate"]
    assert detail["InUseBy"] == [alb["LoadBalancerArn"]]
    aws.ok("elbv2", "RemoveListenerCertificates", Certificates=more, **listener)
    aws.ok("elbv2", "ModifyListener", Port=8443, **listener)
    aws.ok("elbv2", "DeleteListener", **listener)
    aws.refused("elbv2", "DescribeListeners", "ListenerNotFound", ListenerArns=[listener["ListenerArn"]])


def test_tags(aws, alb):
    arn = alb["LoadBalancerArn"]

    def tags():
        found = aws.ok("elbv2", "DescribeTags", ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        return {tag["Key"]: tag["Value"] for tag in found}

    assert tags() == {"team": "a"}
    aws.ok("elbv2", "AddTags", ResourceArns=[arn], Tags=[{"Key": "x", "Value": "1"}])
    found = aws.ok(
        "resourcegroupstaggingapi",
        "GetResources",
        TagFilters=[{"Key": "x"}],
        ResourceTypeFilters=["elasticloadbalancing:loadbalancer"],
    )
    assert [m["ResourceARN"] for m in found["ResourceTagMappingList"]] == [arn]
    aws.ok("elbv2", "RemoveTags", ResourceArns=[arn], TagKeys=["x"])
    assert tags() == {"team": "a"}
    twice = [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]
    aws.refused("elbv2", "AddTags", "DuplicateTagKeys", ResourceArns=[arn], Tags=twice)


def test_security_groups_in_use(aws, world):
    vpc = {"VpcId": world["vpcId"], "Description": "d"}
    group = aws.ok("ec2", "CreateSecurityGroup", GroupName="front", **vpc)["GroupId"]
    made = aws.ok(
        "elbv2",
        "CreateLoadBalancer",
        Name="short-lived",
        Scheme="internal",
        Subnets=world["privateSubnets"],
        SecurityGroups=[group],
    )
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    filters = [{"Name": "group-id", "Values": [group]}]
    interfaces = aws.ok("ec2", "DescribeNetworkInterfaces", Filters=filters)["NetworkInterfaces"]
    assert {i["SubnetId"] for i in interfaces} == set(world["privateSubnets"])
    assert all(i["Description"].startswith("ELB app/short-lived/") for i in interfaces)
    aws.refused("ec2", "DeleteSecurityGroup", "DependencyViolation", GroupId=group)
    aws.ok("elbv2", "SetSubnets", LoadBalancerArn=arn, Subnets=world["privateSubnets"][:2])
    aws.ok("elbv2", "DeleteLoadBalancer", LoadBalancerArn=arn)
    aws.ok("ec2", "DeleteSecurityGroup", GroupId=group)


def test_limits_and_policies(aws):
    limits = aws.ok("elbv2", "DescribeAccountLimits")["Limits"]
    assert {"Name": "application-load-balancers", "Max": "50"} in limits
    names = ["ELBSecurityPolicy-TLS13-1-2-2021-06"]
    policies = aws.ok("elbv2", "DescribeSSLPolicies", Names=names)["SslPolicies"]
    assert [p["Name"] for p in policies] == names
    aws.refused("elbv2", "DescribeSSLPolicies", "SSLPolicyNotFound", Names=["nothing"])


REFUSED = [
    ("CreateLoadBalancer", {}, "ValidationError"),
    ("CreateLoadBalancer", {"Name": "x" * 33, "Subnets": ["subnet-1"]}, "ValidationError"),
    ("CreateLoadBalancer", {"Name": "internal-x", "Subnets": ["subnet-1"]}, "ValidationError"),
    ("CreateLoadBalancer", {"Name": "x", "Type": "classic"}, "ValidationError"),
    ("DescribeLoadBalancers", {"Names": ["gone"]}, "LoadBalancerNotFound"),
    ("DescribeLoadBalancers", {"LoadBalancerArns": [LB_GONE]}, "LoadBalancerNotFound"),
    ("DescribeLoadBalancers", {"PageSize": 401}, "ValidationError"),
    ("DescribeListeners", {}, "ValidationError"),
    ("DescribeListeners", {"LoadBalancerArn": LB_GONE}, "LoadBalancerNotFound"),
    ("DescribeListeners", {"ListenerArns": [LISTENER_GONE]}, "ListenerNotFound"),
    ("DeleteListener", {"ListenerArn": LISTENER_GONE}, "ListenerNotFound"),
    ("DescribeRules", {}, "ValidationError"),
    ("DescribeRules", {"RuleArns": [RULE_GONE]}, "RuleNotFound"),
    ("DeleteRule", {"RuleArn": RULE_GONE}, "RuleNotFound"),
    ("CreateTargetGroup", {"Name": "x"}, "ValidationError"),
    ("CreateTargetGroup", {"Name": "x--y", "Protocol": "HTTP", "Port": 80}, "ValidationError"),
    ("CreateTargetGroup", {"Name": "x", "Protocol": "SMTP", "Port": 80}, "ValidationError"),
    ("DescribeTargetGroups", {"TargetGroupArns": [TG_GONE]}, "TargetGroupNotFound"),
    ("DescribeTargetHealth", {"TargetGroupArn": TG_GONE}, "TargetGroupNotFound"),
    ("RegisterTargets", {"TargetGroupArn": TG_GONE, "Targets": [{"Id": "10.0.0.9"}]}, "TargetGroupNotFound"),
    ("RegisterTargets", {"TargetGroupArn": TG_GONE, "Targets": [{"Port": 1}]}, "ValidationError"),
    ("ModifyTargetGroup", {"TargetGroupArn": TG_GONE}, "TargetGroupNotFound"),
    ("SetSecurityGroups", {"LoadBalancerArn": LB_GONE, "SecurityGroups": ["sg-1"]}, "LoadBalancerNotFound"),
    ("SetSubnets", {"LoadBalancerArn": LB_GONE, "Subnets": ["subnet-1"]}, "LoadBalancerNotFound"),
    ("SetIpAddressType", {"LoadBalancerArn": LB_GONE, "IpAddressType": "ipv4"}, "LoadBalancerNotFound"),
    ("SetIpAddressType", {"LoadBalancerArn": LB_GONE, "IpAddressType": "ipv5"}, "ValidationError"),
    ("DescribeTags", {"ResourceArns": [LB_GONE]}, "LoadBalancerNotFound"),
    ("AddTags", {"ResourceArns": [TG_GONE], "Tags": [{"Key": "a"}]}, "TargetGroupNotFound"),
    ("DescribeCapacityReservation", {"LoadBalancerArn": LB_GONE}, "LoadBalancerNotFound"),
]


@pytest.mark.parametrize(("operation", "parameters", "code"), REFUSED)
def test_refusals(aws, operation, parameters, code):
    aws.refused("elbv2", operation, code, **parameters)


def test_deleting_twice_succeeds(aws, alb, nlb):
    for _ in range(2):
        aws.ok("elbv2", "DeleteLoadBalancer", LoadBalancerArn=nlb["LoadBalancerArn"])
    aws.ok("elbv2", "DeleteTargetGroup", TargetGroupArn=TG_GONE)


def test_what_is_not_modelled_is_named(aws, world):
    message = aws.refused(
        "elbv2",
        "CreateLoadBalancer",
        "ValidationError",
        Name="pools",
        Subnets=world["publicSubnets"],
        IpamPools={"Ipv4IpamPoolId": "ipam-pool-0123456789abcdef0"},
    )
    assert "IpamPools is not modelled" in message
    aws.refused("elbv2", "AddTrustStoreRevocations", "InvalidAction", 501, TrustStoreArn="x")
