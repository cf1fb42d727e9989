"""boto3 clients whose every response is compared with AWS's published model.

botocore drops what it does not know. Here the body itself is read again, and an element that the
model does not have, or a value outside of an enumeration, fails the test.
"""

import json
import urllib.request
import xml.etree.ElementTree as ET

import boto3
import botocore.config
import botocore.exceptions

CREDENTIALS = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example"}


class Clients:
    def __init__(self, endpoint, region):
        self.endpoint = endpoint
        self.region = region
        self._clients = {}

    def __getitem__(self, service):
        """The boto3 client of a service."""
        if service not in self._clients:
            self._clients[service] = self.client(service)
        return self._clients[service]

    def client(self, service, region=None, **config):
        client = boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region or self.region,
            # What AWS refuses is the emulator's to refuse, not the client's.
            config=botocore.config.Config(
                parameter_validation=False, retries={"total_max_attempts": 1}, **config
            ),
            **CREDENTIALS,
        )
        client.meta.events.register("before-parse", _compare_with_model)
        return client

    def call(self, service, operation, **parameters):
        """Calls by AWS's name of the operation; answers `(response, None)` or `(None, (code, status))`."""
        client = self[service]
        method = {v: k for k, v in client.meta.method_to_api_mapping.items()}[operation]
        try:
            response = getattr(client, method)(**parameters)
        except botocore.exceptions.ClientError as error:
            response = error.response
            assert response["ResponseMetadata"]["RequestId"], "an error without a request id"
            assert response["Error"]["Message"], "an error without a message"
            code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
            return None, (code, status, response["Error"]["Message"])
        assert response["ResponseMetadata"]["RequestId"], "a response without a request id"
        return response, None

    def ok(self, service, operation, **parameters):
        response, error = self.call(service, operation, **parameters)
        assert error is None, f"{operation}: {error}"
        return response

    def refused(self, service, operation, code, status=400, **parameters):
        response, error = self.call(service, operation, **parameters)
        assert error is not None, f"{operation} was not refused: {response}"
        assert error[:2] == (code, status), f"{operation}: {error}"
        return error[2]

    def calls(self):
        """The emulator's call log."""
        with urllib.request.urlopen(f"{self.endpoint}/_emulator/calls") as response:
            return [json.loads(line) for line in response.read().splitlines()]


def _compare_with_model(operation_model, response_dict, **_):
    if response_dict["status_code"] >= 300 or operation_model.output_shape is None:
        return
    protocol = operation_model.service_model.resolved_protocol
    if protocol == "rest-xml":
        # S3's answers here are objects and headers.
        return
    name, shape, body = operation_model.name, operation_model.output_shape, response_dict["body"]
    if protocol == "json":
        _json(shape, json.loads(body), name)
        return
    root = ET.fromstring(body)
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    assert root.tag == f"{name}Response", root.tag
    if protocol == "query":
        tags = [child.tag for child in root]
        assert tags == [f"{name}Result", "ResponseMetadata"], tags
        _xml(shape, root[0], name)
    else:
        assert root[0].tag == "requestId", root[0].tag
        root.remove(root[0])
        _xml(shape, root, name)


def _json(shape, value, path):
    if shape.type_name == "structure":
        for key, below in value.items():
            assert key in shape.members, f"{path}: unknown member {key}"
            _json(shape.members[key], below, f"{path}.{key}")
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{path}: missing {missing}"
    elif shape.type_name == "list":
        for below in value:
            _json(shape.member, below, path)
    elif shape.type_name == "map":
        for below in value.values():
            _json(shape.value, below, path)
    else:
        _scalar(shape, value, path)


def _xml(shape, element, path):
    if shape.type_name == "structure":
        known = {
            below.serialization.get("name", name): below for name, below in shape.members.items()
        }
        seen = set()
        for child in element:
            assert child.tag in known, f"{path}: unknown element {child.tag}"
            assert child.tag not in seen, f"{path}: {child.tag} twice"
            seen.add(child.tag)
            _xml(known[child.tag], child, f"{path}.{child.tag}")
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for child in element:
            assert child.tag == item, f"{path}: {child.tag} instead of {item}"
            _xml(shape.member, child, path)
    elif shape.type_name == "map":
        for entry in element:
            assert entry.tag == "entry" and [c.tag for c in entry] == ["key", "value"], path
            _xml(shape.value, entry[1], path)
    else:
        assert len(element) == 0, f"{path}: a value with elements in it"
        _scalar(shape, element.text or "", path)


def _scalar(shape, value, path):
    kind = shape.type_name
    if kind == "boolean":
        assert value in (True, False, "true", "false"), f"{path}: {value}"
    elif kind in ("integer", "long"):
        int(value)
    elif kind == "string":
        assert isinstance(value, str), f"{path}: {value}"
        assert not shape.enum or value in shape.enum, f"{path}: {value} is none of {shape.enum}"
