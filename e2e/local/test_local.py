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
        # Asked first, so that it removes its temporary folder.
        self.process.terminate()
        try:
            self.process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
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


# === What the command gets ===


STATE = "import json,os;state=json.load(open(os.environ['ELBOW_STATE']));"
"""The beginning of a program that a test gives to `elbow local --`."""


def test_the_command_has_standard_output_for_itself(folder):
    done = run("local", "-f", folder, "--", sys.executable, "-c", "print('mine')")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "mine\n"
    assert "Plan: " in done.stderr and "GATEWAY" in done.stderr


def test_the_command_finds_its_environment(folder):
    program = STATE + (
        "import os.path;env=os.environ;"
        "assert env['AWS_ENDPOINT_URL']==state['aws']['endpointUrl'];"
        "assert env['AWS_REGION']==state['aws']['region'];"
        "assert env['AWS_ACCESS_KEY_ID'] and env['AWS_SECRET_ACCESS_KEY'];"
        "assert 'AWS_PROFILE' not in env and 'AWS_SESSION_TOKEN' not in env;"
        "assert os.path.exists(state['caCertificate']);"
        "print(os.path.dirname(env['ELBOW_STATE']))"
    )
    environment = {**os.environ, "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "secret"}
    done = run("local", "-f", folder, "--", sys.executable, "-c", program, env=environment)
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(done.stdout.strip()), "the temporary folder is removed"


def test_a_command_that_is_not_there_ends_as_in_a_shell(folder):
    done = run("local", "-f", folder, "--", "/nonexistent/command")
    assert done.returncode == 127
    assert "cannot run `/nonexistent/command`" in done.stderr


def test_standard_input_holds_manifests():
    text = "---\n".join(path.read_text() for path in sorted((ROOT / "examples").glob("*.yaml")))
    done = run("local", "-f", "-", "--", sys.executable, CHECK, input=text)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("region", ["", "eu-west-1"])
def test_the_region_of_the_shell_does_not_take_certificates_away(region):
    environment = {**os.environ, "AWS_REGION": region}
    done = run("local", "-f", ROOT / "examples", "--", sys.executable, CHECK, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "web=1"], "`web=1` is not NAMESPACE/SERVICE[:PORT]=HOST:PORT"),
        (["--backend", "shop/web=host"], "is not NAMESPACE/SERVICE[:PORT]=HOST:PORT"),
        (["--backend", "shop/web=nowhere.invalid:80"], "cannot find the address of `nowhere.invalid:80`"),
        (["--speed", "0"], "--speed: 0 is not between"),
        (["--speed", "1e9"], "--speed: 1000000000 is not between"),
    ],
)
def test_a_flag_that_is_wrong_is_wrong_usage(folder, arguments, said):
    done = run("local", "-f", folder, *arguments, "--", "true")
    assert done.returncode == 64, done.stderr
    assert said in done.stderr


def test_what_is_not_healthy_in_time_is_named(folder):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # Not listening, and nobody else can.
        backend = f"shop/web=127.0.0.1:{nobody.getsockname()[1]}"
        done = run("local", "-f", folder, "--backend", backend, "--timeout", "2", "--", "true")
    assert done.returncode == 1
    assert re.search(r"target group k8s-shop-web-\w+: 1 of 1 targets not healthy", done.stderr)


# === Signals ===


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_removes_the_temporary_folder(folder, tmp_path, number):
    state_file = tmp_path / "state.json"
    with Running("-f", folder, "--state-file", state_file) as elbow:
        elbow.wait_for("GATEWAY")
        certificate = pathlib.Path(state_of(state_file)["caCertificate"])
        assert certificate.exists()
        ends_within_two_seconds(elbow, number, 0)
        assert not certificate.parent.exists()


def test_a_signal_ends_it_while_load_balancers_are_provisioned(folder):
    with Running("-f", folder, "--speed", "1") as elbow:
        elbow.wait_for("waiting: ")
        ends_within_two_seconds(elbow, signal.SIGINT, 0)


def test_a_command_that_ignores_signals_is_ended(folder):
    program = (
        "import signal,threading;"
        "[signal.signal(n,signal.SIG_IGN) for n in (signal.SIGINT,signal.SIGTERM)];"
        "print('ready',flush=True);threading.Event().wait()"
    )
    with Running("-f", folder, "--", sys.executable, "-c", program) as elbow:
        elbow.wait_for("ready")
        ends_within_two_seconds(elbow, signal.SIGINT, 130)


def test_a_command_is_told_to_end(folder):
    program = (
        "import signal,sys,threading;"
        "signal.signal(signal.SIGTERM,lambda *_:(print('told',flush=True),sys.exit()));"
        "print('ready',flush=True);threading.Event().wait()"
    )
    with Running("-f", folder, "--", sys.executable, "-c", program) as elbow:
        elbow.wait_for("ready")
        ends_within_two_seconds(elbow, signal.SIGTERM, 143)
        elbow.wait_for("told")


def ends_within_two_seconds(elbow, number, status):
    started = time.monotonic()
    elbow.process.send_signal(number)
    assert elbow.process.wait(LIMIT_SECONDS) == status
    assert time.monotonic() - started < 2


# === Edits ===


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {name}
  namespace: shop
spec:
  parentRefs:
    - name: edge
  hostnames: ["{name}.example.com"]
  rules:
    - backendRefs:
        - name: {name}
          port: 80
"""


class Edited:
    """An `elbow local` over a folder that a test edits."""

    def __init__(self, elbow, folder, state_file):
        self.elbow = elbow
        self.file = folder / "all.yaml"
        elbow.wait_for("GATEWAY")
        (address,) = state_of(state_file)["gateways"][0]["listeners"][0]["addresses"]
        self.url = f"http://{address}/"

    def answers(self, host, status=200):
        wait_until(lambda: fetch(self.url, host)[0] == status, f"{status} for {host}")


@pytest.fixture
def edited(folder, tmp_path):
    state_file = tmp_path / "state.json"
    with Running("-f", folder, "--state-file", state_file) as elbow:
        yield Edited(elbow, folder, state_file)


def test_faulty_edits_one_after_another_cost_nothing(edited):
    good = edited.file.read_text()
    for fault in ["  one: [\n", "  two: {\n", "  three: [\n"]:
        seen = len(edited.elbow.output)
        edited.file.write_text(good + fault)
        edited.elbow.wait_for(r"all\.yaml:\d+:\d+", seen)
        assert fetch(edited.url, "a.example.com")[0] == 200
    assert "goes away" not in edited.elbow.output


def test_an_editor_that_replaces_the_file_is_followed(edited):
    new = edited.file.with_name(".all.yaml.new")
    new.write_text(MANIFEST.format(port=8088, host="b.example.com"))
    new.replace(edited.file)
    edited.answers("b.example.com")
    edited.elbow.wait_for(r"Plan: 0 to create, 1 to change, 0 to delete")


def test_many_quick_edits_end_with_the_last(edited):
    for number in range(50):
        edited.file.write_text(MANIFEST.format(port=8088, host=f"h{number}.example.com"))
    edited.answers("h49.example.com")
    edited.answers("a.example.com", 404)


def test_files_that_come_move_and_go_are_followed(edited, folder):
    deep = folder / "new" / "deep"
    deep.mkdir(parents=True)
    (deep / "two.yaml").write_text(ROUTE.format(name="two"))
    edited.answers("two.example.com")

    (deep / "two.yaml").rename(folder / "moved.yaml")
    (folder / "three.yaml").write_text(ROUTE.format(name="three"))
    edited.answers("three.example.com")
    edited.answers("two.example.com")

    (folder / "moved.yaml").unlink()
    edited.answers("two.example.com", 404)
    edited.answers("three.example.com")


def test_a_folder_that_vanishes_is_said_and_followed_again(edited, folder):
    away = folder.with_name("away")
    folder.rename(away)
    edited.elbow.wait_for(re.escape(f"`{folder}` cannot be read: it does not exist"))
    assert fetch(edited.url, "a.example.com")[0] == 200
    away.rename(folder)
    edited.file.write_text(MANIFEST.format(port=8088, host="back.example.com"))
    edited.answers("back.example.com")


def test_a_binary_file_is_said_and_costs_nothing(edited, folder):
    (folder / "binary.yaml").write_bytes(bytes(range(256)))
    edited.elbow.wait_for(r"the file is not text \([^)]*binary\.yaml")
    assert fetch(edited.url, "a.example.com")[0] == 200


def test_a_gateway_goes_and_comes_back(edited):
    manifest = edited.file.read_text()
    edited.file.write_text("# nothing\n")
    seen = edited.elbow.wait_for("No load balancers")
    edited.file.write_text(manifest)
    edited.elbow.wait_for("GATEWAY", seen)
    edited.answers("a.example.com")


def test_the_state_file_may_be_in_the_folder(folder):
    state_file = folder / "state.json"
    with Running("-f", folder, "--state-file", state_file) as elbow:
        edited = Edited(elbow, folder, state_file)
        edited.file.write_text(MANIFEST.format(port=8088, host="b.example.com"))
        edited.answers("b.example.com")
        assert "state.json" not in elbow.output


# === What is not as it should be ===


def test_two_at_once_have_addresses_of_their_own(folder, tmp_path):
    state_files = [tmp_path / "one.json", tmp_path / "two.json"]
    with (
        Running("-f", folder, "--state-file", state_files[0]) as first,
        Running("-f", folder, "--state-file", state_files[1]) as second,
    ):
        for elbow in (first, second):
            elbow.wait_for("GATEWAY")
        addresses = [
            state_of(file)["gateways"][0]["listeners"][0]["addresses"][0] for file in state_files
        ]
        assert addresses[0] != addresses[1]
        assert all(address.endswith(":8088") for address in addresses), addresses
        for address in addresses:
            assert fetch(f"http://{address}/", "a.example.com")[0] == 200


def test_a_certificate_that_is_not_there_costs_its_listener_only():
    with Running("-f", ROOT / "examples", "--no-stand-ins") as elbow:
        elbow.wait_for("CertificateNotFound.*certificate/xxxx")
        elbow.wait_for("leave out --no-stand-ins")
        elbow.wait_for(r"http HTTP:80 ")
        elbow.wait_for("Service app-ns/app-service does not exist")
        output = elbow.output[elbow.output.index("GATEWAY") :]
        assert "https HTTPS:443" not in output


def test_an_invalid_gateway_is_not_no_gateway(folder):
    (folder / "all.yaml").write_text(
        MANIFEST.format(port=8088, host="a.example.com").replace("protocol: HTTP", "protocol: [1]")
    )
    done = run("local", "-f", folder, "--", "true")
    assert done.returncode == 1
    assert "no Gateway that is valid" in done.stderr


# === What is printed ===


def test_the_lines_to_try_can_be_pasted_into_a_shell():
    with Running("-f", ROOT / "examples") as elbow:
        elbow.wait_for("describe-load-balancers")
        lines = [line.strip() for line in elbow.output.splitlines() if " curl " in f" {line} "]
        answers = [
            subprocess.run(
                ["sh", "-c", line], capture_output=True, text=True, timeout=LIMIT_SECONDS
            ).stdout
            for line in lines
        ]
    assert len(lines) == 3, lines
    assert "app-ns/app-service" in answers[0] and '"http"' in answers[0], answers
    assert "app-ns/app-service" in answers[1] and '"https"' in answers[1], answers
    assert answers[2] == "hello\n"


def test_a_note_is_a_line_and_nothing_is_coloured_in_a_pipe():
    with Running("-f", ROOT / "examples") as elbow:
        elbow.wait_for("describe-load-balancers")
        assert "\x1b" not in elbow.output
        notes = [line for line in elbow.output.splitlines() if "deprecated" in line]
        assert notes and all(line.startswith("note: ") for line in notes), notes
