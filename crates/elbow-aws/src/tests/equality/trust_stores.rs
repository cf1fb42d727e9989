//! Trust stores and the listeners that verify clients by them, the same over HTTP and in the process.

use elbow_model::aws_call::TagTarget;
use elbow_model::{
    AwsAnswer, AwsCall, ErrorClass, ListenerArn, MutualAuthentication, Ref, TrustStoreArn,
};

use super::Story;
use super::inputs::tags;
use crate::tests::world::BUCKET;

const AUTHORITY: &str = include_str!("../../../testdata/imported.crt");

fn modify(listener: &ListenerArn, asked: MutualAuthentication) -> AwsCall {
    AwsCall::ModifyListener {
        listener: listener.clone().into(),
        protocol: None,
        default_action: None,
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: Some(asked),
    }
}

/// What a listener of a load balancer asks of its clients.
async fn asked(story: &mut Story, listener: &ListenerArn) -> MutualAuthentication {
    let load_balancer = listener.as_str().replace(":listener/", ":loadbalancer/");
    let (load_balancer, _) = load_balancer.rsplit_once('/').unwrap();
    let described = story.ask(AwsCall::DescribeListeners {
        load_balancer: elbow_model::LoadBalancerArn::new(load_balancer),
        marker: None,
    });
    let AwsAnswer::Listeners(page) = described.await else {
        panic!("no listeners");
    };
    let mut listeners = page.items.into_iter();
    let found = listeners.find(|l| l.arn == *listener).unwrap();
    found.mutual_authentication
}

pub(super) async fn keep(story: &mut Story, listener: &ListenerArn) {
    assert_eq!(
        asked(story, listener).await,
        MutualAuthentication::Passthrough
    );
    let arn = make(story).await;
    let trust_store = || Ref::from(arn.clone());
    let verify = MutualAuthentication::Verify {
        trust_store: trust_store(),
        ignore_client_certificate_expiry: true,
        advertise_trust_store_ca_names: true,
    };
    story.change(modify(listener, verify.clone())).await;
    assert_eq!(asked(story, listener).await, verify);
    story
        .refused(
            AwsCall::DeleteTrustStore {
                trust_store: trust_store(),
            },
            ErrorClass::Conflict,
            "TrustStoreInUse",
        )
        .await;
    story
        .change(modify(listener, MutualAuthentication::Off))
        .await;
    assert_eq!(asked(story, listener).await, MutualAuthentication::Off);
    story
        .change(AwsCall::DeleteTrustStore {
            trust_store: trust_store(),
        })
        .await;
    let unknown = AwsCall::DescribeTrustStores {
        names: vec!["ours".to_owned()],
        marker: None,
    };
    story
        .refused(unknown, ErrorClass::Invalid, "TrustStoreNotFound")
        .await;
}

/// Makes a trust store and gives it other content.
async fn make(story: &mut Story) -> TrustStoreArn {
    let key = || "ours/one.pem".to_owned();
    let bucket = || BUCKET.to_owned();
    let put = |bucket: &str| AwsCall::PutObject {
        bucket: bucket.to_owned(),
        key: key(),
        content: AUTHORITY.to_owned(),
    };
    story
        .refused(put("nobodys"), ErrorClass::Invalid, "NoSuchBucket")
        .await;
    let create = || AwsCall::CreateTrustStore {
        name: "ours".to_owned(),
        bucket: bucket(),
        key: key(),
        tags: tags("trust-store"),
    };
    story
        .refused(
            create(),
            ErrorClass::NotFound,
            "CaCertificatesBundleNotFound",
        )
        .await;
    story.change(put(BUCKET)).await;
    let AwsAnswer::TrustStoreCreated(arn) = story.ask(create()).await else {
        panic!("no trust store");
    };
    story
        .refused(create(), ErrorClass::Conflict, "DuplicateTrustStoreName")
        .await;
    story
        .change(AwsCall::ModifyTrustStore {
            trust_store: arn.clone().into(),
            bucket: bucket(),
            key: key(),
        })
        .await;
    for _ in 0..2 {
        // What is not there is deleted, too.
        story
            .change(AwsCall::DeleteObject {
                bucket: bucket(),
                key: key(),
            })
            .await;
    }
    story
        .change(AwsCall::AddTags {
            resource: TagTarget::TrustStore(arn.clone().into()),
            tags: tags("more"),
        })
        .await;
    let told = story.ask(AwsCall::DescribeTags {
        arns: vec![arn.to_string()],
    });
    assert!(matches!(told.await, AwsAnswer::TagsByArn(page) if page.items.len() == 1));
    let found = story.ask(AwsCall::DescribeTrustStores {
        names: Vec::new(),
        marker: None,
    });
    assert!(matches!(found.await, AwsAnswer::TrustStores(page) if page.items.len() == 1));
    arn
}
