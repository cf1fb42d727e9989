"""The AWS CLI against the emulator."""

import json
import os
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def cli(world, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    program = pathlib.Path(sys.executable).parent / "aws"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_DEFAULT_REGION": world["region"],
        "AWS_ENDPOINT_URL": world["endpoint"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments):
        command = [program, *arguments, "--output", "json"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    return run


def test_reads(cli, world):
    rows = [
        ("sts", "get-caller-identity"),
        ("ec2", "describe-subnets", "--filters", f"Name=vpc-id,Values={world['vpcId']}"),
        ("elbv2", "describe-account-limits"),
        ("elbv2", "describe-ssl-policies"),
        ("acm", "list-certificates"),
    ]
    for row in rows:
        result = cli(*row)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)


def test_makes_a_security_group(cli, world):
    made = cli(
        *("ec2", "create-security-group", "--group-name", "cli", "--description", "by the CLI"),
        *("--vpc-id", world["vpcId"]),
    )
    assert made.returncode == 0, made.stderr
    group = json.loads(made.stdout)["GroupId"]
    rule = ("--group-id", group, "--protocol", "tcp", "--port", "443", "--cidr", "10.0.0.0/8")
    assert cli("ec2", "authorize-security-group-ingress", *rule).returncode == 0
    again = cli("ec2", "authorize-security-group-ingress", *rule)
    assert "InvalidPermission.Duplicate" in again.stderr
    assert cli("ec2", "delete-security-group", "--group-id", group).returncode == 0
