//! Certificates that listeners name by `tls.certificateRefs`: Secrets, imported into ACM.
//!
//! In: the references of each HTTPS and TLS listener that ends TLS. Out: the certificates of the cluster's
//! Stack that they come to, in their order, and what is wrong with the rest. What always holds: only
//! Secrets that a reference names are looked up, each look-up is recorded, also of one that is absent, and
//! one of another namespace is not looked up without a ReferenceGrant.
//!
//! A Secret that cannot be used any more, because it is gone, expired or malformed, does not take away
//! what was imported of it before: the listener goes on with that and says so. A reference that is not
//! permitted any more is not used, as nobody but the Secret's namespace may decide that.
//!
//! Difference (certificate-refs): LBC passes over the field. Certificates that a
//! LoadBalancerConfiguration names come before it, as they are what a listener of LBC's has.

use elbow_api::crds::ListenerConfiguration;
use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef, Secret};
use elbow_model::certificate::resource_id;
use elbow_model::{CertificateArn, Ref, ResourceKey, ResourceKind, StackId};

use super::context::Context;
use super::listeners::{Listener, ListenerProblem, ListenerProblemKind};
use super::{Frame, certificates, grants};

/// One of `tls.certificateRefs`, with the defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct CertificateRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// What the references of a listener come to.
#[derive(Debug, Clone, Default)]
pub(crate) enum FromSecrets {
    /// It has none, or they do not count.
    #[default]
    NotAsked,
    /// These certificates, the first being the default one.
    Found(Vec<Ref<CertificateArn>>),
    /// None of them can be used, for this reason: the listener cannot be served.
    Nothing(ListenerProblem),
}

/// Resolves the references of all listeners.
pub(crate) fn resolve(frame: &Frame<'_, '_>, listeners: &mut [Listener]) {
    for listener in listeners {
        if listener.certificate_refs.is_empty() || !ends_tls(listener) {
            continue;
        }
        if has_configured(frame, listener) {
            let finding = Diagnostic::warning(
                "ignored-field",
                "the listener has certificates of a LoadBalancerConfiguration, and these are used",
            )
            .hint("remove them there, or here");
            let field = format!("{}.tls.certificateRefs", listener.field());
            frame
                .ctx
                .report(finding.on(listener.owner.clone()).at(field));
            continue;
        }
        let (found, problem) = of_listener(frame.ctx, listener);
        listener.from_secrets = match problem {
            Some(problem) if found.is_empty() => FromSecrets::Nothing(problem),
            problem => {
                listener.unresolved = problem.or(listener.unresolved.take());
                FromSecrets::Found(found)
            }
        };
    }
}

/// Says of the listeners that have no certificate at all that they are not served.
pub(crate) fn settle(listeners: &mut [Listener]) {
    for listener in listeners {
        if let FromSecrets::Nothing(problem) = &listener.from_secrets {
            listener.problem.get_or_insert(problem.clone());
        }
    }
}

fn ends_tls(listener: &Listener) -> bool {
    listener.protocol == "HTTPS" || (listener.protocol == "TLS" && !listener.is_passthrough)
}

fn has_configured(frame: &Frame<'_, '_>, listener: &Listener) -> bool {
    let Ok(port) = u16::try_from(listener.port) else {
        return false;
    };
    let configured = frame.configuration.listener(&listener.protocol, port);
    let configured: Option<&ListenerConfiguration> = configured.map(|(_, c)| c);
    !certificates::explicit(configured).is_empty()
}

/// The certificates of one listener, and the first problem.
fn of_listener(
    ctx: &Context<'_>,
    listener: &Listener,
) -> (Vec<Ref<CertificateArn>>, Option<ListenerProblem>) {
    let mut found: Vec<Ref<CertificateArn>> = Vec::new();
    let mut first = None;
    for (place, reference) in listener.certificate_refs.iter().enumerate() {
        let outcome = of_reference(ctx, &listener.owner, reference);
        if let Some(problem) = outcome.problem {
            let (code, hint) = (problem.code, problem.hint);
            let field = format!("{}.tls.certificateRefs[{place}]", listener.field());
            ctx.report(
                Diagnostic::error(code, problem.message.clone())
                    .on(listener.owner.clone())
                    .at(field)
                    .hint(hint),
            );
            first.get_or_insert(ListenerProblem {
                kind: problem.kind,
                message: problem.message,
            });
        }
        if let Some(certificate) = outcome.certificate
            && !found.contains(&certificate)
        {
            found.push(certificate);
        }
    }
    (found, first)
}

/// What one reference comes to: a certificate, a problem, or both.
struct Outcome {
    certificate: Option<Ref<CertificateArn>>,
    problem: Option<Problem>,
}

struct Problem {
    kind: ListenerProblemKind,
    code: &'static str,
    message: String,
    hint: String,
}

fn of_reference(ctx: &Context<'_>, owner: &ObjectRef, reference: &CertificateRef) -> Outcome {
    let refuse = |kind, code, message: String, hint: &str| Outcome {
        certificate: None,
        problem: Some(Problem {
            kind,
            code,
            message,
            hint: hint.to_owned(),
        }),
    };
    if !reference.group.is_empty() || reference.kind != Kind::Secret.as_str() {
        let of = if reference.group.is_empty() {
            "the core group".to_owned()
        } else {
            format!("group {}", reference.group)
        };
        return refuse(
            ListenerProblemKind::InvalidCertificateRef,
            "invalid-certificate-ref",
            format!("{} of {of} cannot be a certificate", reference.kind),
            "name a Secret of type kubernetes.io/tls",
        );
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.namespace);
    let name = NamespacedName::new(namespace, reference.name.clone());
    if namespace != owner.namespace && !grants::permits_secret(ctx, owner, &name) {
        return refuse(
            ListenerProblemKind::RefNotPermitted,
            "certificate-ref-not-permitted",
            format!(
                "Secret {name} is of another namespace, and no ReferenceGrant there permits {} of {} to refer to it",
                owner.kind, owner.namespace
            ),
            "create a ReferenceGrant in the Secret's namespace",
        );
    }
    let Some(id) = resource_id(&name.namespace, &name.name) else {
        return refuse(
            ListenerProblemKind::InvalidCertificateRef,
            "invalid-certificate-ref",
            format!("namespace and name of Secret {name} are too long for a tag of AWS"),
            "give it a shorter name",
        );
    };
    let problem = problem_of(ctx.reader.secret(&name).map(AsRef::as_ref), &name, ctx);
    // Of what was imported before, nothing is taken away.
    let is_usable = problem.is_none() || ctx.facts.imported_certificates.contains_key(&id);
    let key = ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::Certificate,
        id,
    };
    Outcome {
        certificate: is_usable.then_some(Ref::Of(key)),
        problem: problem.map(|(message, hint)| Problem {
            kind: ListenerProblemKind::InvalidCertificateRef,
            code: "invalid-certificate-ref",
            message,
            hint: if is_usable {
                format!("{hint}; until then the certificate that was imported before is served")
            } else {
                format!("{hint}; until then the listener is left as it is, or not created")
            },
        }),
    }
}

/// Why a Secret cannot be used, and what to do.
fn problem_of(
    secret: Option<&Secret>,
    name: &NamespacedName,
    ctx: &Context<'_>,
) -> Option<(String, String)> {
    let Some(secret) = secret else {
        let hint = "create it with `kubectl create secret tls`, correct the reference, or let elbow read Secrets of that namespace";
        return Some((format!("Secret {name} does not exist"), hint.to_owned()));
    };
    match &secret.certificate {
        Err(problem) => Some((
            format!("Secret {name} {problem}"),
            problem.hint().to_owned(),
        )),
        Ok(certificate) => {
            let now = ctx.facts.now_seconds?;
            ctx.holds_until(certificate.changes_after(now));
            let problem = certificate.problem_at(now)?;
            let hint = "put a certificate into it that is valid now";
            Some((format!("Secret {name} {problem}"), hint.to_owned()))
        }
    }
}
