"""Starts the emulator's AWS API alone, and gives clients of it that judge what they get.

Each test module has an emulator of its own, with the world of
`crates/elbow-emulator-server/examples/serve.rs`.
"""

import json
import os
import pathlib
import subprocess

import pytest

from judge import Clients

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _program():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "debug" / "examples" / "serve"
    if not program.exists():
        command = ["cargo", "build", "-p", "elbow-emulator-server", "--example", "serve"]
        subprocess.run(command, cwd=ROOT, check=True)
    return program


@pytest.fixture(scope="module")
def world():
    """What the emulator was started with: its endpoint, and the ids of its world."""
    pipe = subprocess.PIPE
    with subprocess.Popen([_program()], stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            # The emulator ends when its standard input does.
            process.stdin.close()
            assert process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def aws(world):
    """boto3 clients; each response is compared with AWS's model."""
    return Clients(world["endpoint"], world["region"])
