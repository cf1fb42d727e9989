//! Clients that show certificates to application load balancers.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Response;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{backend, certificate, text};
use super::world::{World, forward};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A client's certificate that expires on New Year's Day.
    fn client(&self, name: &str, last_year: i32) -> Arc<SingleCertAndKey> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
        Arc::new(SingleCertAndKey::from(certified))
    }
}

/// What a client with that certificate gets; none if it is refused.
async fn get(address: SocketAddr, shown: Option<Arc<SingleCertAndKey>>) -> Option<String> {
    let mut config = crate::dataplane::tls::client_config(Vec::new()).unwrap();
    if let Some(shown) = shown {
        config.client_auth_cert_resolver = shown;
    }
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "app.example.com".try_into().unwrap();
    let mut stream = connector.connect(name, stream).await.ok()?;
    let request = b"GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\
        X-Amzn-Mtls-Clientcert-Subject: CN=liar\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// An HTTPS listener whose target answers with the headers about its client's certificate.
async fn listener(world: &World, mutual_authentication: Value) -> (String, SocketAddr) {
    let port = backend(|request| async move {
        let headers = request.headers().iter();
        let told = headers.filter(|(name, _)| name.as_str().contains("mtls"));
        let told = told.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        Response::new(text(told.collect::<String>()))
    })
    .await;
    let load_balancer = world.load_balancer("web", "application");
    let target_group = world.target_group("web", "HTTP", json!({}));
    let served = world.certificate(&certificate("app.example.com"));
    let listener = world.listener(
        &load_balancer,
        "HTTPS",
        443,
        forward(&target_group),
        json!({
            "Certificates": [{ "CertificateArn": served }],
            "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "MutualAuthentication": mutual_authentication,
        }),
    );
    world.register(&target_group, port);
    let address = world.address(&listener).await;
    (listener, address)
}

#[tokio::test]
async fn verify_takes_the_clients_of_the_trust_store_alone() {
    let world = World::new().await;
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let store = world.trust_store("ours", &ours.pem);
    let verify = json!({ "Mode": "verify", "TrustStoreArn": store });
    let (_, address) = listener(&world, verify).await;
    let answer = get(address, Some(ours.client("alice", 2100)))
        .await
        .unwrap();
    assert!(
        answer.contains("x-amzn-mtls-clientcert-subject: CN=alice\n"),
        "{answer}"
    );
    assert!(
        answer.contains("x-amzn-mtls-clientcert-issuer: CN=ours\n"),
        "{answer}"
    );
    assert!(
        answer.contains(";NotAfter=2100-01-01T00:00:00Z\n"),
        "{answer}"
    );
    assert!(
        answer.contains("x-amzn-mtls-clientcert-serial-number: "),
        "{answer}"
    );
    assert!(
        answer.contains("x-amzn-mtls-clientcert-leaf: -----BEGIN%20"),
        "{answer}"
    );
    assert_eq!(get(address, None).await, None, "no certificate");
    assert_eq!(
        get(address, Some(theirs.client("mallory", 2100))).await,
        None
    );
    assert_eq!(
        get(address, Some(ours.client("late", 2021))).await,
        None,
        "expired"
    );
}

#[tokio::test]
async fn expired_certificates_will_do_where_that_is_said() {
    let world = World::new().await;
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let store = world.trust_store("ours", &ours.pem);
    let verify = json!({
        "Mode": "verify", "TrustStoreArn": store, "IgnoreClientCertificateExpiry": true,
    });
    let (_, address) = listener(&world, verify).await;
    assert!(
        get(address, Some(ours.client("late", 2021)))
            .await
            .is_some()
    );
    assert_eq!(
        get(address, Some(theirs.client("mallory", 2021))).await,
        None
    );
}

#[tokio::test]
async fn passthrough_leaves_it_to_the_target() {
    let world = World::new().await;
    let (_, address) = listener(&world, json!({ "Mode": "passthrough" })).await;
    let anyone = Authority::new("anyone").client("bob", 2021);
    let answer = get(address, Some(anyone)).await.unwrap();
    assert!(
        answer.contains("x-amzn-mtls-clientcert: -----BEGIN%20CERTIFICATE"),
        "{answer}"
    );
    assert!(
        !answer.contains("subject"),
        "a client's own words are dropped: {answer}"
    );
    let answer = get(address, None).await.unwrap();
    assert!(!answer.contains("mtls"), "{answer}");
}

#[tokio::test]
async fn a_change_of_mode_is_for_new_connections() {
    let world = World::new().await;
    let ours = Authority::new("ours");
    let store = world.trust_store("ours", &ours.pem);
    let (listener, address) = listener(&world, json!({ "Mode": "off" })).await;
    let answer = get(address, None).await.unwrap();
    assert!(!answer.contains("mtls"), "{answer}");
    world.set_mutual_tls(
        &listener,
        json!({ "Mode": "verify", "TrustStoreArn": store }),
    );
    // The data plane hears of it soon, not at once.
    while get(address, None).await.is_some() {}
    assert!(
        get(address, Some(ours.client("alice", 2100)))
            .await
            .is_some()
    );
}
