//! Structural schemas, as the API server uses them.
//!
//! In: the compact schemas in `schemas/`, written by `cargo xtask schemas`, and the definitions of our
//! own custom resources. Out: [`find`], the schema of a version of a kind. Each is read when it is first
//! asked for and kept.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use elbow_api::{Kind, crds};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::rules::Rule;

/// A structural schema; see <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/>.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Schema {
    #[serde(rename = "type")]
    pub(crate) type_: Option<Type>,
    pub(crate) properties: BTreeMap<String, Self>,
    pub(crate) additional_properties: Option<Box<Self>>,
    pub(crate) items: Option<Box<Self>>,
    pub(crate) required: Vec<String>,
    #[serde(rename = "enum")]
    pub(crate) enum_: Vec<Value>,
    pub(crate) default: Option<Value>,
    pub(crate) format: Option<String>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(crate) int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(crate) list_type: Option<ListType>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(crate) list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-validations")]
    pub(crate) rules: Vec<Rule>,
}

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What makes two items of a list the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListType {
    Atomic,
    Set,
    Map,
}

/// A regular expression that is compiled when it is first used.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Pattern {
    pub(crate) text: String,
    regex: OnceLock<Option<Regex>>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self {
            text,
            regex: OnceLock::new(),
        }
    }
}

impl Pattern {
    /// The expression; none if it is beyond this engine, which a test rules out.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        // In Go's syntax, which the API server reads, `\d` is an ASCII digit.
        self.regex
            .get_or_init(|| Regex::new(&self.text.replace(r"\d", "[0-9]")).ok())
            .as_ref()
    }
}

/// A version of a kind.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    /// What the API server tells whoever still uses the version.
    pub(crate) deprecation: Option<String>,
    /// Index into the kind's schemas.
    schema: usize,
}

/// All versions of a kind.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) versions: Vec<Version>,
    schemas: Vec<Schema>,
}

impl Definition {
    /// A version and its schema.
    pub(crate) fn version(&self, name: &str) -> Option<(&Version, &Schema)> {
        let version = self.versions.iter().find(|v| v.name == name)?;
        Some((version, self.schemas.get(version.schema)?))
    }

    /// Every schema of the kind.
    #[cfg(test)]
    pub(crate) fn schemas(&self) -> &[Schema] {
        &self.schemas
    }
}

/// The versions of a kind.
pub(crate) fn find(kind: Kind) -> &'static Definition {
    static DEFINITIONS: [OnceLock<Definition>; Kind::ALL.len()] =
        [const { OnceLock::new() }; Kind::ALL.len()];
    static NONE: OnceLock<Definition> = OnceLock::new();
    let index = Kind::ALL.iter().position(|k| *k == kind);
    let cell = index.and_then(|i| DEFINITIONS.get(i)).unwrap_or(&NONE);
    let generated = GENERATED.iter().find(|(of, _)| *of == kind);
    cell.get_or_init(|| generated.map_or_else(|| own(kind), |(_, text)| read(kind, text)))
}

/// The schema of `metadata`, which is the same for every kind.
pub(crate) fn metadata() -> &'static Schema {
    static METADATA: OnceLock<Schema> = OnceLock::new();
    METADATA.get_or_init(|| {
        serde_json::from_str(include_str!("schemas/metadata.json")).unwrap_or_default()
    })
}

/// The generated schemas.
const GENERATED: [(Kind, &str); 16] = [
    (Kind::Namespace, include_str!("schemas/namespaces.json")),
    (Kind::Node, include_str!("schemas/nodes.json")),
    (Kind::Service, include_str!("schemas/services.json")),
    (
        Kind::EndpointSlice,
        include_str!("schemas/endpointslices.json"),
    ),
    (Kind::Pod, include_str!("schemas/pods.json")),
    (Kind::Secret, include_str!("schemas/secrets.json")),
    (Kind::ConfigMap, include_str!("schemas/configmaps.json")),
    (
        Kind::GatewayClass,
        include_str!("schemas/gatewayclasses.json"),
    ),
    (Kind::Gateway, include_str!("schemas/gateways.json")),
    (Kind::ListenerSet, include_str!("schemas/listenersets.json")),
    (Kind::HttpRoute, include_str!("schemas/httproutes.json")),
    (Kind::GrpcRoute, include_str!("schemas/grpcroutes.json")),
    (Kind::TlsRoute, include_str!("schemas/tlsroutes.json")),
    (Kind::TcpRoute, include_str!("schemas/tcproutes.json")),
    (Kind::UdpRoute, include_str!("schemas/udproutes.json")),
    (
        Kind::ReferenceGrant,
        include_str!("schemas/referencegrants.json"),
    ),
];

/// Shape of the generated files.
#[derive(Deserialize)]
struct Generated {
    schemas: Vec<GeneratedSchema>,
}

#[derive(Deserialize)]
struct GeneratedSchema {
    versions: Vec<GeneratedVersion>,
    schema: Schema,
}

#[derive(Deserialize)]
struct GeneratedVersion {
    name: String,
    deprecated: bool,
}

/// Reads a generated file. A test reads them all, so an unreadable one does not get this far.
fn read(kind: Kind, text: &str) -> Definition {
    let generated: Generated = serde_json::from_str(text).unwrap_or(Generated {
        schemas: Vec::new(),
    });
    let mut definition = Definition::default();
    for GeneratedSchema { versions, schema } in generated.schemas {
        let index = definition.schemas.len();
        definition.schemas.push(schema);
        definition
            .versions
            .extend(versions.into_iter().map(|version| Version {
                deprecation: version.deprecated.then(|| {
                    let group = kind.group();
                    let name = &version.name;
                    format!(
                        "{group}/{name} {kind} is deprecated; use v1 where the cluster serves it"
                    )
                }),
                name: version.name,
                schema: index,
            }));
    }
    definition.versions.sort_by(|a, b| a.name.cmp(&b.name));
    definition
}

/// Takes the definition of one of our own kinds from `elbow-api`.
fn own(kind: Kind) -> Definition {
    let mut definition = Definition::default();
    let crd = crds::crds()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind.as_str());
    for version in crd.into_iter().flat_map(|crd| crd.spec.versions) {
        let schema = version.schema.and_then(|s| s.open_api_v3_schema);
        let schema = serde_json::to_value(schema).and_then(serde_json::from_value);
        definition.versions.push(Version {
            name: version.name,
            deprecation: version.deprecation_warning,
            schema: definition.schemas.len(),
        });
        definition.schemas.push(schema.unwrap_or_default());
    }
    definition.versions.sort_by(|a, b| a.name.cmp(&b.name));
    definition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(schema: &Schema, path: &str, visit: &mut impl FnMut(&Schema, &str)) {
        visit(schema, path);
        for (name, child) in &schema.properties {
            walk(child, &format!("{path}.{name}"), visit);
        }
        for child in schema.items.iter().chain(&schema.additional_properties) {
            walk(child, &format!("{path}[]"), visit);
        }
    }

    #[test]
    fn every_kind_has_the_versions_that_clusters_serve() {
        let rows: [(Kind, &[&str]); 12] = [
            (Kind::GatewayClass, &["v1", "v1beta1"]),
            (Kind::Gateway, &["v1", "v1beta1"]),
            (Kind::HttpRoute, &["v1", "v1beta1"]),
            (Kind::TcpRoute, &["v1", "v1alpha2"]),
            (Kind::UdpRoute, &["v1", "v1alpha2"]),
            (Kind::ReferenceGrant, &["v1", "v1beta1"]),
            (Kind::LoadBalancerConfiguration, &["v1", "v1beta1"]),
            (Kind::TargetGroupConfiguration, &["v1", "v1beta1"]),
            (Kind::ListenerRuleConfiguration, &["v1", "v1beta1"]),
            (Kind::TargetGroupBinding, &["v1alpha1", "v1beta1"]),
            (Kind::Service, &["v1"]),
            (Kind::EndpointSlice, &["v1"]),
        ];
        for (kind, versions) in rows {
            let found: Vec<_> = find(kind)
                .versions
                .iter()
                .map(|v| v.name.as_str())
                .collect();
            assert_eq!(found, versions, "{kind}");
        }
    }

    #[test]
    fn every_pattern_and_every_rule_compiles() {
        for kind in Kind::ALL {
            assert!(!find(kind).schemas().is_empty(), "{kind} has no schema");
            for schema in find(kind).schemas() {
                walk(schema, kind.as_str(), &mut |schema, path| {
                    if let Some(pattern) = &schema.pattern {
                        assert!(pattern.regex().is_some(), "{path}: {}", pattern.text);
                    }
                    for rule in &schema.rules {
                        assert!(rule.compiles(), "{path}: {}", rule.expression);
                    }
                });
            }
        }
        assert!(metadata().properties.contains_key("labels"));
    }
}
