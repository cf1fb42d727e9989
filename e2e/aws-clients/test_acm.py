"""ACM: importing, listing, describing, tagging and deleting certificates."""

import pytest

UNKNOWN = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def imported(aws, world):
    pem = world["import"]
    response = aws.ok(
        "acm",
        "ImportCertificate",
        Certificate=pem["certificate"].encode(),
        PrivateKey=pem["privateKey"].encode(),
        Tags=[{"Key": "team", "Value": "a"}],
    )
    return response["CertificateArn"]


def test_lists_rsa_only_unless_told_otherwise(aws, world, imported):
    def arns(**parameters):
        found = aws.ok("acm", "ListCertificates", **parameters)["CertificateSummaryList"]
        return {summary["CertificateArn"] for summary in found}

    rsa, ec = world["certificates"]["rsa"], world["certificates"]["ec"]
    assert arns() == {rsa}
    assert arns(Includes={"keyTypes": ["EC_prime256v1"]}) == {ec, imported}
    assert arns(Includes={"keyTypes": ["RSA_2048", "EC_prime256v1"]}) == {rsa, ec, imported}
    assert arns(CertificateStatuses=["PENDING_VALIDATION"]) == set()


def test_lists_in_pages(aws, imported):
    everything = {"keyTypes": ["RSA_2048", "EC_prime256v1"]}
    seen, parameters = [], {}
    for _ in range(3):
        page = aws.ok("acm", "ListCertificates", Includes=everything, MaxItems=1, **parameters)
        seen += [summary["CertificateArn"] for summary in page["CertificateSummaryList"]]
        parameters = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert not parameters and len(set(seen)) == 3


def test_describes(aws, world, imported):
    detail = aws.ok("acm", "DescribeCertificate", CertificateArn=imported)["Certificate"]
    assert detail["Type"] == "IMPORTED" and detail["Status"] == "ISSUED"
    assert detail["KeyAlgorithm"] == "EC_prime256v1"
    assert detail["SubjectAlternativeNames"][-1] == "import.example.com"
    assert detail["InUseBy"] == []
    assert detail["NotAfter"] > detail["ImportedAt"]
    issued = world["certificates"]["rsa"]
    detail = aws.ok("acm", "DescribeCertificate", CertificateArn=issued)["Certificate"]
    assert detail["Type"] == "AMAZON_ISSUED"
    assert detail["SubjectAlternativeNames"] == ["rsa.example.com", "*.rsa.example.com"]
    text = aws.ok("acm", "GetCertificate", CertificateArn=imported)["Certificate"]
    assert text == world["import"]["certificate"]


def test_imports_again(aws, world, imported):
    pem = world["import"]
    again = {
        "CertificateArn": imported,
        "Certificate": pem["certificate"].encode(),
        "PrivateKey": pem["privateKey"].encode(),
    }
    assert aws.ok("acm", "ImportCertificate", **again)["CertificateArn"] == imported
    tags = [{"Key": "a", "Value": "b"}]
    aws.refused("acm", "ImportCertificate", "InvalidParameterException", Tags=tags, **again)


def test_tags(aws, imported):
    def tags():
        found = aws.ok("acm", "ListTagsForCertificate", CertificateArn=imported)["Tags"]
        return {tag["Key"]: tag.get("Value") for tag in found}

    assert tags() == {"team": "a"}
    arn = {"CertificateArn": imported}
    aws.ok("acm", "AddTagsToCertificate", Tags=[{"Key": "x", "Value": "1"}], **arn)
    assert tags() == {"team": "a", "x": "1"}
    aws.ok("acm", "RemoveTagsFromCertificate", Tags=[{"Key": "x", "Value": "2"}], **arn)
    assert "x" in tags()
    aws.ok("acm", "RemoveTagsFromCertificate", Tags=[{"Key": "x"}], **arn)
    assert tags() == {"team": "a"}
    reserved = [{"Key": "aws:x", "Value": "1"}]
    aws.refused("acm", "AddTagsToCertificate", "InvalidTagException", Tags=reserved, **arn)
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(50)]
    aws.refused("acm", "AddTagsToCertificate", "TooManyTagsException", Tags=many, **arn)
    aws.refused("acm", "AddTagsToCertificate", "ValidationException", Tags=[], **arn)


REFUSED = [
    ("DescribeCertificate", {"CertificateArn": UNKNOWN}, "ResourceNotFoundException"),
    (
        "DescribeCertificate",
        {"CertificateArn": "arn:aws:s3:::a-bucket-of-mine"},
        "ValidationException",
    ),
    ("DescribeCertificate", {"CertificateArn": "short"}, "ValidationException"),
    ("DescribeCertificate", {}, "ValidationException"),
    ("DeleteCertificate", {"CertificateArn": UNKNOWN}, "ResourceNotFoundException"),
    ("GetCertificate", {"CertificateArn": UNKNOWN}, "ResourceNotFoundException"),
    ("ListTagsForCertificate", {"CertificateArn": UNKNOWN}, "ResourceNotFoundException"),
    ("ListCertificates", {"MaxItems": 0}, "ValidationException"),
    ("ListCertificates", {"SortBy": "CREATED_AT"}, "ValidationException"),
    ("ListCertificates", {"NextToken": "garbage"}, "ValidationException"),
    ("ListCertificates", {"CertificateStatuses": ["GOOD"]}, "ValidationException"),
    ("ListCertificates", {"Includes": {"managedBy": "CLOUDFRONT"}}, "ValidationException"),
]


@pytest.mark.parametrize(("operation", "parameters", "code"), REFUSED)
def test_refusals(aws, operation, parameters, code):
    aws.refused("acm", operation, code, **parameters)


def test_refuses_what_does_not_fit(aws, world):
    pem = world["import"]
    good = {"Certificate": pem["certificate"], "PrivateKey": pem["privateKey"]}
    rows = [
        {"PrivateKey": pem["otherPrivateKey"]},
        {"PrivateKey": "no key"},
        {"PrivateKey": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"},
        {"Certificate": "no certificate"},
        {"Certificate": pem["certificate"] * 2},
        {"Certificate": pem["privateKey"]},
        {"CertificateChain": pem["privateKey"]},
    ]
    for change in rows:
        parameters = {key: text.encode() for key, text in {**good, **change}.items()}
        aws.refused("acm", "ImportCertificate", "ValidationException", **parameters)


def test_deletes(aws, world):
    pem = world["import"]
    made = aws.ok(
        "acm",
        "ImportCertificate",
        Certificate=pem["certificate"].encode(),
        PrivateKey=pem["privateKey"].encode(),
    )
    aws.ok("acm", "DeleteCertificate", CertificateArn=made["CertificateArn"])
    aws.refused(
        "acm",
        "DescribeCertificate",
        "ResourceNotFoundException",
        CertificateArn=made["CertificateArn"],
    )


def test_what_is_not_modelled_is_named(aws):
    message = aws.refused(
        "acm", "RequestCertificate", "UnknownOperationException", 501, DomainName="a.example.com"
    )
    assert "RequestCertificate is not modelled" in message
