//! Certificates that are imported from Secrets: imported, imported again under their ARN, deleted.
//!
//! In: the certificates that the cluster's Stack wants, and those that are there. Out: steps. What always
//! holds: new content keeps the ARN, so no listener changes and no connection ends; the tag that tells the
//! content changes after the content, so a crash between the two imports once more and nothing else; what
//! a listener uses is not deleted.

use elbow_model::certificate::{CONTENT_TAG, ImportedCertificate};
use elbow_model::ids::{CertificateArn, ResourceId};
use elbow_model::observed::ObservedCertificate;
use elbow_model::{AwsCall, Ref, ResourceKind};

use crate::draft::{change, set};
use crate::plan::{Action, Change};
use crate::stack::Context;
use crate::tags::{Legacy, difference};

/// Digits of a content digest that people are shown.
const SHOWN_DIGITS: usize = 12;

/// Imports what is missing or of other content.
pub(crate) fn ensure(ctx: &mut Context<'_>) {
    for (id, desired) in &ctx.stack.certificates {
        match ctx.pairing.certificates.get(id).copied().flatten() {
            None => import(ctx, id, desired),
            Some(observed) => update(ctx, id, desired, observed),
        }
    }
}

/// Deletes certificates that nobody wants and no listener uses.
///
/// Caveat: ACM learns late that a listener has let go; the call fails with `ResourceInUseException` until
/// then, and is repeated.
pub(crate) fn delete_old(ctx: &mut Context<'_>) {
    for observed in ctx.pairing.old_certificates.clone() {
        if ctx.uses_certificate(&observed.arn) {
            continue;
        }
        let id = ctx.resource_id(&observed.tags);
        let key = ctx.stack.key(ResourceKind::Certificate, &id);
        ctx.draft
            .step(Action::Delete, key, name(&id))
            .reason("no listener uses it any more")
            .call(AwsCall::DeleteCertificate {
                certificate: observed.arn.clone(),
            });
    }
}

/// Certificates with the ARNs that are known.
pub(crate) fn resolve(
    ctx: &Context<'_>,
    certificates: &[Ref<CertificateArn>],
) -> Vec<Ref<CertificateArn>> {
    let known = |reference: &Ref<CertificateArn>| match reference {
        Ref::Of(key) => ctx
            .certificate_arn(&key.id)
            .map_or_else(|| reference.clone(), Ref::Known),
        Ref::Known(_) => reference.clone(),
    };
    certificates.iter().map(known).collect()
}

fn import(ctx: &mut Context<'_>, id: &ResourceId, desired: &ImportedCertificate) {
    let key = ctx.stack.key(ResourceKind::Certificate, id);
    ctx.draft
        .step(Action::Create, key, name(id))
        .reason("no certificate carries its tags")
        .causes(&desired.causes)
        .changes(vec![
            set("domains", desired.domains.join(", ")),
            set("content", shown(&desired.content.digest)),
        ])
        .provides()
        .call(AwsCall::ImportCertificate {
            certificate: None,
            content: desired.content.clone(),
            tags: desired.tags.clone(),
        });
}

fn update(
    ctx: &mut Context<'_>,
    id: &ResourceId,
    desired: &ImportedCertificate,
    observed: &ObservedCertificate,
) {
    let key = ctx.stack.key(ResourceKind::Certificate, id);
    let content = observed.tags.get(CONTENT_TAG).map(String::as_str);
    let mut imported = None;
    if content != Some(desired.content.digest.as_str()) {
        let changed = change(
            "content",
            content.map(shown),
            Some(shown(&desired.content.digest)),
        );
        let step = ctx
            .draft
            .step(Action::Update, key.clone(), name(id))
            .reason("the Secret has another certificate now; the ARN stays")
            .causes(&desired.causes)
            .changes(changed.into_iter().collect())
            .call(AwsCall::ImportCertificate {
                certificate: Some(observed.arn.clone()),
                content: desired.content.clone(),
                tags: elbow_model::Tags::new(),
            });
        imported = Some(step);
    }
    let tags = difference(
        &desired.tags,
        &observed.tags,
        &ctx.policy.external_managed_tags,
        Legacy::Kept,
    );
    let of = |set: bool| -> Vec<Change> {
        let changes = tags.changes.iter();
        changes
            .filter(|c| c.after.is_some() == set)
            .cloned()
            .collect()
    };
    let (added, removed) = (of(true), of(false));
    if !tags.set.is_empty() {
        ctx.draft
            .step(Action::Tag, key.clone(), name(id))
            .reason("its tags differ")
            .causes(&desired.causes)
            .changes(added)
            .after(imported)
            .call(AwsCall::AddTagsToCertificate {
                certificate: observed.arn.clone(),
                tags: tags.set,
            });
    }
    if !tags.remove.is_empty() {
        ctx.draft
            .step(Action::Tag, key, name(id))
            .reason("it carries tags that nobody asks for")
            .causes(&desired.causes)
            .changes(removed)
            .call(AwsCall::RemoveTagsFromCertificate {
                certificate: observed.arn.clone(),
                keys: tags.remove,
            });
    }
}

/// What people know it by: the Secret's namespace and name.
fn name(id: &ResourceId) -> &str {
    let prefix = elbow_model::certificate::IMPORTED_PREFIX;
    id.as_str().strip_prefix(prefix).unwrap_or(id.as_str())
}

fn shown(digest: &str) -> &str {
    digest.get(..SHOWN_DIGITS).unwrap_or(digest)
}
