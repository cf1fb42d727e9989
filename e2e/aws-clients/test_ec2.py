"""EC2: networks, instances, interfaces, security groups and tags, with good and bad parameters."""

import pytest

TCP_80 = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
UNKNOWN = {
    "vpc": "vpc-0123456789abcdef0",
    "subnet": "subnet-0123456789abcdef0",
    "sg": "sg-0123456789abcdef0",
}


@pytest.fixture(scope="module")
def group(aws, world):
    created = aws.ok(
        "ec2",
        "CreateSecurityGroup",
        GroupName="shared",
        Description="for the tests of rules",
        VpcId=world["vpcId"],
        TagSpecifications=[
            {"ResourceType": "security-group", "Tags": [{"Key": "team", "Value": "a"}]}
        ],
    )
    return created["GroupId"]


def test_describes_the_world(aws, world):
    vpc = aws.ok("ec2", "DescribeVpcs", VpcIds=[world["vpcId"]])["Vpcs"][0]
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    by_tag = [{"Name": "tag:kubernetes.io/role/elb", "Values": ["1", ""]}]
    subnets = aws.ok("ec2", "DescribeSubnets", Filters=by_tag)["Subnets"]
    assert {s["SubnetId"] for s in subnets} == set(world["publicSubnets"])
    assert {s["AvailabilityZone"] for s in subnets} == {f"us-east-1{z}" for z in "abc"}
    assert all(s["AvailableIpAddressCount"] == 251 for s in subnets)
    zones = aws.ok("ec2", "DescribeAvailabilityZones")["AvailabilityZones"]
    assert [z["ZoneId"] for z in zones] == ["use1-az1", "use1-az2", "use1-az3"]
    tables = aws.ok("ec2", "DescribeRouteTables")["RouteTables"]
    public = [t for t in tables if len(t["Associations"]) == 3]
    assert any(r.get("GatewayId", "").startswith("igw-") for r in public[0]["Routes"])
    addresses = aws.ok("ec2", "DescribeAddresses", AllocationIds=world["allocations"])["Addresses"]
    assert len(addresses) == 3


def test_describes_instances_and_their_interfaces(aws, world):
    ids = world["instances"]
    reservations = aws.ok("ec2", "DescribeInstances", InstanceIds=ids)["Reservations"]
    instances = [i for r in reservations for i in r["Instances"]]
    assert {i["InstanceId"] for i in instances} == set(ids)
    assert {i["State"]["Name"] for i in instances} == {"running"}
    filters = [{"Name": "attachment.instance-id", "Values": [ids[0]]}]
    interfaces = aws.ok("ec2", "DescribeNetworkInterfaces", Filters=filters)["NetworkInterfaces"]
    assert [i["Attachment"]["InstanceId"] for i in interfaces] == [ids[0]]
    by_ip = [{"Name": "private-ip-address", "Values": [instances[0]["PrivateIpAddress"]]}]
    assert aws.ok("ec2", "DescribeInstances", Filters=by_ip)["Reservations"]


def test_filters(aws, world):
    vpc = {"Name": "vpc-id", "Values": [world["vpcId"]]}
    rows = [
        ([vpc], 6),
        ([vpc, {"Name": "availability-zone", "Values": ["us-east-1a"]}], 2),
        ([vpc, {"Name": "availability-zone", "Values": ["us-east-1a", "us-east-1b"]}], 4),
        ([{"Name": "tag:Name", "Values": ["public-*"]}], 3),
        ([{"Name": "tag:Name", "Values": ["public-?"]}], 3),
        ([{"Name": "tag-key", "Values": ["kubernetes.io/role/internal-elb"]}], 3),
        ([{"Name": "tag:Name", "Values": ["nothing"]}], 0),
        ([{"Name": "vpc-id", "Values": [UNKNOWN["vpc"]]}], 0),
    ]
    for filters, count in rows:
        assert len(aws.ok("ec2", "DescribeSubnets", Filters=filters)["Subnets"]) == count, filters
    aws.refused(
        "ec2",
        "DescribeSubnets",
        "InvalidParameterValue",
        Filters=[{"Name": "no-such-filter", "Values": ["x"]}],
    )


def test_pages(aws, world):
    seen, token = [], None
    for size in (5, 1):
        parameters = {"NextToken": token} if token else {}
        page = aws.ok("ec2", "DescribeSubnets", MaxResults=5, **parameters)
        assert len(page["Subnets"]) == size
        seen += [s["SubnetId"] for s in page["Subnets"]]
        token = page.get("NextToken")
    assert token is None
    assert set(seen) == set(world["publicSubnets"] + world["privateSubnets"])


MANY = [{"Name": "vpc-id", "Values": [str(n) for n in range(201)]}]
REFUSED = [
    ("DescribeVpcs", {"VpcIds": [UNKNOWN["vpc"]]}, "InvalidVpcID.NotFound"),
    ("DescribeVpcs", {"VpcIds": ["nonsense"]}, "InvalidVpcID.Malformed"),
    ("DescribeSubnets", {"SubnetIds": [UNKNOWN["subnet"]]}, "InvalidSubnetID.NotFound"),
    ("DescribeSubnets", {"SubnetIds": ["subnet-x"]}, "InvalidSubnetID.Malformed"),
    ("DescribeSubnets", {"MaxResults": 4}, "InvalidParameterValue"),
    ("DescribeSubnets", {"MaxResults": 1001}, "InvalidParameterValue"),
    ("DescribeSubnets", {"NextToken": "garbage"}, "InvalidNextToken"),
    ("DescribeSubnets", {"Filters": MANY}, "FilterLimitExceeded"),
    ("DescribeInstances", {"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceID.NotFound"),
    ("DescribeInstances", {"InstanceIds": ["i-x"]}, "InvalidInstanceID.Malformed"),
    (
        "DescribeNetworkInterfaces",
        {"NetworkInterfaceIds": ["eni-0123456789abcdef0"]},
        "InvalidNetworkInterfaceID.NotFound",
    ),
    (
        "DescribeNetworkInterfaces",
        {"NetworkInterfaceIds": ["eni-x"]},
        "InvalidNetworkInterfaceId.Malformed",
    ),
    ("DescribeSecurityGroups", {"GroupIds": [UNKNOWN["sg"]]}, "InvalidGroup.NotFound"),
    ("DescribeSecurityGroups", {"GroupIds": ["sg-x"]}, "InvalidGroupId.Malformed"),
    ("DescribeSecurityGroups", {"GroupNames": ["default"]}, "InvalidGroup.NotFound"),
    (
        "DescribeSecurityGroupRules",
        {"SecurityGroupRuleIds": ["sgr-0123456789abcdef0"]},
        "InvalidSecurityGroupRuleId.NotFound",
    ),
    (
        "DescribeSecurityGroupRules",
        {"SecurityGroupRuleIds": ["sgr-x"]},
        "InvalidSecurityGroupRuleId.Malformed",
    ),
    (
        "DescribeRouteTables",
        {"RouteTableIds": ["rtb-0123456789abcdef0"]},
        "InvalidRouteTableID.NotFound",
    ),
    ("DescribeRouteTables", {"RouteTableIds": ["rtb-x"]}, "InvalidRouteTableId.Malformed"),
    ("DescribeRouteTables", {"MaxResults": 101}, "InvalidParameterValue"),
    (
        "DescribeAddresses",
        {"AllocationIds": ["eipalloc-0123456789abcdef0"]},
        "InvalidAllocationID.NotFound",
    ),
    ("DescribeAddresses", {"PublicIps": ["198.51.100.1"]}, "InvalidAddress.NotFound"),
    ("DescribeAvailabilityZones", {"ZoneNames": ["mars-1a"]}, "InvalidParameterValue"),
    ("DeleteSecurityGroup", {"GroupId": UNKNOWN["sg"]}, "InvalidGroup.NotFound"),
    ("DeleteSecurityGroup", {}, "MissingParameter"),
    ("CreateSecurityGroup", {"GroupName": "x"}, "MissingParameter"),
    ("CreateSecurityGroup", {"GroupName": "x", "Description": "d"}, "VPCIdNotSpecified"),
    (
        "CreateSecurityGroup",
        {"GroupName": "x", "Description": "d", "VpcId": UNKNOWN["vpc"]},
        "InvalidVpcID.NotFound",
    ),
    ("CreateTags", {"Resources": ["what-1"], "Tags": [{"Key": "a"}]}, "InvalidID"),
    ("CreateTags", {"Resources": [UNKNOWN["sg"]], "Tags": [{"Key": "a"}]}, "InvalidGroup.NotFound"),
]


@pytest.mark.parametrize(("operation", "parameters", "code"), REFUSED)
def test_refusals(aws, operation, parameters, code):
    aws.refused("ec2", operation, code, **parameters)


def test_ids_and_pages_exclude_each_other(aws, world):
    ids = world["instances"]
    code = "InvalidParameterCombination"
    aws.refused("ec2", "DescribeInstances", code, InstanceIds=ids, MaxResults=5)


def test_group_names(aws, world, group):
    vpc = {"VpcId": world["vpcId"], "Description": "d"}
    rows = [
        ("shared", "InvalidGroup.Duplicate"),
        ("SHARED", "InvalidGroup.Duplicate"),
        ("default", "InvalidGroup.Reserved"),
        ("sg-mine", "InvalidParameterValue"),
        ("x" * 256, "InvalidParameterValue"),
        ("höhle", "InvalidParameterValue"),
    ]
    for name, code in rows:
        aws.refused("ec2", "CreateSecurityGroup", code, GroupName=name, **vpc)
    aws.refused(
        "ec2",
        "CreateSecurityGroup",
        "InvalidParameterValue",
        GroupName="tagged",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
        **vpc,
    )
    found = aws.ok("ec2", "DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"][0]
    assert found["Tags"] == [{"Key": "team", "Value": "a"}]
    everything = found["IpPermissionsEgress"]
    assert [p["IpProtocol"] for p in everything] == ["-1"]
    assert everything[0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]


def test_rules_of_a_group(aws, group):
    added = aws.ok(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "6",
                "FromPort": 443,
                "ToPort": 443,
                # Bits below the prefix are dropped.
                "IpRanges": [{"CidrIp": "100.68.0.18/18", "Description": "office"}],
                "Ipv6Ranges": [{"CidrIpv6": "2001:DB8::/32"}],
                "UserIdGroupPairs": [{"GroupId": group}],
            }
        ],
    )
    rules = added["SecurityGroupRules"]
    assert len(rules) == 3 and added["Return"]
    assert {r.get("CidrIpv4") for r in rules} == {"100.68.0.0/18", None}
    found = aws.ok("ec2", "DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"][0]
    assert len(found["IpPermissions"]) == 1
    assert found["IpPermissions"][0]["IpProtocol"] == "tcp"
    assert found["IpPermissions"][0]["Ipv6Ranges"] == [{"CidrIpv6": "2001:db8::/32"}]
    message = aws.refused(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        "InvalidPermission.Duplicate",
        GroupId=group,
        IpPermissions=[
            TCP_80,
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "IpRanges": [{"CidrIp": "100.68.0.0/18"}],
            },
        ],
    )
    assert "peer: 100.68.0.0/18, TCP, from port: 443, to port: 443, ALLOW" in message
    # A refused call changes nothing: port 80 is not there.
    listed = aws.ok(
        "ec2",
        "DescribeSecurityGroupRules",
        Filters=[{"Name": "group-id", "Values": [group]}],
    )["SecurityGroupRules"]
    assert {r["FromPort"] for r in listed if not r["IsEgress"]} == {443}
    gone = aws.ok(
        "ec2",
        "RevokeSecurityGroupIngress",
        GroupId=group,
        SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in rules],
    )
    assert len(gone["RevokedSecurityGroupRules"]) == 3
    aws.refused(
        "ec2",
        "RevokeSecurityGroupIngress",
        "InvalidPermission.NotFound",
        GroupId=group,
        IpPermissions=[TCP_80],
    )


BAD_PERMISSIONS = [
    ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "InvalidParameterValue"),
    ({**TCP_80, "FromPort": 81}, "InvalidPermission.Malformed"),
    ({**TCP_80, "ToPort": 65536}, "InvalidParameterValue"),
    ({**TCP_80, "IpProtocol": "smtp"}, "InvalidParameterValue"),
    ({**TCP_80, "IpRanges": []}, "InvalidParameterValue"),
    ({**TCP_80, "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}, "InvalidParameterValue"),
    ({**TCP_80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}, {"CidrIp": "10.1.0.0/8"}]}, "InvalidParameterValue"),
    ({**TCP_80, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "ü"}]}, "InvalidParameterValue"),
    ({**TCP_80, "IpRanges": [], "UserIdGroupPairs": [{"GroupId": UNKNOWN["sg"]}]}, "InvalidGroup.NotFound"),
    ({**TCP_80, "PrefixListIds": [{"PrefixListId": "pl-0123456789abcdef0"}]}, "InvalidPrefixListID.NotFound"),
    ({"FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, "MissingParameter"),
]


@pytest.mark.parametrize(("permission", "code"), BAD_PERMISSIONS)
def test_bad_permissions(aws, group, permission, code):
    for operation in ("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"):
        aws.refused("ec2", operation, code, GroupId=group, IpPermissions=[permission])


def test_rule_quota_counts_families_apart(aws, world):
    made = aws.ok(
        "ec2",
        "CreateSecurityGroup",
        GroupName="full",
        Description="d",
        VpcId=world["vpcId"],
    )
    group = made["GroupId"]
    ipv4 = [{"CidrIp": f"10.0.{n}.0/24"} for n in range(61)]
    ipv6 = [{"CidrIpv6": f"2001:db8:{n:x}::/48"} for n in range(60)]
    tcp = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    full = {**tcp, "IpRanges": ipv4[:60], "Ipv6Ranges": ipv6}
    aws.ok("ec2", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[full])
    aws.refused(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        "RulesPerSecurityGroupLimitExceeded",
        GroupId=group,
        IpPermissions=[{**tcp, "IpRanges": ipv4[60:]}],
    )


def test_deleting_groups_in_use(aws, world):
    vpc = {"VpcId": world["vpcId"], "Description": "d"}
    one = aws.ok("ec2", "CreateSecurityGroup", GroupName="one", **vpc)["GroupId"]
    two = aws.ok("ec2", "CreateSecurityGroup", GroupName="two", **vpc)["GroupId"]
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": two}]}
    aws.ok("ec2", "AuthorizeSecurityGroupIngress", GroupId=one, IpPermissions=[permission])
    aws.refused("ec2", "DeleteSecurityGroup", "DependencyViolation", GroupId=two)
    aws.ok("ec2", "DeleteSecurityGroup", GroupId=one)
    aws.refused("ec2", "DeleteSecurityGroup", "DryRunOperation", 412, GroupId=two, DryRun=True)
    aws.ok("ec2", "DeleteSecurityGroup", GroupId=two)
    filters = [{"Name": "group-name", "Values": ["default"]}]
    default = aws.ok("ec2", "DescribeSecurityGroups", Filters=filters)["SecurityGroups"][0]
    aws.refused("ec2", "DeleteSecurityGroup", "CannotDelete", GroupId=default["GroupId"])


def test_tags(aws, world):
    subnet = world["privateSubnets"][0]

    def tags():
        found = aws.ok("ec2", "DescribeSubnets", SubnetIds=[subnet])["Subnets"][0]["Tags"]
        return {t["Key"]: t["Value"] for t in found}

    before = tags()
    new = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    aws.ok("ec2", "CreateTags", Resources=[subnet], Tags=new)
    assert tags() == {**before, "a": "1", "b": ""}
    aws.ok("ec2", "DeleteTags", Resources=[subnet], Tags=[{"Key": "a", "Value": "other"}])
    assert "a" in tags()
    aws.ok("ec2", "DeleteTags", Resources=[subnet], Tags=[{"Key": "a"}, {"Key": "missing"}])
    aws.ok("ec2", "DeleteTags", Resources=[subnet], Tags=[{"Key": "b", "Value": ""}])
    assert tags() == before
    reserved = [{"Key": "aws:x", "Value": "1"}]
    aws.refused("ec2", "CreateTags", "InvalidTagKey.Malformed", Resources=[subnet], Tags=reserved)
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    aws.refused("ec2", "CreateTags", "TagLimitExceeded", Resources=[subnet], Tags=many)
    assert tags() == before


def test_what_is_not_modelled_is_named(aws, group):
    message = aws.refused(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        "InvalidParameterValue",
        GroupId=group,
        SourceSecurityGroupName="default",
        IpPermissions=[TCP_80],
    )
    assert "SourceSecurityGroupName is not modelled" in message
    message = aws.refused("ec2", "CreateVpc", "InvalidAction", 501, CidrBlock="10.0.0.0/16")
    assert "CreateVpc is not modelled" in message
