//! What listeners ask of their clients: certificates, by `spec.tls.frontend` of the Gateway or by
//! `mutualAuthentication` of a LoadBalancerConfiguration.
//!
//! In: both, for each HTTPS and TLS listener. Out: mutual TLS of the load balancer's listener, the ConfigMaps
//! that its trust store is made of, and what is wrong. What always holds: a listener that is to verify
//! clients and cannot is not created without that, and one that is there stays as it is; only ConfigMaps that
//! a reference names are looked up, and one of another namespace not without a ReferenceGrant.
//!
//! | `mode` of the Gateway API | of an ALB |
//! |---|---|
//! | AllowValidOnly | verify, by a trust store of the ConfigMaps' certificates |
//! | AllowInsecureFallback | passthrough: any certificate or none is let in, and the targets judge what is in the header `X-Amzn-Mtls-Clientcert` |
//!
//! An ALB that passes certificates through compares them with no authority ("Mutual authentication with TLS in
//! Application Load Balancer"), and the Gateway API leaves the client to the backend in that mode. So the
//! references are checked then, and not used.
//!
//! Difference (frontend-validation): LBC passes over `spec.tls.frontend`. What a LoadBalancerConfiguration asks
//! for comes before it; its mode `off` asks for nothing, as LBC has it.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::{self, AdvertiseTrustStoreCaNames, MutualAuthenticationMode};
use elbow_api::{CaBundle, Diagnostic, Kind, NamespacedName, ObjectRef};
use elbow_model::trust_store::resource_id;
use elbow_model::{
    AuthoritySource, MutualAuthentication, Ref, ResourceId, ResourceKey, ResourceKind, StackId,
    TrustStoreArn,
};
use gateway_api::apis::experimental::gateways as gw;

use super::listeners::{Listener, ListenerProblem, ListenerProblemKind};
use super::{Frame, grants};

/// What a listener asks of its clients.
#[derive(Debug, Clone, Default)]
pub(crate) enum Clients {
    /// Nothing.
    #[default]
    NotAsked,
    /// This.
    Asked(MutualAuthentication),
    /// That cannot be had, for this reason: the listener cannot be served.
    Refused(ListenerProblem),
}

/// The ConfigMaps behind trust stores, by resource id.
pub(crate) type Authorities = BTreeMap<ResourceId, BTreeSet<AuthoritySource>>;

/// One configuration of `spec.tls.frontend`.
#[derive(Debug, Clone)]
struct Validation {
    /// The field that has it.
    field: String,
    references: Vec<Reference>,
    allows_fallback: bool,
}

#[derive(Debug, Clone)]
struct Reference {
    group: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

/// `spec.tls.frontend`, where it validates.
#[derive(Debug, Clone, Default)]
struct Frontend {
    default: Option<Validation>,
    /// An entry without validation turns the default one off for its port.
    per_port: BTreeMap<i32, Option<Validation>>,
}

macro_rules! validation {
    ($validation:expr, $mode:ident, $field:expr) => {
        $validation.as_ref().map(|validation| Validation {
            field: $field,
            references: validation
                .ca_certificate_refs
                .iter()
                .map(|reference| Reference {
                    group: reference.group.clone(),
                    kind: reference.kind.clone(),
                    namespace: reference.namespace.clone(),
                    name: reference.name.clone(),
                })
                .collect(),
            allows_fallback: validation.mode == Some(gw::$mode::AllowInsecureFallback),
        })
    };
}

impl Frontend {
    fn read(spec: &gw::GatewaySpec) -> Self {
        let Some(frontend) = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
            return Self::default();
        };
        let per_port = frontend.per_port.iter().flatten().enumerate();
        Self {
            default: validation!(
                frontend.default.validation,
                GatewayTlsFrontendDefaultValidationMode,
                "spec.tls.frontend.default.validation".to_owned()
            ),
            per_port: per_port
                .map(|(place, entry)| {
                    let validation = validation!(
                        entry.tls.validation,
                        GatewayTlsFrontendPerPortTlsValidationMode,
                        format!("spec.tls.frontend.perPort[{place}].tls.validation")
                    );
                    (entry.port, validation)
                })
                .collect(),
        }
    }

    fn of_port(&self, port: i32) -> Option<&Validation> {
        match self.per_port.get(&port) {
            Some(of_port) => of_port.as_ref(),
            None => self.default.as_ref(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Validation> {
        self.per_port.values().chain([&self.default]).flatten()
    }
}

/// Whether any part of `spec.tls.frontend` lets in clients that do not pass validation, which the
/// Gateway's condition `InsecureFrontendValidationMode` says.
pub(crate) fn allows_insecure_fallback(spec: &gw::GatewaySpec) -> bool {
    Frontend::read(spec).all().any(|v| v.allows_fallback)
}

/// Finds out what each listener asks of its clients.
pub(crate) fn resolve(
    frame: &Frame<'_, '_>,
    spec: &gw::GatewaySpec,
    listeners: &mut [Listener],
) -> Authorities {
    let frontend = Frontend::read(spec);
    report_unused(frame, &frontend, listeners);
    let mut authorities = Authorities::new();
    for listener in listeners {
        let is_secure = listener.protocol == "HTTPS"
            || (listener.protocol == "TLS" && !listener.is_passthrough);
        if !is_secure {
            continue;
        }
        let validation = frontend
            .of_port(listener.port)
            .filter(|_| listener.protocol == "HTTPS");
        if let Some(clients) = configured(frame, listener) {
            if let Some(validation) = validation {
                report_overruled(frame, validation);
            }
            listener.clients = clients;
            continue;
        }
        if let Some(validation) = validation {
            let found = of_validation(frame, validation, &mut authorities);
            listener.clients = found.clients;
            listener.unresolved = listener.unresolved.take().or(found.unresolved);
        }
    }
    authorities
}

/// Says of the listeners that cannot verify their clients that they are not served.
pub(crate) fn settle(listeners: &mut [Listener]) {
    for listener in listeners {
        if let Clients::Refused(problem) = &listener.clients {
            listener.problem.get_or_insert(problem.clone());
        }
    }
}

// === LoadBalancerConfiguration ===

/// What a LoadBalancerConfiguration asks of the listener's clients, if it asks anything.
fn configured(frame: &Frame<'_, '_>, listener: &Listener) -> Option<Clients> {
    let port = u16::try_from(listener.port).ok()?;
    let (place, configured) = frame.configuration.listener(&listener.protocol, port)?;
    let asked = configured.mutual_authentication.as_ref()?;
    match asked.mode {
        MutualAuthenticationMode::Off => None,
        MutualAuthenticationMode::Passthrough => {
            Some(Clients::Asked(MutualAuthentication::Passthrough))
        }
        MutualAuthenticationMode::Verify => Some(verified(frame, place, asked)),
    }
}

fn verified(frame: &Frame<'_, '_>, place: usize, asked: &crds::MutualAuthentication) -> Clients {
    // The schema demands one.
    let name = asked.trust_store.clone().unwrap_or_default();
    let trust_store = if name.starts_with("arn:") {
        TrustStoreArn::new(name)
    } else {
        match frame.ctx.trust_store_named(&name) {
            // Asked for; translation runs again.
            None => return Clients::NotAsked,
            Some(Some(arn)) => arn.clone(),
            Some(None) => {
                let message = format!("there is no trust store {name} in this account and region");
                let finding = Diagnostic::error("no-such-trust-store", message.clone()).hint(
                    "create it, or correct the name; until then the listener is left as it is, or not created",
                );
                let field =
                    format!("listenerConfigurations[{place}].mutualAuthentication.trustStore");
                frame
                    .ctx
                    .report(frame.configuration.finding(finding, &field));
                return Clients::Refused(ListenerProblem {
                    kind: ListenerProblemKind::Invalid,
                    message,
                });
            }
        }
    };
    Clients::Asked(MutualAuthentication::Verify {
        trust_store: trust_store.into(),
        ignore_client_certificate_expiry: asked
            .ignore_client_certificate_expiry
            .unwrap_or_default(),
        advertise_trust_store_ca_names: asked.advertise_trust_store_ca_names
            == Some(AdvertiseTrustStoreCaNames::On),
    })
}

// === spec.tls.frontend ===

/// What a configuration comes to.
struct Outcome {
    clients: Clients,
    unresolved: Option<ListenerProblem>,
}

fn of_validation(
    frame: &Frame<'_, '_>,
    validation: &Validation,
    authorities: &mut Authorities,
) -> Outcome {
    // Those that may be read make up the trust store, and those of them that can be used its content: so
    // what breaks for a while takes its authorities away and no listener.
    let mut sources = BTreeSet::new();
    let mut bundle = CaBundle::default();
    let mut unresolved = None;
    for (place, reference) in validation.references.iter().enumerate() {
        let found = of_reference(frame, reference);
        if let Some(name) = found.permitted {
            sources.insert(AuthoritySource {
                namespace: name.namespace,
                name: name.name,
            });
        }
        match found.authorities {
            Ok(authorities) => bundle.merge(&authorities),
            Err(problem) => {
                let field = format!("{}.caCertificateRefs[{place}]", validation.field);
                let finding = Diagnostic::error(problem.code, problem.message.clone());
                frame
                    .ctx
                    .report(finding.on(frame.object()).at(field).hint(problem.hint));
                unresolved.get_or_insert(ListenerProblem {
                    kind: problem.kind,
                    message: problem.message,
                });
            }
        }
    }
    let refused = |kind, message| Clients::Refused(ListenerProblem { kind, message });
    let clients = match &unresolved {
        Some(problem) if bundle.is_empty() => refused(
            ListenerProblemKind::NoValidCaCertificate,
            problem.message.clone(),
        ),
        _ if validation.allows_fallback => {
            report_fallback(frame, validation);
            Clients::Asked(MutualAuthentication::Passthrough)
        }
        _ if frame.ctx.settings.bundle_storage.is_none() => {
            let message = "a trust store is given its certificates from S3, and no bucket is set";
            let finding = Diagnostic::error("no-trust-store-bucket", message).hint(
                "start elbow with --trust-store-bucket; until then the listener is left as it is, or not created",
            );
            let field = format!("{}.caCertificateRefs", validation.field);
            frame.ctx.report(finding.on(frame.object()).at(field));
            let message = format!("{message}: start elbow with --trust-store-bucket");
            refused(ListenerProblemKind::UnsupportedValue, message)
        }
        _ => Clients::Asked(MutualAuthentication::Verify {
            trust_store: trust_store(sources, authorities),
            ignore_client_certificate_expiry: false,
            advertise_trust_store_ca_names: false,
        }),
    };
    Outcome {
        clients,
        unresolved,
    }
}

/// The trust store of the cluster's Stack that these ConfigMaps make up.
fn trust_store(
    sources: BTreeSet<AuthoritySource>,
    authorities: &mut Authorities,
) -> Ref<TrustStoreArn> {
    let id = resource_id(&sources);
    authorities.insert(id.clone(), sources);
    Ref::Of(ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::TrustStore,
        id,
    })
}

struct Found {
    /// The ConfigMap, if it may be referred to.
    permitted: Option<NamespacedName>,
    authorities: Result<CaBundle, Problem>,
}

struct Problem {
    kind: ListenerProblemKind,
    code: &'static str,
    message: String,
    hint: &'static str,
}

fn of_reference(frame: &Frame<'_, '_>, reference: &Reference) -> Found {
    let ctx = frame.ctx;
    let own = &frame.gateway.namespace;
    if !reference.group.is_empty() || reference.kind != Kind::ConfigMap.as_str() {
        let of = if reference.group.is_empty() {
            "the core group".to_owned()
        } else {
            format!("group {}", reference.group)
        };
        return Found {
            permitted: None,
            authorities: Err(Problem {
                kind: ListenerProblemKind::InvalidCaCertificateKind,
                code: "invalid-ca-certificate-ref",
                message: format!(
                    "{} of {of} cannot hold the certificates of authorities",
                    reference.kind
                ),
                hint: "name a ConfigMap with the certificates in ca.crt",
            }),
        };
    }
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    let name = NamespacedName::new(namespace, reference.name.clone());
    if namespace != own && !grants::permits_config_map(ctx, &frame.object(), &name) {
        return Found {
            permitted: None,
            authorities: Err(Problem {
                kind: ListenerProblemKind::RefNotPermitted,
                code: "ca-certificate-ref-not-permitted",
                message: format!(
                    "ConfigMap {name} is of another namespace, and no ReferenceGrant there permits Gateways of {own} to refer to it"
                ),
                hint: "create a ReferenceGrant in the ConfigMap's namespace",
            }),
        };
    }
    let invalid = |message, hint| Problem {
        kind: ListenerProblemKind::InvalidCaCertificateRef,
        code: "invalid-ca-certificate-ref",
        message,
        hint,
    };
    let authorities = match ctx.reader.config_map(&name) {
        None => Err(invalid(
            format!("ConfigMap {name} does not exist"),
            "create it with the certificates of the authorities in ca.crt, or correct the reference",
        )),
        Some(config_map) => config_map.authorities.clone().map_err(|problem| {
            let hint = problem.hint();
            invalid(format!("ConfigMap {name} {problem}"), hint)
        }),
    };
    Found {
        permitted: Some(name),
        authorities,
    }
}

// === findings ===

fn report_fallback(frame: &Frame<'_, '_>, validation: &Validation) {
    let finding = Diagnostic::warning(
        "insecure-client-validation",
        "clients are let in with any certificate and with none, and their certificates are not verified",
    )
    .hint("have the backends judge the header X-Amzn-Mtls-Clientcert, or use AllowValidOnly");
    let field = format!("{}.mode", validation.field);
    frame.ctx.report(finding.on(frame.object()).at(field));
}

fn report_overruled(frame: &Frame<'_, '_>, validation: &Validation) {
    let finding = Diagnostic::warning(
        "ignored-field",
        "a LoadBalancerConfiguration has mutualAuthentication for a listener of this port, and this is used",
    )
    .hint("remove it there, or here");
    frame
        .ctx
        .report(finding.on(frame.object()).at(validation.field.clone()));
}

/// What is asked for and is about no listener.
fn report_unused(frame: &Frame<'_, '_>, frontend: &Frontend, listeners: &[Listener]) {
    let https: BTreeSet<i32> = listeners
        .iter()
        .filter(|l| l.protocol == "HTTPS")
        .map(|l| l.port)
        .collect();
    let report = |field: String, message: &str, object: ObjectRef| {
        let finding = Diagnostic::warning("ignored-field", message);
        let finding = finding.hint("client certificates are asked for by HTTPS listeners");
        frame.ctx.report(finding.on(object).at(field));
    };
    for (port, validation) in &frontend.per_port {
        if let Some(validation) = validation
            && !https.contains(port)
        {
            let message = format!("no HTTPS listener has port {port}");
            report(validation.field.clone(), &message, frame.object());
        }
    }
    let is_default_used = https
        .iter()
        .any(|port| !frontend.per_port.contains_key(port));
    if let Some(default) = &frontend.default
        && !is_default_used
    {
        let message = "it is about no HTTPS listener";
        report(default.field.clone(), message, frame.object());
    }
}
