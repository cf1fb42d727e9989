"""`elbow local` as its users run it: the real binary, real sockets, real clients.

The binary is taken from ELBOW_BIN. Nothing here waits for a fixed time: every wait is for an output,
an answer or the end of a process, with a limit.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBOW = os.environ.get("ELBOW_BIN", str(ROOT / "target" / "debug" / "elbow"))
CHECK = pathlib.Path(__file__).with_name("examples_check.py")

LIMIT_SECONDS = 60
"""No wait of these tests is longer; all of them together take some seconds."""


def run(*arguments, **options):
    return subprocess.run(
        [ELBOW, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        **options,
    )


class Running:
    """An `elbow local` that goes on until it is told to stop."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [ELBOW, "local", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.output += line
                self._changed.notify_all()

    def wait_for(self, pattern, since=0):
        """Waits until the output after `since` matches; answers with the output's length then."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: re.search(pattern, self.output[since:]), LIMIT_SECONDS
            )
            assert found, f"no {pattern!r} in:\n{self.output[since:]}"
            return len(self.output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def wait_until(check, what):
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        result = check()
        if result:
            return result
        threading.Event().wait(0.02)
    pytest.fail(f"{what} did not happen within {LIMIT_SECONDS} s")


def state_of(path):
    def read():
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    return wait_until(read, f"{path}")


def fetch(url, host):
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return None, str(error)


MANIFEST = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: alb
spec:
  controllerName: gateway.k8s.aws/alb
---
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata:
  name: web
  namespace: shop
spec:
  targetReference:
    name: web
  defaultConfiguration:
    targetType: ip
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
  namespace: shop
spec:
  gatewayClassName: alb
  listeners:
    - name: http
      protocol: HTTP
      port: {port}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
spec:
  parentRefs:
    - name: edge
  hostnames: ["{host}"]
  rules:
    - backendRefs:
        - name: web
          port: 80
"""


@pytest.fixture
def folder(tmp_path):
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFEST.format(port=8088, host="a.example.com"))
    return manifests


def test_the_examples_answer():
    done = run("local", "-f", ROOT / "examples", "--", sys.executable, CHECK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout


def test_the_exit_status_of_the_command_is_passed_on(folder):
    done = run("local", "-f", folder, "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.returncode == 7, done.stdout + done.stderr


def test_an_edit_is_planned_and_applied_and_a_bad_one_changes_nothing(folder, tmp_path):
    state_file = tmp_path / "state.json"
    file = folder / "all.yaml"
    with Running("-f", folder, "--state-file", state_file) as elbow:
        elbow.wait_for("GATEWAY")
        state = state_of(state_file)
        (address,) = state["gateways"][0]["listeners"][0]["addresses"]
        url = f"http://{address}/"
        wait_until(lambda: fetch(url, "a.example.com")[0] == 200, "the first answer")
        assert fetch(url, "b.example.com")[0] == 404

        seen = len(elbow.output)
        file.write_text(MANIFEST.format(port=8088, host="b.example.com"))
        elbow.wait_for(r"Plan: ", seen)
        wait_until(lambda: fetch(url, "b.example.com")[0] == 200, "the edit's answer")
        assert fetch(url, "a.example.com")[0] == 404

        seen = len(elbow.output)
        file.write_text(MANIFEST.format(port=8088, host="c.example.com") + "  bad: [\n")
        elbow.wait_for(r"all\.yaml:\d+:\d+", seen)
        assert fetch(url, "b.example.com")[0] == 200

        elbow.process.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert elbow.process.wait(LIMIT_SECONDS) == 0
        assert time.monotonic() - started < 2, "Ctrl-C ends it within two seconds"


def test_a_port_that_is_taken_is_said_and_the_rest_runs(folder, tmp_path):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (folder / "all.yaml").write_text(
            MANIFEST.format(port=8088, host="a.example.com").replace(
                "      port: 8088\n",
                f"      port: 8088\n    - name: taken\n      protocol: HTTP\n      port: {port}\n",
            )
        )
        state_file = tmp_path / "state.json"
        with Running("-f", folder, "--state-file", state_file) as elbow:
            elbow.wait_for("GATEWAY")
            state = state_of(state_file)
            listeners = {entry["name"]: entry for entry in state["gateways"][0]["listeners"]}
            (address,) = listeners["http"]["addresses"]
            assert fetch(f"http://{address}/", "a.example.com")[0] == 200
            taken_entry = listeners["taken"]
            assert taken_entry.get("problem") or not taken_entry["addresses"][0].endswith(
                f":{port}"
            ), taken_entry
            assert str(port) in elbow.output


def test_a_backend_of_ones_own_answers(folder):
    program = (
        "import http.server,threading,subprocess,sys,os,json,urllib.request\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200);self.end_headers();self.wfile.write(b'mine')\n"
        "    def log_message(self,*a): pass\n"
        "s=http.server.ThreadingHTTPServer(('127.0.0.1',0),H)\n"
        "threading.Thread(target=s.serve_forever,daemon=True).start()\n"
        "check='''\n"
        "import json,os,urllib.request\n"
        "a=json.load(open(os.environ[\"ELBOW_STATE\"]))[\"gateways\"][0][\"listeners\"][0][\"addresses\"][0]\n"
        "r=urllib.request.Request(f\"http://{a}/\",headers={\"Host\":\"a.example.com\"})\n"
        "assert urllib.request.urlopen(r).read()==b\"mine\"\n"
        "'''\n"
        "sys.exit(subprocess.run([sys.argv[1],'local','-f',sys.argv[2],'--backend',"
        "f'shop/web=127.0.0.1:{s.server_port}','--',sys.executable,'-c',check]).returncode)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, ELBOW, str(folder)],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_folder_is_said(tmp_path):
    done = run("local", "-f", tmp_path, "--", "true")
    assert done.returncode != 0
    assert "no Kubernetes objects" in done.stderr + done.stdout
