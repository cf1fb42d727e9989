//! What all Gateways of a cluster share: one security group, by which targets know load balancers, and
//! the certificates that are imported from Secrets.
//!
//! In: what the Gateways use of it, and the Secrets. Out: a Stack with that. What always holds: the content
//! of a certificate comes from the Secret as it is now, whichever Gateway was translated when; one whose
//! Secret cannot be used at present is not asked for, and the planner deletes none that a listener uses.

use std::collections::BTreeSet;

use elbow_api::{Kind, NamespacedName, ObjectRef, Read, Reader, Snapshot, TlsCertificate};
use elbow_model::certificate::{CONTENT_TAG, secret_of};
use elbow_model::stack::{BACKEND_SECURITY_GROUP, SecurityGroup};
use elbow_model::{Cause, ImportedCertificate, ResourceId, SecretContent, Stack, StackId, Tags};

use crate::gateway::names;
use crate::settings::Settings;

/// What the Gateways use of what they share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedUse {
    /// Whether any load balancer has the shared security group.
    pub backend_security_group: bool,
    /// The imported certificates that listeners have.
    pub certificates: BTreeSet<ResourceId>,
}

impl SharedUse {
    /// What these Stacks use.
    pub fn of<'a>(stacks: impl IntoIterator<Item = &'a Stack>) -> Self {
        let mut shared = Self::default();
        for stack in stacks {
            shared.backend_security_group |= stack.uses_backend_security_group();
            let certificates = stack.imported_certificates().into_iter().cloned();
            shared.certificates.extend(certificates);
        }
        shared
    }
}

/// The Stack of what all others share, and what was read for it.
pub fn translate_cluster(
    shared_use: &SharedUse,
    snapshot: &Snapshot,
    now_seconds: Option<i64>,
    settings: &Settings,
) -> (Stack, BTreeSet<Read>) {
    let cluster = &settings.cluster_name;
    let mut shared = Stack::empty(StackId::CLUSTER, cluster.clone());
    if shared_use.backend_security_group {
        let id = ResourceId::new(BACKEND_SECURITY_GROUP);
        let group = SecurityGroup {
            name: names::backend_security_group(cluster),
            description: "[k8s] Shared Backend SecurityGroup for LoadBalancer".to_owned(),
            vpc_id: settings.vpc_id.clone(),
            ingress: None,
            tags: tags(settings, &id),
            causes: Vec::new(),
        };
        shared.security_groups.insert(id, group);
    }
    let reader = Reader::new(snapshot);
    for id in &shared_use.certificates {
        let Some((namespace, name)) = secret_of(id) else {
            continue;
        };
        let name = NamespacedName::new(namespace, name);
        let usable = reader
            .secret(&name)
            .and_then(|secret| secret.certificate.as_ref().ok())
            .filter(|c| now_seconds.is_none_or(|now| c.problem_at(now).is_none()));
        if let Some(certificate) = usable {
            let imported = imported(settings, id, &name, certificate);
            shared.certificates.insert(id.clone(), imported);
        }
    }
    (shared, reader.into_reads())
}

fn imported(
    settings: &Settings,
    id: &ResourceId,
    secret: &NamespacedName,
    certificate: &TlsCertificate,
) -> ImportedCertificate {
    let mut tags = tags(settings, id);
    tags.insert(CONTENT_TAG.to_owned(), certificate.digest.clone());
    let object = ObjectRef::new(Kind::Secret, secret.namespace.clone(), secret.name.clone());
    ImportedCertificate {
        content: SecretContent {
            namespace: secret.namespace.clone(),
            name: secret.name.clone(),
            digest: certificate.digest.clone(),
        },
        domains: certificate.domains.clone(),
        tags,
        causes: vec![Cause {
            kind: object.kind.as_str().to_owned(),
            namespace: object.namespace,
            name: object.name,
        }],
    }
}

fn tags(settings: &Settings, id: &ResourceId) -> Tags {
    let mut tags: Tags = settings.default_tags.clone();
    tags.extend(StackId::CLUSTER.tracking_tags(&settings.cluster_name, id));
    tags
}
