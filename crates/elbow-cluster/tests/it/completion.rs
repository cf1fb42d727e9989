//! What an API server adds to an object, and what it leaves as it is.

use elbow_api::{Kind, Object, SecretProblem};
use elbow_cluster::derived_uid;

use super::{lines, load_text, object_ref};

#[track_caller]
fn only(text: &str) -> Object {
    let loaded = load_text(text);
    assert_eq!(lines(&loaded), [""; 0]);
    loaded.snapshot.objects().remove(0)
}

#[test]
fn metadata_of_a_dump_is_kept() {
    let object = only(
        "apiVersion: v1
kind: Service
metadata:
  name: a
  namespace: ns
  uid: fc12ff8d-cce8-4348-a633-0e9989873c12
  generation: 7
  resourceVersion: '717'
  creationTimestamp: '2026-11-22T10:20:57Z'
  managedFields:
  - {manager: controller, operation: Update, fieldsV1: {'f:metadata': {'f:finalizers': {}}}}
status: {loadBalancer: {}, aFieldOfALaterVersion: 1}
",
    );
    let metadata = object.metadata();
    assert_eq!(
        metadata.uid.as_deref(),
        Some("fc12ff8d-cce8-4348-a633-0e9989873c12")
    );
    assert_eq!(metadata.generation, Some(7));
    assert_eq!(metadata.resource_version.as_deref(), Some("717"));
    let created = metadata.creation_timestamp.as_ref().unwrap();
    assert_eq!(created.0.to_string(), "2026-11-22T10:20:57Z");
}

#[test]
fn what_is_absent_is_filled_in() {
    let object =
        only("{apiVersion: v1, kind: Service, metadata: {name: a, creationTimestamp: null}}");
    let metadata = object.metadata();
    assert_eq!(metadata.namespace.as_deref(), Some("default"));
    assert_eq!(metadata.generation, Some(1));
    let uid = derived_uid(&object_ref(Kind::Service, "default", "a")).to_string();
    assert_eq!(metadata.uid.as_deref(), Some(uid.as_str()));
    // Names of AWS resources hash the UID, so it may never change.
    assert_eq!(uid, "1bb91000-1d68-5a18-b5af-b263991405b9");
}

#[test]
fn objects_of_the_cluster_have_no_namespace() {
    let object = only(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: a, namespace: b}, spec: {controllerName: x.y/z}}",
    );
    assert_eq!(object.metadata().namespace, None);
    assert_eq!(object.object_ref(), object_ref(Kind::GatewayClass, "", "a"));
}

#[test]
fn a_namespace_carries_its_name_as_a_label() {
    let object = only("{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {app: web}}}");
    let labels = object.metadata().labels.as_ref().unwrap();
    assert_eq!(labels["kubernetes.io/metadata.name"], "a");
    assert_eq!(labels["app"], "web");
}

#[test]
fn defaults_of_the_gateway_api_are_filled_in() {
    let Object::HttpRoute(route) = only(
        "
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: a}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs: [{name: svc, port: 80}]
  - matches: [{headers: [{name: h, value: v}]}]
    backendRefs: []
",
    ) else {
        panic!("not a route");
    };
    let spec = serde_json::to_value(&route.spec).unwrap();
    assert_eq!(spec["parentRefs"][0]["kind"], "Gateway");
    assert_eq!(spec["parentRefs"][0]["group"], "gateway.networking.k8s.io");
    assert_eq!(spec["rules"][0]["backendRefs"][0]["weight"], 1);
    assert_eq!(spec["rules"][0]["backendRefs"][0]["kind"], "Service");
    assert_eq!(spec["rules"][0]["matches"][0]["path"]["type"], "PathPrefix");
    assert_eq!(spec["rules"][0]["matches"][0]["path"]["value"], "/");
    assert_eq!(
        spec["rules"][1]["matches"][0]["headers"][0]["type"],
        "Exact"
    );

    let Object::Gateway(gateway) = only(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec:
  gatewayClassName: c
  listeners: [{name: l, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: s}]}}]
",
    ) else {
        panic!("not a Gateway");
    };
    let listener = &serde_json::to_value(&gateway.spec).unwrap()["listeners"][0];
    assert_eq!(listener["allowedRoutes"]["namespaces"]["from"], "Same");
    assert_eq!(listener["tls"]["mode"], "Terminate");
    assert_eq!(listener["tls"]["certificateRefs"][0]["kind"], "Secret");
}

#[test]
fn defaults_of_our_own_kinds_and_of_kubernetes_are_filled_in() {
    let Object::LoadBalancerConfiguration(configuration) = only(
        "{apiVersion: gateway.k8s.aws/v1, kind: LoadBalancerConfiguration, metadata: {name: a}, spec: {listenerConfigurations: [{protocolPort: 'TLS:443'}]}}",
    ) else {
        panic!("not a LoadBalancerConfiguration");
    };
    let spec = serde_json::to_value(&configuration.spec).unwrap();
    assert_eq!(spec["listenerConfigurations"][0]["alpnPolicy"], "None");

    let Object::ListenerRuleConfiguration(configuration) = only(
        "{apiVersion: gateway.k8s.aws/v1, kind: ListenerRuleConfiguration, metadata: {name: a}, spec: {actions: [{type: forward, forwardConfig: {}}]}}",
    ) else {
        panic!("not a ListenerRuleConfiguration");
    };
    let spec = serde_json::to_value(&configuration.spec).unwrap();
    let stickiness = &spec["actions"][0]["forwardConfig"]["targetGroupStickinessConfig"];
    assert_eq!(stickiness["durationSeconds"], 3600);

    // The definition of a kind of ours asks for no spec.
    let Object::TargetGroupConfiguration(configuration) = only(
        "{apiVersion: gateway.k8s.aws/v1, kind: TargetGroupConfiguration, metadata: {name: a}}",
    ) else {
        panic!("not a TargetGroupConfiguration");
    };
    assert_eq!(
        configuration.spec,
        elbow_api::crds::TargetGroupConfigurationSpec::default()
    );

    let Object::Service(service) =
        only("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80.0}]}}")
    else {
        panic!("not a Service");
    };
    let spec = serde_json::to_value(&service.spec).unwrap();
    assert_eq!(spec["type"], "ClusterIP");
    assert_eq!(spec["ports"][0]["protocol"], "TCP");
    assert_eq!(spec["ports"][0]["port"], 80);
}

#[test]
fn an_old_tls_route_may_leave_out_its_hostnames() {
    let loaded = load_text(
        "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: TLSRoute, metadata: {name: a}, spec: {rules: [{backendRefs: [{name: s, port: 1}]}]}}",
    );
    assert_eq!(loaded.snapshot.objects().len(), 1, "{:?}", lines(&loaded));
}

#[test]
fn write_only_strings_of_a_secret_become_its_data() {
    let Object::Secret(secret) = only(
        "{apiVersion: v1, kind: Secret, metadata: {name: a}, type: kubernetes.io/tls, data: {tls.crt: YQ==}, stringData: {tls.key: b}}",
    ) else {
        panic!("not a Secret");
    };
    // Both entries are there: what is wrong is what they hold.
    assert_eq!(secret.certificate, Err(SecretProblem::NoCertificate));
}

#[test]
fn fields_are_located_in_the_text() {
    let text = "apiVersion: v1
kind: Service
metadata:
  name: a
  labels: {example.com/x: z}
spec:
  ports:
  - port: 80
  - port: 81
    name: ä
";
    let loaded = load_text(text);
    let this = object_ref(Kind::Service, "default", "a");
    let at = |field: Option<&str>| {
        let location = loaded.locate(&this, field).unwrap();
        (
            location.line,
            location.column,
            &text[location.span.start..location.span.end],
        )
    };
    assert_eq!(at(None), (1, 1, "apiVersion"));
    assert_eq!(at(Some("metadata.name")), (4, 9, "a"));
    assert_eq!(at(Some("metadata.labels[example.com/x]")), (5, 27, "z"));
    assert_eq!(at(Some("spec.ports[1].name")), (10, 11, "ä"));
    assert_eq!(at(Some("spec.ports[1]")), (9, 5, "port"));
    assert_eq!(at(Some("spec.ports")), (7, 3, "ports"));
    assert_eq!(at(Some("spec.ports[0].targetPort")), (8, 5, "port"));
    assert_eq!(at(Some("spec.type")), (6, 1, "spec"));
    assert_eq!(at(Some("spec.ports[x]]..[")), (7, 3, "ports"));
    assert_eq!(
        loaded.locate(&object_ref(Kind::Service, "default", "b"), None),
        None
    );
}
