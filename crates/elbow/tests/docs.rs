//! What the documentation says, held against the program.
//!
//! Pages about JSON name every field that is printed; differences from the AWS Load Balancer Controller
//! that no other test shows are shown here, by what `elbow render` and `elbow lint` say.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn elbow(arguments: &[&str], manifests: &str) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_elbow"))
        .args(arguments)
        .current_dir(ROOT)
        .env_remove("AWS_REGION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut pipe = child.stdin.take().expect("it has a standard input");
    pipe.write_all(manifests.as_bytes()).expect("it reads");
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn json(output: &Output) -> Value {
    let parsed = serde_json::from_slice(&output.stdout);
    assert!(
        parsed.is_ok(),
        "no JSON: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    parsed.expect("just looked at")
}

/// What the manifests ask for, and the codes of the findings.
#[track_caller]
fn render(manifests: &str, flags: &[&str]) -> (Value, Vec<String>) {
    let with = |command: &[&'static str]| {
        let arguments: Vec<&str> = command.iter().chain(flags).copied().collect();
        json(&elbow(&arguments, manifests))
    };
    let found = with(&["lint", "-f", "-", "-o", "json", "--stand-ins"]);
    let codes = found
        .as_array()
        .expect("a list")
        .iter()
        .map(|finding| finding["code"].as_str().expect("a code").to_owned());
    let codes = codes.collect();
    (with(&["render", "-f", "-", "--stand-ins"]), codes)
}

fn page(name: &str) -> String {
    let file = Path::new(ROOT).join("docs/reference").join(name);
    std::fs::read_to_string(&file).expect("the page is there")
}

/// Names that a page explains: what it has in backticks, apart from its examples.
fn explained(page: &str) -> BTreeSet<&str> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .collect()
}

/// Keys of objects, at any depth, but not those of maps whose keys are data.
fn fields<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_data = matches!(
                    name.as_str(),
                    "attributes" | "tags" | "labels" | "annotations" | "bindings"
                );
                let is_map = matches!(
                    name.as_str(),
                    "authorities" | "securityGroups" | "listeners" | "targetGroups" | "trustStores"
                );
                found.insert(name);
                if is_map && let Value::Object(entries) = member {
                    for entry in entries.values() {
                        fields(entry, found);
                    }
                } else if !is_data {
                    fields(member, found);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                fields(item, found);
            }
        }
        _ => {}
    }
}

#[test]
fn render_json_is_explained() {
    let page = page("render-json.md");
    let explained = explained(&page);
    let mut seen = BTreeSet::new();
    let golden = Path::new(ROOT).join("crates/elbow/testdata/golden");
    let cases = [
        "http/https-and-http",
        "http/certificate-not-found",
        "http/header-regex",
        "http/query-param",
        "http/method",
        "http/weights",
        "redirect/host-and-port",
        "redirect/prefix",
        "rewrite/hostname",
        "config/source-ranges",
        "config/prefix-lists",
        "targets/instance",
        "tcp/one-route",
        "tcp/icmp",
        "clients/configured",
    ];
    let rendered: Vec<Value> = cases
        .iter()
        .map(|case| {
            let file = golden.join(case).join("input.yaml");
            let base = golden.join("base.yaml");
            let (file, base) = (file.display().to_string(), base.display().to_string());
            json(&elbow(
                &["render", "-f", &file, "-f", &base, "--stand-ins"],
                "",
            ))
        })
        .collect();
    for value in &rendered {
        assert_eq!(value["version"], 1);
        fields(value, &mut seen);
    }
    let missing: Vec<_> = seen.difference(&explained).collect();
    assert!(seen.len() > 60, "the cases show most fields: {seen:?}");
    assert!(missing.is_empty(), "not in render-json.md: {missing:?}");
}

#[test]
fn the_state_file_is_explained() {
    let page = page("state-json.md");
    let explained = explained(&page);
    let example = page
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let example: Value =
        serde_json::from_str(example.expect("the page has an example")).expect("it is JSON");
    let Value::Object(members) = &example else {
        panic!("the example is an object")
    };
    let mut named = BTreeSet::new();
    for (name, member) in members {
        named.insert(name.as_str());
        fields(member, &mut named);
    }
    for name in [
        "gateways",
        "caCertificate",
        "aws",
        "listeners",
        "addresses",
        "problem",
    ] {
        assert!(explained.contains(name), "{name} is not explained");
    }
    let missing: Vec<_> = named.difference(&explained).collect();
    assert!(missing.is_empty(), "not in state-json.md: {missing:?}");
}

// Differences that golden cases and the tests of translation do not show.

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: alb}
spec: {controllerName: gateway.k8s.aws/alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: alb
  infrastructure: {parametersRef: {group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: edge}}
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: other, protocol: HTTP, port: 8080, hostname: HOSTNAME}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [b.example.com]
  rules:
  - matches: [{path: {type: Exact, value: /a}}]
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {type: Exact, value: /b}}]
    backendRefs: [{name: b, port: 80}]
---
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {name: edge, namespace: shop}
spec: {CONFIGURATION}
---
";

fn manifests(hostname: &str, configuration: &str, more: &str) -> String {
    let base = BASE.replace("HOSTNAME", hostname);
    format!("{}{more}", base.replace("CONFIGURATION", configuration))
}

/// Number of rules of a port.
fn rules(rendered: &Value, port: &str) -> usize {
    let listener = &rendered["stacks"][1]["listeners"][port];
    listener["rules"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_bad_hostname_costs_its_listener_only() {
    let (good, codes) = render(&manifests("b.example.com", "", ""), &[]);
    assert_eq!(codes, Vec::<String>::new());
    assert_eq!((rules(&good, "80"), rules(&good, "8080")), (2, 2));
    let (rendered, codes) = render(&manifests("192.0.2.1", "", ""), &[]);
    assert!(codes.contains(&"invalid-hostname".to_owned()), "{codes:?}");
    assert_eq!((rules(&rendered, "80"), rules(&rendered, "8080")), (2, 0));
}

#[test]
fn a_bad_source_range_costs_itself_only() {
    let ranges = "sourceRanges: [10.0.0.0/8, nowhere]";
    let (rendered, codes) = render(&manifests("b.example.com", ranges, ""), &[]);
    assert_eq!(codes, ["invalid-source-range"]);
    let group = &rendered["stacks"][1]["securityGroups"]["ManagedLBSecurityGroup"];
    let ingress = group["ingress"].as_array().expect("rules");
    let sources: BTreeSet<_> = ingress
        .iter()
        .map(|r| r["source"]["ipv4"].as_str())
        .collect();
    assert_eq!(sources, BTreeSet::from([Some("10.0.0.0/8")]));
}

#[test]
fn a_tag_that_others_manage_is_left_out() {
    let tags = "tags: {team: shop, cost: '7'}";
    let flags = ["--external-managed-tags", "cost"];
    let (rendered, codes) = render(&manifests("b.example.com", tags, ""), &flags);
    assert!(
        codes.contains(&"external-managed-tag".to_owned()),
        "{codes:?}"
    );
    let tags = &rendered["stacks"][1]["loadBalancer"]["tags"];
    assert_eq!(tags["team"], "shop");
    assert_eq!(tags["cost"], Value::Null);
}

fn configuration(name: &str, service: &str, props: &str) -> String {
    format!(
        "
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {{name: {name}, namespace: shop}}
spec:
  targetReference: {{name: {service}}}
  defaultConfiguration: {{targetType: ip, {props}}}
---
"
    )
}

/// A member of each target group of the Gateway.
fn of_groups(rendered: &Value, pointer: &str) -> BTreeSet<String> {
    let groups = rendered["stacks"][1]["targetGroups"]
        .as_object()
        .expect("target groups");
    let members = groups
        .values()
        .map(|group| group.pointer(pointer).expect("a member"));
    members
        .map(|value| value.as_str().expect("a text").to_owned())
        .collect()
}

#[test]
fn of_several_configurations_the_first_by_name_counts() {
    let path = |path: &str| format!("healthCheckConfig: {{healthCheckPath: {path}}}");
    let (one, two) = (
        configuration("one", "a", &path("/1")),
        configuration("two", "a", &path("/2")),
    );
    for more in [format!("{one}{two}"), format!("{two}{one}")] {
        let (rendered, codes) = render(&manifests("b.example.com", "", &more), &[]);
        assert_eq!(codes, ["ambiguous-target-group-configuration"]);
        let paths = of_groups(&rendered, "/healthCheck/path");
        assert!(paths.contains("/1") && !paths.contains("/2"), "{paths:?}");
    }
}

#[test]
fn a_chosen_group_name_is_given_once() {
    let name = "targetGroupName: chosen";
    let more = configuration("a", "a", name) + &configuration("b", "b", name);
    let (rendered, codes) = render(&manifests("b.example.com", "", &more), &[]);
    assert!(
        codes.contains(&"target-group-name-taken".to_owned()),
        "{codes:?}"
    );
    let names = of_groups(&rendered, "/name");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains("chosen"), "{names:?}");
}

#[test]
fn a_rule_configuration_without_status_counts() {
    let more = "
apiVersion: gateway.k8s.aws/v1
kind: ListenerRuleConfiguration
metadata: {name: closed, namespace: shop}
spec:
  actions: [{type: fixed-response, fixedResponseConfig: {statusCode: 418}}]
";
    let filter = "filters: [{type: ExtensionRef, extensionRef: {group: gateway.k8s.aws, kind: ListenerRuleConfiguration, name: closed}}]";
    let with = manifests("b.example.com", "", more).replace(
        "    backendRefs: [{name: a, port: 80}]",
        &format!("    {filter}"),
    );
    let (rendered, codes) = render(&with, &[]);
    assert_eq!(codes, Vec::<String>::new());
    let rules = rendered["stacks"][1]["listeners"]["80"]["rules"]
        .as_array()
        .expect("rules");
    let statuses: Vec<_> = rules
        .iter()
        .map(|rule| &rule["action"]["statusCode"])
        .collect();
    assert!(statuses.contains(&&Value::from(418)), "{statuses:?}");
}

#[test]
fn a_capacity_of_the_class_is_not_lost() {
    let with = manifests("b.example.com", "scheme: internal", "
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {name: class, namespace: shop}
spec: {minimumLoadBalancerCapacity: {capacityUnits: 100}}
")
    .replace(
        "{controllerName: gateway.k8s.aws/alb}",
        "{controllerName: gateway.k8s.aws/alb, parametersRef: {group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: class, namespace: shop}}",
    );
    let found = json(&elbow(
        &["lint", "-f", "-", "-o", "json", "--stand-ins"],
        &with,
    ));
    let message = found[0]["message"].as_str().expect("a message");
    assert_eq!(found[0]["code"], "not-supported-yet");
    assert!(message.contains("minimumLoadBalancerCapacity"), "{message}");
}

#[test]
fn a_local_service_without_a_health_check_port_is_checked_at_the_traffic_port() {
    let manifests = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: nlb}
spec: {controllerName: gateway.k8s.aws/nlb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: nlb
  listeners: [{name: tcp, protocol: TCP, port: 9000}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: a, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: a, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  ports: [{port: 80, targetPort: 8080, nodePort: 31000}]
";
    let rendered = json(&elbow(&["render", "-f", "-"], manifests));
    assert_eq!(
        of_groups(&rendered, "/healthCheck/port"),
        ["traffic-port".to_owned()].into()
    );
    assert_eq!(
        of_groups(&rendered, "/healthCheck/protocol"),
        ["TCP".to_owned()].into()
    );
}
