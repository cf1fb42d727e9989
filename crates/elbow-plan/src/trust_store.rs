//! Trust stores that are made of ConfigMaps: made, given other content, deleted.
//!
//! In: the trust stores that the cluster's Stack wants, and those that are there. Out: steps. What always
//! holds: other content keeps the ARN, so no listener changes; the tag that tells the content changes last,
//! so a crash in between does the same once more and nothing else; what a listener uses is not deleted.
//!
//! ELBv2 reads a bundle from S3 once, when it is given one. The object stays there as long as the trust
//! store has that content, so that whoever finds the trust store can tell the object, and goes first: no
//! crash leaves an object behind that nothing tells of, but one between the upload and the first use.

use elbow_model::aws_call::TagTarget;
use elbow_model::ids::{ResourceId, TrustStoreArn};
use elbow_model::observed::ObservedTrustStore;
use elbow_model::trust_store::{BUNDLE_TAG, TRUST_STORE_PREFIX};
use elbow_model::{AwsCall, BundleStorage, MutualAuthentication, Ref, ResourceKind, TrustStore};

use crate::draft::{change, set};
use crate::hazards::Hazard;
use crate::plan::{Action, StepId};
use crate::stack::Context;
use crate::tags::Legacy;

/// Digits of a content digest that people are shown.
const SHOWN_DIGITS: usize = 12;

/// Makes what is missing or of other content.
pub(crate) fn ensure(ctx: &mut Context<'_>) {
    let Some(storage) = &ctx.stack.bundle_storage else {
        return;
    };
    for (id, desired) in &ctx.stack.trust_stores {
        match ctx.pairing.trust_stores.get(id).copied().flatten() {
            None => create(ctx, storage, id, desired),
            Some(observed) => update(ctx, storage, id, desired, observed),
        }
    }
}

/// Deletes trust stores that nobody wants and no listener uses.
pub(crate) fn delete_old(ctx: &mut Context<'_>) {
    for observed in ctx.pairing.old_trust_stores.clone() {
        if ctx.uses_trust_store(&observed.arn) {
            continue;
        }
        let id = ctx.resource_id(&observed.tags);
        let key = ctx.stack.key(ResourceKind::TrustStore, &id);
        let object = object_of(ctx, observed);
        let emptied = object.map(|call| {
            ctx.draft
                .step(Action::Delete, key.clone(), shown_name(&id))
                .reason("its bundle in S3 goes with it")
                .call(call)
        });
        ctx.draft
            .step(Action::Delete, key, shown_name(&id))
            .reason("no listener uses it any more")
            .after(emptied)
            .call(AwsCall::DeleteTrustStore {
                trust_store: observed.arn.clone().into(),
            });
    }
}

/// What a listener asks of its clients, with the ARN that is known.
pub(crate) fn resolve(ctx: &Context<'_>, asked: &MutualAuthentication) -> MutualAuthentication {
    let mut asked = asked.clone();
    if let Some(reference) = asked.trust_store_mut()
        && let Ref::Of(key) = reference
        && let Some(arn) = ctx.trust_store_arn(&key.id)
    {
        *reference = Ref::Known(arn);
    }
    asked
}

fn create(ctx: &mut Context<'_>, storage: &BundleStorage, id: &ResourceId, desired: &TrustStore) {
    let key = ctx.stack.key(ResourceKind::TrustStore, id);
    let uploaded = upload(ctx, Action::Create, storage, id, desired);
    ctx.draft
        .step(Action::Create, key, shown_name(id))
        .reason("no trust store carries its tags")
        .causes(&desired.causes)
        .changes(vec![
            set("certificates", desired.certificates),
            set("content", shown(&desired.digest)),
        ])
        .provides()
        .after([uploaded])
        .call(AwsCall::CreateTrustStore {
            name: desired.name.clone(),
            bucket: storage.bucket.clone(),
            key: storage.key(&desired.name, &desired.digest),
            tags: desired.tags.clone(),
        });
}

/// Puts the bundle where ELBv2 reads it.
fn upload(
    ctx: &mut Context<'_>,
    action: Action,
    storage: &BundleStorage,
    id: &ResourceId,
    desired: &TrustStore,
) -> StepId {
    let key = ctx.stack.key(ResourceKind::TrustStore, id);
    let object = storage.key(&desired.name, &desired.digest);
    let limit = ctx.policy.quotas.authorities_max;
    let crowded = (desired.certificates > limit).then(|| Hazard::ExceedsQuota {
        quota: "CA certificates per trust store".to_owned(),
        limit,
        wanted: desired.certificates,
    });
    ctx.draft
        .step(action, key, shown_name(id))
        .reason("a trust store is given its certificates from S3")
        .causes(&desired.causes)
        .changes(vec![set(
            "bundle",
            format!("s3://{}/{object}", storage.bucket),
        )])
        .hazards(crowded)
        .call(AwsCall::PutObject {
            bucket: storage.bucket.clone(),
            key: object,
            content: desired.bundle.clone(),
        })
}

fn update(
    ctx: &mut Context<'_>,
    storage: &BundleStorage,
    id: &ResourceId,
    desired: &TrustStore,
    observed: &ObservedTrustStore,
) {
    let key = ctx.stack.key(ResourceKind::TrustStore, id);
    let content = observed.tags.get(BUNDLE_TAG).map(String::as_str);
    let mut last = None;
    if content != Some(desired.digest.as_str()) {
        let uploaded = upload(ctx, Action::Update, storage, id, desired);
        let changed = change("content", content.map(shown), Some(shown(&desired.digest)));
        let modified = ctx
            .draft
            .step(Action::Update, key.clone(), shown_name(id))
            .reason("its ConfigMaps have other certificates now; the ARN stays")
            .causes(&desired.causes)
            .changes(changed.into_iter().collect())
            .after([uploaded])
            .call(AwsCall::ModifyTrustStore {
                trust_store: observed.arn.clone().into(),
                bucket: storage.bucket.clone(),
                key: storage.key(&desired.name, &desired.digest),
            });
        // While the tag tells the old content, whoever comes after a crash can tell its object.
        let cleared = object_of(ctx, observed).map(|call| {
            ctx.draft
                .step(Action::Update, key.clone(), shown_name(id))
                .reason("its old bundle in S3 is not needed any more")
                .causes(&desired.causes)
                .after([modified])
                .call(call)
        });
        last = cleared.or(Some(modified));
    }
    let target = TagTarget::TrustStore(observed.arn.clone().into());
    ctx.retag(
        &key,
        shown_name(id),
        &desired.causes,
        (&desired.tags, &observed.tags),
        &target,
        Legacy::Kept,
        last.as_slice(),
    );
}

/// Deletes the object that the content of a trust store came from.
fn object_of(ctx: &Context<'_>, observed: &ObservedTrustStore) -> Option<AwsCall> {
    let storage = ctx.stack.bundle_storage.as_ref()?;
    let digest = observed.tags.get(BUNDLE_TAG)?;
    Some(AwsCall::DeleteObject {
        bucket: storage.bucket.clone(),
        key: storage.key(&observed.name, digest),
    })
}

/// Of two with one resource id, the same one in every round.
pub(crate) fn by_resource_id<'o>(
    found: impl IntoIterator<Item = (&'o str, &'o ObservedTrustStore)>,
) -> std::collections::BTreeMap<ResourceId, TrustStoreArn> {
    let mut arns = std::collections::BTreeMap::new();
    for (id, store) in found {
        if !id.starts_with(TRUST_STORE_PREFIX) {
            continue;
        }
        let arn = arns
            .entry(ResourceId::new(id))
            .or_insert_with(|| store.arn.clone());
        if store.arn < *arn {
            arn.clone_from(&store.arn);
        }
    }
    arns
}

/// What people know it by: its ConfigMaps.
fn shown_name(id: &ResourceId) -> &str {
    id.as_str()
        .strip_prefix(TRUST_STORE_PREFIX)
        .unwrap_or(id.as_str())
}

fn shown(digest: &str) -> &str {
    digest.get(..SHOWN_DIGITS).unwrap_or(digest)
}
