"""What `elbow local -f examples -- python examples_check.py` must find.

Runs as the command of `elbow local`: reads the file that ELBOW_STATE names, talks to the load
balancers as a client would, and looks at the resources with boto3. Exits with 1 and a list of what
is wrong, else with 0.
"""

import http.client
import json
import os
import socket
import ssl
import sys

import boto3

HOST = "app.example.com"


class Checks:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self):
        self.wrong = []
        self.passed = 0

    def equal(self, what, actual, expected):
        if actual == expected:
            self.passed += 1
        else:
            self.wrong.append(f"{what}: {actual!r}, not {expected!r}")

    def true(self, what, condition):
        self.equal(what, bool(condition), True)


def gateway(state, name):
    (found,) = [g for g in state["gateways"] if g["name"] == name]
    return found


def address(of, listener):
    (found,) = [entry for entry in of["listeners"] if entry["name"] == listener]
    host, port = found["addresses"][0].rsplit(":", 1)
    return host, int(port)


def get(connection, host, path):
    connection.request("GET", path, headers={"Host": host, "X-Probe": "1"})
    answer = connection.getresponse()
    return answer.status, answer.getheader("Server"), answer.read()


class ToAddress(http.client.HTTPSConnection):
    """HTTPS to an address, with another name in SNI and certificate check."""

    def __init__(self, name, where, context):
        super().__init__(name, where[1], context=context, timeout=5)
        self._where = where

    def connect(self):
        raw = socket.create_connection(self._where, timeout=5)
        self.sock = self._context.wrap_socket(raw, server_hostname=self.host)


def check_http(checks, state):
    alb = gateway(state, "my-alb")
    checks.equal("type of my-alb", alb["type"], "application")

    plain = http.client.HTTPConnection(*address(alb, "http"), timeout=5)
    status, _, body = get(plain, HOST, "/hello?x=1")
    checks.equal("HTTP status", status, 200)
    echo = json.loads(body)
    checks.equal("echoed path", echo["path"], "/hello")
    headers = {key.lower(): value for key, value in dict(echo["headers"]).items()}
    checks.equal("echoed X-Forwarded-Proto", headers.get("x-forwarded-proto"), "http")
    checks.equal("echoed X-Probe", headers.get("x-probe"), "1")

    other = http.client.HTTPConnection(*address(alb, "http"), timeout=5)
    status, server, _ = get(other, "other.example.com", "/")
    checks.equal("status for another host", status, 404)
    checks.equal("who answers for another host", server, "awselb/2.0")

    context = ssl.create_default_context(cafile=state["caCertificate"])
    secure = ToAddress(HOST, address(alb, "https"), context)
    status, _, body = get(secure, HOST, "/secure")
    checks.equal("HTTPS status", status, 200)
    headers = {k.lower(): v for k, v in dict(json.loads(body)["headers"]).items()}
    checks.equal("X-Forwarded-Proto over HTTPS", headers.get("x-forwarded-proto"), "https")


def check_tcp(checks, state):
    nlb = gateway(state, "my-nlb")
    checks.equal("type of my-nlb", nlb["type"], "network")
    with socket.create_connection(address(nlb, "tcp-app"), timeout=5) as connection:
        connection.sendall(b"through the NLB\n")
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    checks.equal("TCP echo", received, b"through the NLB\n")


def check_aws(checks, state):
    elb = boto3.client("elbv2", endpoint_url=state["aws"]["endpointUrl"])
    balancers = elb.describe_load_balancers()["LoadBalancers"]
    checks.equal("load balancers", sorted(b["Type"] for b in balancers), ["application", "network"])
    checks.equal("states", {b["State"]["Code"] for b in balancers}, {"active"})
    by_type = {b["Type"]: b for b in balancers}
    checks.equal("scheme of the ALB", by_type["application"]["Scheme"], "internet-facing")
    checks.equal("scheme of the NLB", by_type["network"]["Scheme"], "internal")

    listeners = [
        listener
        for balancer in balancers
        for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])[
            "Listeners"
        ]
    ]
    found = sorted((entry["Protocol"], entry["Port"]) for entry in listeners)
    checks.equal("listeners", found, [("HTTP", 80), ("HTTPS", 443), ("TCP", 9000)])
    (https,) = [entry for entry in listeners if entry["Protocol"] == "HTTPS"]
    checks.equal("TLS policy", https["SslPolicy"], "ELBSecurityPolicy-TLS13-1-2-2021-06")
    checks.equal(
        "certificate",
        [c["CertificateArn"] for c in https["Certificates"]],
        ["arn:aws:acm:ap-northeast-2:123456789012:certificate/xxxx"],
    )

    groups = elb.describe_target_groups()["TargetGroups"]
    checks.equal(
        "target groups",
        sorted((g["Protocol"], g["Port"], g["TargetType"]) for g in groups),
        [("HTTP", 8080, "ip"), ("TCP", 9000, "ip")],
    )
    http_group, tcp_group = sorted(groups, key=lambda g: g["Protocol"])
    checks.equal("health check path", http_group["HealthCheckPath"], "/health")
    checks.equal("health check interval", http_group["HealthCheckIntervalSeconds"], 15)
    checks.equal("TCP health check interval", tcp_group["HealthCheckIntervalSeconds"], 10)
    checks.equal("TCP healthy threshold", tcp_group["HealthyThresholdCount"], 3)
    for group in groups:
        health = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        states = [t["TargetHealth"]["State"] for t in health["TargetHealthDescriptions"]]
        checks.true(f"targets of {group['TargetGroupName']}", states)
        checks.equal(f"health in {group['TargetGroupName']}", set(states), {"healthy"})

    def attributes(balancer):
        answer = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])
        return {a["Key"]: a["Value"] for a in answer["Attributes"]}

    alb = attributes(by_type["application"])
    checks.equal("idle timeout", alb["idle_timeout.timeout_seconds"], "60")
    nlb = attributes(by_type["network"])
    checks.equal("cross-zone", nlb["load_balancing.cross_zone.enabled"], "true")

    ec2 = boto3.client("ec2", endpoint_url=state["aws"]["endpointUrl"])
    (nlb_group, *_) = by_type["network"]["SecurityGroups"]
    rules = ec2.describe_security_groups(GroupIds=[nlb_group])["SecurityGroups"][0]["IpPermissions"]
    found = {(r["IpProtocol"], r.get("FromPort"), r.get("ToPort")) for r in rules}
    checks.true("ICMP for path MTU discovery", ("icmp", 3, 4) in found)


def main():
    with open(os.environ["ELBOW_STATE"], encoding="utf-8") as file:
        state = json.load(file)
    checks = Checks()
    checks.equal("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"], state["aws"]["endpointUrl"])
    checks.equal("AWS_REGION", os.environ["AWS_REGION"], "ap-northeast-2")
    os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
    for check in (check_http, check_tcp, check_aws):
        try:
            check(checks, state)
        except Exception as error:  # one broken check must not hide the others
            checks.wrong.append(f"{check.__name__}: {type(error).__name__}: {error}")
    for line in checks.wrong:
        print(line)
    print(f"{checks.passed} checks passed, {len(checks.wrong)} failed")
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
