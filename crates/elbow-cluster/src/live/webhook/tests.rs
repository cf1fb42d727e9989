//! The webhook: in, reviews of pods and certificates on disk; out, patches, and the certificate shown.

use elbow_api::crds::TargetGroupBinding;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::*;

fn gates() -> Gates {
    let mut gates = Gates::default();
    let binding: TargetGroupBinding = serde_json::from_value(json!({
        "metadata": { "name": "tg", "namespace": "app" },
        "spec": { "targetType": "ip", "serviceRef": { "name": "svc", "port": 80 } },
    }))
    .unwrap();
    gates.apply_binding(&binding);
    let service = serde_json::from_value(json!({
        "metadata": { "name": "svc", "namespace": "app" },
        "spec": { "selector": { "app": "it" }, "ports": [{ "port": 80 }] },
    }))
    .unwrap();
    gates.apply_service(&service);
    gates
}

fn request(namespace: &str, labels: &Value) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1",
            "operation": "CREATE",
            "namespace": namespace,
            "object": { "kind": "Pod", "metadata": { "labels": labels }, "spec": {} },
        },
    })
    .to_string()
    .into_bytes()
}

#[test]
fn a_pod_is_allowed_with_its_gates() {
    let answer = review(&request("app", &json!({ "app": "it" })), &gates()).unwrap();
    assert_eq!(answer["response"]["uid"], "r-1");
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch: Value = serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap();
    let gate = json!({ "conditionType": "target-health.elbv2.k8s.aws/tg" });
    let expected = json!([{ "op": "add", "path": "/spec/readinessGates", "value": [gate] }]);
    assert_eq!(patch, expected);
}

#[test]
fn another_pod_is_allowed_as_it_is() {
    for (namespace, labels) in [
        ("app", json!({ "app": "other" })),
        ("other", json!({ "app": "it" })),
        ("app", Value::Null),
    ] {
        let answer = review(&request(namespace, &labels), &gates()).unwrap();
        assert_eq!(answer["response"], json!({ "uid": "r-1", "allowed": true }));
    }
}

#[test]
fn what_is_no_review_of_an_object_is_an_error() {
    assert!(
        review(b"{", &gates())
            .unwrap_err()
            .starts_with("this is no JSON")
    );
    let deletion = json!({ "request": { "uid": "r", "object": null } }).to_string();
    assert!(review(deletion.as_bytes(), &gates()).is_err());
}

/// An authority, and a folder with a certificate of its for `localhost`.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self {
            authority,
            folder: tempfile::tempdir().unwrap(),
        };
        pki.issue();
        pki
    }

    /// Writes another certificate, and answers with it.
    fn issue(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.folder.path().join("tls.key"), key.serialize_pem()).unwrap();
        std::fs::write(self.folder.path().join("tls.crt"), certificate.pem()).unwrap();
        certificate.der().clone()
    }

    fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            address: "127.0.0.1:0".parse().unwrap(),
            certificate: self.folder.path().join("tls.crt"),
            key: self.folder.path().join("tls.key"),
        }
    }

    /// Sends a request, and answers with the certificate that was shown and the response.
    async fn ask(
        &self,
        address: SocketAddr,
        path: &str,
        body: &[u8],
    ) -> (CertificateDer<'static>, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0]
            .clone()
            .into_owned();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (shown, answer)
    }
}

#[tokio::test]
async fn it_answers_over_https() {
    let pki = Pki::new();
    let gates = Arc::new(RwLock::new(gates()));
    let webhook = Webhook::bind(&pki.settings(), gates).await.unwrap();
    let address = webhook.address().unwrap();
    let server = tokio::spawn(webhook.run());
    let (_, answer) = pki
        .ask(address, POD_PATH, &request("app", &json!({ "app": "it" })))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("JSONPatch"), "{answer}");
    let (_, answer) = pki.ask(address, "/else", b"{}").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let (_, answer) = pki.ask(address, POD_PATH, b"{}").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    server.abort();
}

#[tokio::test]
async fn a_certificate_is_renewed_only_by_one_that_can_be_used() {
    let pki = Pki::new();
    let settings = pki.settings();
    let certificate = Certificate::read(&settings.certificate, &settings.key).unwrap();
    let first = certificate.leaf();
    // A certificate without its key: half of a Secret's renewal.
    let key = std::fs::read(&settings.key).unwrap();
    let second = pki.issue();
    let second_key = std::fs::read(&settings.key).unwrap();
    std::fs::write(&settings.key, key).unwrap();
    certificate.renew();
    assert_eq!(certificate.leaf(), first);
    // Then the key as well.
    std::fs::write(&settings.key, second_key).unwrap();
    certificate.renew();
    assert_eq!(certificate.leaf(), second);
    std::fs::write(&settings.certificate, "no certificate").unwrap();
    certificate.renew();
    assert_eq!(certificate.leaf(), second);
}

#[tokio::test]
async fn it_does_not_start_without_a_certificate() {
    let pki = Pki::new();
    std::fs::write(pki.settings().certificate, "").unwrap();
    let failed = Webhook::bind(&pki.settings(), Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.contains("there is no certificate in it"),
        "{message}"
    );
}
