//! What all Gateways of a cluster share: one security group, by which targets know load balancers, the
//! certificates that are imported from Secrets, and the trust stores that are made of ConfigMaps.
//!
//! In: what the Gateways use of it, the Secrets and ConfigMaps. Out: a Stack with that. What always holds:
//! the content of a certificate or trust store comes from the Secret or the ConfigMaps as they are now,
//! whichever Gateway was translated when; one that these cannot give content at present is not asked for,
//! and the planner deletes none that a listener uses.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{
    CaBundle, Kind, NamespacedName, ObjectRef, Read, Reader, Snapshot, TlsCertificate,
};
use elbow_model::certificate::{CONTENT_TAG, secret_of};
use elbow_model::stack::{BACKEND_SECURITY_GROUP, SecurityGroup};
use elbow_model::trust_store::{self, BUNDLE_TAG};
use elbow_model::{
    AuthoritySource, Cause, ImportedCertificate, ResourceId, SecretContent, Stack, StackId, Tags,
    TrustStore,
};

use crate::gateway::names;
use crate::settings::Settings;

/// What the Gateways use of what they share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedUse {
    /// Whether any load balancer has the shared security group.
    pub backend_security_group: bool,
    /// The imported certificates that listeners have.
    pub certificates: BTreeSet<ResourceId>,
    /// The trust stores that listeners have, and of which ConfigMaps they are made.
    pub trust_stores: BTreeMap<ResourceId, BTreeSet<AuthoritySource>>,
}

impl SharedUse {
    /// What these Stacks use.
    pub fn of<'a>(stacks: impl IntoIterator<Item = &'a Stack>) -> Self {
        let mut shared = Self::default();
        for stack in stacks {
            shared.backend_security_group |= stack.uses_backend_security_group();
            let certificates = stack.imported_certificates().into_iter().cloned();
            shared.certificates.extend(certificates);
            let authorities = stack.authorities.iter();
            let authorities = authorities.map(|(id, sources)| (id.clone(), sources.clone()));
            shared.trust_stores.extend(authorities);
        }
        shared
    }

    /// Everything that listeners have.
    pub fn of_listeners(&self) -> BTreeSet<ResourceId> {
        let certificates = self.certificates.iter();
        certificates
            .chain(self.trust_stores.keys())
            .cloned()
            .collect()
    }
}

/// What all others share, as the objects want it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTranslation {
    /// Its Stack.
    pub stack: Stack,
    /// What was read: a change of any of it calls for translating again.
    pub reads: BTreeSet<Read>,
    /// From when on it has to be translated again though nothing changes, in seconds since 1970: a
    /// certificate begins or ends to be valid. Those of trust stores are AWS's to judge, with each
    /// client's.
    pub holds_until_seconds: Option<i64>,
}

/// Translates what all others share.
pub fn translate_cluster(
    shared_use: &SharedUse,
    snapshot: &Snapshot,
    now_seconds: Option<i64>,
    settings: &Settings,
) -> ClusterTranslation {
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
    let mut holds_until_seconds: Option<i64> = None;
    for id in &shared_use.certificates {
        let Some((namespace, name)) = secret_of(id) else {
            continue;
        };
        let name = NamespacedName::new(namespace, name);
        let found = reader
            .secret(&name)
            .and_then(|secret| secret.certificate.as_ref().ok());
        let changes_at = found.and_then(|c| c.changes_after(now_seconds?));
        holds_until_seconds = holds_until_seconds.into_iter().chain(changes_at).min();
        let usable = found.filter(|c| now_seconds.is_none_or(|now| c.problem_at(now).is_none()));
        if let Some(certificate) = usable {
            let imported = imported(settings, id, &name, certificate);
            shared.certificates.insert(id.clone(), imported);
        }
    }
    shared.bundle_storage.clone_from(&settings.bundle_storage);
    for (id, sources) in &shared_use.trust_stores {
        let mut bundle = CaBundle::default();
        for AuthoritySource { namespace, name } in sources {
            let config_map = reader.config_map(&NamespacedName::new(namespace, name));
            if let Some(Ok(authorities)) = config_map.map(|c| &c.authorities) {
                bundle.merge(authorities);
            }
        }
        if !bundle.is_empty() {
            let made = made(settings, id, sources, &bundle);
            shared.trust_stores.insert(id.clone(), made);
        }
    }
    ClusterTranslation {
        stack: shared,
        reads: reader.into_reads(),
        holds_until_seconds,
    }
}

fn made(
    settings: &Settings,
    id: &ResourceId,
    sources: &BTreeSet<AuthoritySource>,
    bundle: &CaBundle,
) -> TrustStore {
    let mut tags = tags(settings, id);
    tags.insert(BUNDLE_TAG.to_owned(), bundle.digest());
    let cause = |source: &AuthoritySource| Cause {
        kind: Kind::ConfigMap.as_str().to_owned(),
        namespace: source.namespace.clone(),
        name: source.name.clone(),
    };
    TrustStore {
        name: trust_store::name(&settings.cluster_name, id),
        bundle: bundle.pem(),
        digest: bundle.digest(),
        certificates: bundle.len(),
        tags,
        causes: sources.iter().map(cause).collect(),
    }
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
