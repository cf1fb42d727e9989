//! Trust stores, and the listeners that use them.

use super::*;
use crate::s3;

/// An authority, and a certificate that is none. Both are self-signed, for a hundred years.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBiDCCAS+gAwIBAgIUE+QwJWRUQYhUO2LY70d5tCFA3C0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIzMDczNjM4WhgPMjEy
NjEwMzAwNzM2MzhaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE5CDZwRCFUtK4xTuZ3rYnaUeQxUFJxOtN69W8VNGP
dyYxfRn1DxrXHdP/bULz9IPQ0IyKX66GTtholCypevuOP6NTMFEwHQYDVR0OBBYE
FDc4DgHs+EpMvmBT8LNp8fnR3DChMB8GA1UdIwQYMBaAFDc4DgHs+EpMvmBT8LNp
8fnR3DChMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgWUfEL747
G9DMsl1p3mbOafoC9stmyHsuzKDhppKL5H8CIHR6eGHQ+Dk5COsdFJpzKd0X1Q+n
lIvM1VAq0g3Fg2Om
-----END CERTIFICATE-----
";
const LEAF: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcjCCARigAwIBAgIUZy/xppZTGutmJngtB9P5IfhULnowCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbGVhZjAgFw0yNjExMjMwNzM2MzhaGA8yMTI2MTAzMDA3MzYz
OFowDzENMAsGA1UEAwwEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLP+
BOOf/GzX2+T2CYwn1B5jYNzTyd4CPxJWI0op2x4Kw5d+No+ZY1S9xGShW+sv/Zvp
QROfhQ6AffxoBp0Z9b6jUDBOMB0GA1UdDgQWBBQmZI8ivlUjzDQz3ZmXDwOlLToK
ujAfBgNVHSMEGDAWgBQmZI8ivlUjzDQz3ZmXDwOlLToKujAMBgNVHRMBAf8EAjAA
MAoGCCqGSM49BAMCA0gAMEUCIGknDbNjcBBuqqCbLnW2nbt2Anq4KuRDsHN1qnJQ
HVFdAiEAs8fodGOi6jaWFlrmsSWSTdes5FAXm4AtD/eNhv7OWXo=
-----END CERTIFICATE-----
";

impl World {
    fn put(&mut self, key: &str, text: &str) {
        let bucket = || "bundles".to_owned();
        let create = s3::Request::CreateBucket { bucket: bucket() };
        // It may be there already.
        drop(self.emulator.s3(self.now, create));
        let put = s3::Request::PutObject {
            bucket: bucket(),
            key: key.to_owned(),
            bytes: text.into(),
            content_type: None,
        };
        self.emulator.s3(self.now, put).unwrap();
    }

    fn store(&mut self, name: &str) -> String {
        let output: wire::CreateTrustStoreOutput = self.ask(create(name, "ca"));
        let store = output.trust_stores.unwrap().remove(0);
        store.trust_store_arn.unwrap()
    }

    fn stores(&mut self, names: &[&str]) -> Vec<wire::TrustStore> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let output: wire::DescribeTrustStoresOutput = self.ask(wire::DescribeTrustStoresInput {
            names: Some(names),
            ..Default::default()
        });
        output.trust_stores.unwrap()
    }

    /// An HTTPS listener that verifies clients.
    fn verifying(&self, lb: &str, port: i32, store: &str) -> wire::CreateListenerInput {
        wire::CreateListenerInput {
            certificates: Some(vec![wire::Certificate {
                certificate_arn: Some(self.certificates[0].clone()),
                is_default: None,
            }]),
            mutual_authentication: Some(wire::MutualAuthenticationAttributes {
                mode: Some("verify".into()),
                trust_store_arn: Some(store.into()),
                advertise_trust_store_ca_names: Some("on".into()),
                ..Default::default()
            }),
            ..Self::listener_input(lb, "HTTPS", port, fixed_response("404"))
        }
    }
}

fn create(name: &str, key: &str) -> wire::CreateTrustStoreInput {
    wire::CreateTrustStoreInput {
        name: name.into(),
        ca_certificates_bundle_s3_bucket: "bundles".into(),
        ca_certificates_bundle_s3_key: key.into(),
        ..Default::default()
    }
}

#[test]
fn bundles_are_judged() {
    let mut world = World::new();
    let broken = AUTHORITY.replace("MII", "MIX");
    let many = AUTHORITY.repeat(26);
    let rows = [
        ("one", AUTHORITY.to_owned(), Ok(1)),
        ("two", AUTHORITY.repeat(2), Ok(2)),
        ("a comment", format!("# ours\n{AUTHORITY}"), Ok(1)),
        (
            "a comment with a hyphen",
            format!("# a-b\n{AUTHORITY}"),
            Err("line 1"),
        ),
        (
            "an empty line",
            format!("{AUTHORITY}\n{AUTHORITY}"),
            Err("is neither PEM nor a comment"),
        ),
        (
            "no authority",
            LEAF.to_owned(),
            Err("not that of an authority"),
        ),
        ("broken", broken, Err("certificate 1 cannot be read")),
        ("too many", many, Err("more than 25")),
        (
            "nothing",
            "# nothing\n".to_owned(),
            Err("holds no certificate"),
        ),
    ];
    for (index, (row, text, expected)) in rows.into_iter().enumerate() {
        let name = format!("store{index}");
        world.put("ca", &text);
        match expected {
            Ok(count) => {
                world.store(&name);
                let store = world.stores(&[&name]).remove(0);
                assert_eq!(store.number_of_ca_certificates, Some(count), "{row}");
                assert_eq!(store.status.as_deref(), Some("ACTIVE"), "{row}");
            }
            Err(text) => {
                world.refuses(create(&name, "ca"), "InvalidCaCertificatesBundle", text);
            }
        }
    }
    world.refuses(create("x", "gone"), "CaCertificatesBundleNotFound", "gone");
}

#[test]
fn names_are_unique_and_few() {
    let mut world = World::with(Config {
        quotas: crate::Quotas {
            trust_stores: 2,
            ..crate::Quotas::default()
        },
        ..Config::default()
    });
    world.put("ca", AUTHORITY);
    world.store("a");
    world.refuses(create("a", "ca"), "DuplicateTrustStoreName", "'a'");
    world.store("b");
    world.refuses(create("c", "ca"), "TooManyTrustStores", "'2'");
    world.refuses(create("a_b", "ca"), "ValidationError", "name");
    let unknown = wire::DescribeTrustStoresInput {
        names: Some(vec!["a".into(), "z".into()]),
        ..Default::default()
    };
    world.refuses(unknown, "TrustStoreNotFound", "z");
    let versioned = wire::CreateTrustStoreInput {
        ca_certificates_bundle_s3_object_version: Some("1".into()),
        ..create("d", "ca")
    };
    world.refuses(versioned, "ValidationError", "not modelled");
}

#[test]
fn a_store_in_use_stays() {
    let mut world = World::new();
    world.put("ca", AUTHORITY);
    let store = world.store("ours");
    let lb = world.application("web");
    let output: wire::CreateListenerOutput = world.ask(world.verifying(&lb, 443, &store));
    let listener = output.listeners.unwrap().remove(0);
    let shown = listener.mutual_authentication.unwrap();
    assert_eq!(shown.mode.as_deref(), Some("verify"));
    assert_eq!(shown.trust_store_arn.as_ref(), Some(&store));
    assert_eq!(shown.advertise_trust_store_ca_names.as_deref(), Some("on"));
    assert_eq!(shown.ignore_client_certificate_expiry, Some(false));

    let delete = || wire::DeleteTrustStoreInput {
        trust_store_arn: store.clone(),
    };
    world.refuses(delete(), "TrustStoreInUse", "ours");
    let output: wire::DescribeTrustStoreAssociationsOutput =
        world.ask(wire::DescribeTrustStoreAssociationsInput {
            trust_store_arn: store.clone(),
            ..Default::default()
        });
    let users = output.trust_store_associations.unwrap();
    assert_eq!(users[0].resource_arn.as_ref(), Some(&lb));

    let _: wire::ModifyListenerOutput = world.ask(wire::ModifyListenerInput {
        listener_arn: listener.listener_arn.unwrap(),
        mutual_authentication: Some(wire::MutualAuthenticationAttributes {
            mode: Some("off".into()),
            ..Default::default()
        }),
        ..Default::default()
    });
    let _: wire::DeleteTrustStoreOutput = world.ask(delete());
    world.refuses(delete(), "TrustStoreNotFound", "ours");
}

#[test]
fn two_listeners_of_a_load_balancer_verify() {
    let mut world = World::new();
    world.put("ca", AUTHORITY);
    let store = world.store("ours");
    let lb = world.application("web");
    for port in [443, 8443] {
        let _: wire::CreateListenerOutput = world.ask(world.verifying(&lb, port, &store));
    }
    // Once more the same is no third one.
    let _: wire::CreateListenerOutput = world.ask(world.verifying(&lb, 443, &store));
    let third = world.verifying(&lb, 9443, &store);
    world.refuses(third, "OperationNotPermitted", "'2'");
}

#[test]
fn a_new_bundle_replaces_the_old_one() {
    use crate::dataplane::ServedMutualTls;
    let mut world = World::new();
    world.put("ca", AUTHORITY);
    let store = world.store("ours");
    let lb = world.application("web");
    let _: wire::CreateListenerOutput = world.ask(world.verifying(&lb, 443, &store));
    let served = |world: &World| {
        let listener = world.emulator.listeners(world.now).remove(0);
        match listener.mutual_tls {
            ServedMutualTls::Verify { authorities, .. } => authorities,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(served(&world), AUTHORITY);
    let new = format!("# second\n{AUTHORITY}");
    world.put("ca", &new);
    assert_eq!(served(&world), AUTHORITY, "S3 alone changes nothing");
    let revision = world.emulator.revision();
    let _: wire::ModifyTrustStoreOutput = world.ask(wire::ModifyTrustStoreInput {
        trust_store_arn: store,
        ca_certificates_bundle_s3_bucket: "bundles".into(),
        ca_certificates_bundle_s3_key: "ca".into(),
        ..Default::default()
    });
    assert_eq!(served(&world), new);
    assert!(
        world.emulator.revision() > revision,
        "the data plane is told"
    );
}

#[test]
fn trust_stores_have_tags() {
    let mut world = World::new();
    world.put("ca", AUTHORITY);
    let tag = |key: &str| wire::Tag {
        key: key.into(),
        value: Some("v".into()),
    };
    let output: wire::CreateTrustStoreOutput = world.ask(wire::CreateTrustStoreInput {
        tags: Some(vec![tag("a")]),
        ..create("ours", "ca")
    });
    let arn = output
        .trust_stores
        .unwrap()
        .remove(0)
        .trust_store_arn
        .unwrap();
    let _: wire::AddTagsOutput = world.ask(wire::AddTagsInput {
        resource_arns: vec![arn.clone()],
        tags: vec![tag("b")],
    });
    let output: wire::DescribeTagsOutput = world.ask(wire::DescribeTagsInput {
        resource_arns: vec![arn],
    });
    let tags = output.tag_descriptions.unwrap().remove(0).tags.unwrap();
    assert_eq!(tags, [tag("a"), tag("b")]);
}
