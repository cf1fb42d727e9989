//! The command line as its users meet it: the real binary, its output and its exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn elbow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_elbow"))
        .args(arguments)
        .current_dir(ROOT)
        .env_remove("AWS_REGION")
        .output()
        .expect("the binary runs")
}

fn stdin(arguments: &[&str], text: &str) -> Output {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new(env!("CARGO_BIN_EXE_elbow"))
        .args(arguments)
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = child.stdin.take().expect("it has a standard input");
    pipe.write_all(text.as_bytes()).expect("it reads");
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn manifest(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    path
}

const GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: alb
spec:
  controllerName: gateway.k8s.aws/alb
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
      port: 80
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
spec:
  parentRefs:
    - name: edge
  rules:
    - backendRefs:
        - name: web
          port: 80
";

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    for arguments in [&["plan"][..], &["nope"], &["lint", "-f", "x", "--nope"]] {
        let output = elbow(arguments);
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    assert_eq!(elbow(&["--help"]).status.code(), Some(0));
    assert_eq!(elbow(&["--version"]).status.code(), Some(0));
}

#[test]
fn crds_are_what_deploy_holds() {
    let printed = text(&elbow(&["crds"]).stdout);
    let folder = Path::new(ROOT).join("deploy/crds");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("deploy/crds")
        .map(|e| e.expect("entry").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 4);
    for file in files {
        let held = std::fs::read_to_string(&file).expect("readable");
        // The file says in its first line how it is made; the command does not.
        let body = held
            .split_once("---\n")
            .map_or(held.as_str(), |(_, body)| body)
            .trim();
        assert!(
            printed.contains(body),
            "{} is not in `elbow crds`",
            file.display()
        );
    }
}

#[test]
fn a_plan_against_itself_is_empty() {
    let same = [
        "plan",
        "-f",
        "examples",
        "--base",
        "examples",
        "--stand-ins",
        "--exit-code",
    ];
    let output = elbow(&same);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("No changes."),
        "{}",
        text(&output.stdout)
    );

    let output = elbow(&["plan", "-f", "examples", "--stand-ins", "--exit-code"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_pipe_gets_no_colours() {
    let output = elbow(&["plan", "-f", "examples", "--stand-ins"]);
    assert!(!text(&output.stdout).contains('\u{1b}'));
    assert!(!text(&output.stderr).contains('\u{1b}'));
    let output = elbow(&["plan", "-f", "examples", "--stand-ins", "--color", "always"]);
    assert!(text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn manifests_come_from_a_pipe_too() {
    let output = stdin(&["plan", "-f", "-", "--stand-ins", "-o", "json"], GATEWAY);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(plan["version"], 1);
    assert!(
        plan["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );
}

#[test]
fn render_prints_stacks_and_statuses() {
    let output = stdin(&["render", "-f", "-", "--stand-ins"], GATEWAY);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rendered: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(rendered["version"], 1);
    assert_eq!(rendered["stacks"].as_array().map(Vec::len), Some(2));
    assert_eq!(rendered["bindings"].as_array().map(Vec::len), Some(1));
    let kinds: Vec<&str> = rendered["statuses"]
        .as_array()
        .expect("statuses")
        .iter()
        .filter_map(|s| s["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["GatewayClass", "Gateway", "HTTPRoute"]);
}

#[test]
fn bad_input_is_said_with_its_place_and_the_rest_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    manifest(folder.path(), "good.yaml", GATEWAY);
    manifest(folder.path(), "broken.yaml", "kind: HTTPRoute\nspec: [\n");
    manifest(
        folder.path(),
        "twice.yaml",
        GATEWAY.split("---").next().expect("a document"),
    );
    std::fs::write(folder.path().join("binary.yaml"), [0_u8, 159, 146, 150]).expect("writable");
    let path = folder.path().to_str().expect("UTF-8");
    let output = elbow(&["plan", "-f", path, "--stand-ins"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    for part in ["broken.yaml:", "binary.yaml", "is given twice"] {
        assert!(said.contains(part), "{part} is missing from:\n{said}");
    }
    assert!(
        text(&output.stdout).contains("load balancer"),
        "the good file is planned"
    );
}

#[test]
fn findings_are_json_for_machines() {
    let output = stdin(&["lint", "-f", "-", "-o", "json"], GATEWAY);
    assert_eq!(output.status.code(), Some(3));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let missing = found
        .as_array()
        .expect("a list")
        .iter()
        .find(|f| f["code"] == "missing-service")
        .expect("the Service is missing");
    assert_eq!(missing["severity"], "error");
    assert_eq!(missing["location"]["source"], "<stdin>");
    assert!(missing["hint"].is_string());
}

/// The emulator as a process; ended if a test does not get to its end.
#[cfg(unix)]
struct Emulator(std::process::Child);

#[cfg(unix)]
impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.0.kill());
    }
}

#[cfg(unix)]
#[test]
fn the_emulator_answers_until_it_is_told_to_end() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, log) = (folder.path().join("state.json"), folder.path().join("log"));
    let child = Command::new(env!("CARGO_BIN_EXE_elbow"))
        .args(["emulator", "--dns", "127.0.0.1:0", "--state"])
        .arg(&state)
        .arg("--call-log")
        .arg(&log)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut emulator = Emulator(child);
    let output = emulator.0.stdout.take().expect("it is piped");
    // What a person reads comes when it answers and the state file is there.
    let mut line = String::new();
    let mut output = BufReader::new(output);
    output.read_line(&mut line).expect("it says where it is");
    let state = std::fs::read_to_string(&state).expect("the state is written");
    let state: serde_json::Value = serde_json::from_str(&state).expect("it is JSON");
    let endpoint = state["aws"]["endpointUrl"].as_str().expect("an endpoint");
    assert!(line.contains(endpoint), "{line}");
    assert!(state["dns"].is_string(), "{state}");

    let address = endpoint.strip_prefix("http://").expect("HTTP");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: aws\r\nConnection: close\r\nUser-Agent: a-test\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AK/20260301/us-east-1/sts/aws4_request, \
         SignedHeaders=host, Signature=00\r\nX-Amz-Date: 20260301T000000Z\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let call = std::fs::read_to_string(&log).expect("the log is written");
    let call: serde_json::Value = serde_json::from_str(&call).expect("one call, one line");
    assert_eq!(call["operation"], "GetCallerIdentity");
    assert_eq!(call["userAgent"], "a-test");
    assert_eq!(call["throttled"], false);

    let id = rustix::process::Pid::from_child(&emulator.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is there");
    let status = emulator.0.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn what_the_emulator_cannot_read_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = manifest(folder.path(), "world.json", r#"{"region": "eu-west-1"}"#);
    let world = world.to_str().expect("UTF-8");
    let faults = manifest(folder.path(), "faults.json", r#"{"faults": [{}]}"#);
    let faults = faults.to_str().expect("UTF-8");
    let rows: [(&[&str], i32, &str); 4] = [
        (&["--world", world], 1, "missing field"),
        (&["--faults", faults], 1, "faults.json"),
        (&["--addresses", "here"], 1, "`here` is no network"),
        (&["--speed", "0"], 64, "--speed: 0"),
    ];
    for (arguments, code, named) in rows {
        let output = elbow(&[&["emulator"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(named), "{arguments:?}: {error}");
    }
}

#[test]
fn the_reference_page_is_the_help() {
    let mut page = String::from(
        "# Command line\n\nMade from `elbow --help`; a test fails when this page is stale \
         (`ELBOW_UPDATE_GOLDEN=1 cargo test -p elbow --test cli` writes it).\n",
    );
    for command in [
        "",
        "local",
        "controller",
        "plan",
        "lint",
        "render",
        "crds",
        "emulator",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = text(&elbow(&arguments).stdout);
        let title = format!("elbow {command}");
        page.push_str(&format!(
            "\n## `{}`\n\n```text\n{}\n```\n",
            title.trim_end(),
            help.trim_end()
        ));
    }
    let file = Path::new(ROOT).join("docs/reference/cli.md");
    if std::env::var("ELBOW_UPDATE_GOLDEN").is_ok_and(|v| v == "1") {
        std::fs::write(&file, &page).expect("docs/reference can be written");
    }
    let held = std::fs::read_to_string(&file).expect("docs/reference/cli.md");
    assert!(held == page, "docs/reference/cli.md is stale");
}
