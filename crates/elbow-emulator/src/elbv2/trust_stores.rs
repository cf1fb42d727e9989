//! Trust stores: the certificate authorities that clients of a mutual TLS listener may come from.
//!
//! Comes in: where S3 holds a bundle. Goes out: the store; for the data plane, the bundle. Always
//! holds: a bundle was read and judged when it was given, so that a later change of the object in S3
//! changes nothing; a store that a listener names exists.
//!
//! Sources: "Mutual authentication with TLS in Application Load Balancer" (form of a bundle) and
//! "Quotas for your Application Load Balancers". How long a store is `CREATING` is undocumented; here
//! it is active at once.

use std::collections::BTreeMap;

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};

use super::arn::{self, Resource};
use super::state::{MutualTls, State, TrustStore};
use super::{error, load_balancers, page, tags};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::world::WorldError;
use crate::{Emulator, Timestamp};

impl Emulator {
    pub(super) fn create_trust_store(
        &mut self,
        _now: Timestamp,
        input: &wire::CreateTrustStoreInput,
    ) -> Result<wire::CreateTrustStoreOutput, ApiError> {
        let quotas = &self.config.quotas;
        let name = &input.name;
        let tags = tags::read(input.tags.as_ref(), quotas.tags_per_resource)?;
        let mut stores = self.elbv2.trust_stores.values();
        // Whether the same settings again are a success, as for load balancers, is undocumented.
        if stores.any(|store| store.name == *name) {
            let message = format!("A trust store with the same name '{name}' exists");
            return Err(ApiError::sender("DuplicateTrustStoreName", message)); // Undocumented text.
        }
        if self.elbv2.trust_stores.len() >= quotas.trust_stores {
            let message = format!(
                "The maximum number of trust stores is '{}'",
                quotas.trust_stores
            );
            return Err(ApiError::sender("TooManyTrustStores", message)); // Undocumented text.
        }
        let (bundle, certificates) = self.bundle(
            &input.ca_certificates_bundle_s3_bucket,
            &input.ca_certificates_bundle_s3_key,
        )?;
        let id = self.ids.hex(16);
        let config = &self.config;
        let store = TrustStore {
            arn: arn::trust_store(&config.region, &config.account_id, name, &id),
            name: name.clone(),
            bundle,
            certificates,
            tags,
        };
        let trust_stores = Some(vec![shown(&store)]);
        self.elbv2.trust_stores.insert(store.arn.clone(), store);
        Ok(wire::CreateTrustStoreOutput { trust_stores })
    }

    pub(super) fn modify_trust_store(
        &mut self,
        _now: Timestamp,
        input: &wire::ModifyTrustStoreInput,
    ) -> Result<wire::ModifyTrustStoreOutput, ApiError> {
        self.trust_store(&input.trust_store_arn)?;
        let (bundle, certificates) = self.bundle(
            &input.ca_certificates_bundle_s3_bucket,
            &input.ca_certificates_bundle_s3_key,
        )?;
        let Some(store) = self.elbv2.trust_stores.get_mut(&input.trust_store_arn) else {
            return Err(error::no_trust_store(&input.trust_store_arn));
        };
        store.bundle = bundle;
        store.certificates = certificates;
        let trust_stores = Some(vec![shown(store)]);
        self.elbv2.touch();
        Ok(wire::ModifyTrustStoreOutput { trust_stores })
    }

    pub(super) fn delete_trust_store(
        &mut self,
        _now: Timestamp,
        input: &wire::DeleteTrustStoreInput,
    ) -> Result<wire::DeleteTrustStoreOutput, ApiError> {
        let arn = &self.trust_store(&input.trust_store_arn)?.arn;
        if !self.users_of(arn).is_empty() {
            let message = format!("Trust store '{arn}' is currently in use by a listener");
            return Err(ApiError::sender("TrustStoreInUse", message)); // Undocumented text.
        }
        self.elbv2.trust_stores.remove(&input.trust_store_arn);
        Ok(wire::DeleteTrustStoreOutput {})
    }

    pub(super) fn describe_trust_stores(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTrustStoresInput,
    ) -> Result<wire::DescribeTrustStoresOutput, ApiError> {
        let arns = input.trust_store_arns.as_ref().filter(|a| !a.is_empty());
        let names = input.names.as_ref().filter(|n| !n.is_empty());
        let chosen = match (arns, names) {
            (Some(_), Some(_)) => {
                // Undocumented text, after the one for load balancers.
                return Err(error::validation(
                    "Trust store names and trust store ARNs cannot be specified at the same time",
                ));
            }
            (Some(arns), None) => {
                load_balancers::check_batch(Some(arns), "trust store ARNs")?;
                let found = arns.iter().map(|arn| self.trust_store(arn));
                found.collect::<Result<Vec<_>, _>>()?
            }
            (None, Some(names)) => {
                let by_name = |name: &String| {
                    let mut stores = self.elbv2.trust_stores.values();
                    stores
                        .find(|store| store.name == *name)
                        .ok_or_else(|| error::no_trust_store(name))
                };
                names.iter().map(by_name).collect::<Result<Vec<_>, _>>()?
            }
            (None, None) => self.elbv2.trust_stores.values().collect(),
        };
        let mut chosen = chosen;
        chosen.sort_by(|a, b| a.arn.cmp(&b.arn));
        chosen.dedup_by(|a, b| a.arn == b.arn);
        let page = page::cut(
            chosen,
            |store| store.arn.clone(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        Ok(wire::DescribeTrustStoresOutput {
            trust_stores: Some(page.items.into_iter().map(shown).collect()),
            next_marker: page.next_marker,
        })
    }

    /// The resources are taken to be load balancers; AWS's reference leaves it open.
    pub(super) fn describe_trust_store_associations(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTrustStoreAssociationsInput,
    ) -> Result<wire::DescribeTrustStoreAssociationsOutput, ApiError> {
        let arn = &self.trust_store(&input.trust_store_arn)?.arn;
        let page = page::cut(
            self.users_of(arn),
            Clone::clone,
            input.marker.as_deref(),
            input.page_size,
        )?;
        let associations = page
            .items
            .into_iter()
            .map(|arn| wire::TrustStoreAssociation {
                resource_arn: Some(arn),
            });
        Ok(wire::DescribeTrustStoreAssociationsOutput {
            trust_store_associations: Some(associations.collect()),
            next_marker: page.next_marker,
        })
    }

    /// A trust store that exists.
    pub(super) fn trust_store(&self, arn: &str) -> Result<&TrustStore, ApiError> {
        if arn::resource(arn) != Some(Resource::TrustStore) {
            return Err(error::no_trust_store(arn));
        }
        let found = self.elbv2.trust_stores.get(arn);
        found.ok_or_else(|| error::no_trust_store(arn))
    }

    /// The load balancers with a listener that uses a store, in ascending order.
    fn users_of(&self, trust_store_arn: &str) -> Vec<String> {
        let listeners = self.elbv2.listeners.values();
        let users = listeners.filter(|listener| match &listener.mutual_tls {
            Some(MutualTls::Verify(verify)) => verify.trust_store_arn == trust_store_arn,
            _ => false,
        });
        let users: std::collections::BTreeSet<&String> =
            users.map(|listener| &listener.load_balancer_arn).collect();
        users.into_iter().cloned().collect()
    }

    /// A bundle as S3 holds it, and how many certificates are in it.
    fn bundle(&self, bucket: &str, key: &str) -> Result<(String, usize), ApiError> {
        let Some(bytes) = self.s3.read(bucket, key) else {
            let message = format!("The CA certificates bundle 's3://{bucket}/{key}' was not found");
            return Err(ApiError::sender("CaCertificatesBundleNotFound", message)); // Undocumented text.
        };
        let quota = self.config.quotas.ca_certificates_per_trust_store;
        judge(bytes, quota).map_err(|reason| {
            let message = format!("The CA certificates bundle is not valid: {reason}");
            ApiError::sender("InvalidCaCertificatesBundle", message) // Undocumented text.
        })
    }
}

impl State {
    /// A trust store that is there from the beginning.
    pub(crate) fn add_trust_store(
        &mut self,
        arn: String,
        name: String,
        bundle: &str,
    ) -> Result<(), WorldError> {
        if self.trust_stores.values().any(|store| store.name == name) {
            return Err(WorldError::Exists(name));
        }
        let (bundle, certificates) =
            judge(bundle.as_bytes(), usize::MAX).map_err(WorldError::Certificate)?;
        let store = TrustStore {
            arn: arn.clone(),
            name,
            bundle,
            certificates,
            tags: BTreeMap::new(),
        };
        self.trust_stores.insert(arn, store);
        Ok(())
    }
}

/// Bytes of one certificate, "Quotas for your Application Load Balancers".
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Reads a bundle: certificates of authorities in PEM, and comments, which begin with `#` and hold no
/// hyphen; no empty lines.
fn judge(bytes: &[u8], quota: usize) -> Result<(String, usize), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line == "-----BEGIN CERTIFICATE-----" {
            inside = true;
        } else if line == "-----END CERTIFICATE-----" {
            inside = false;
        } else if !inside && (!line.starts_with('#') || line.contains('-')) {
            return Err(format!("line {number} is neither PEM nor a comment"));
        } else if line.is_empty() {
            return Err(format!("line {number} is empty"));
        }
    }
    let mut count = 0;
    for block in Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|_| "it is not in PEM format".to_owned())?;
        let (_, certificate) = X509Certificate::from_der(&block.contents)
            .map_err(|_| format!("certificate {} cannot be read", count + 1))?;
        count += 1;
        if block.contents.len() > CERTIFICATE_BYTES_MAX {
            return Err(format!("certificate {count} is too long"));
        }
        // That only version 3 certificates of authorities are taken is undocumented.
        if certificate.version() != X509Version::V3 || !certificate.is_ca() {
            return Err(format!("certificate {count} is not that of an authority"));
        }
    }
    match count {
        0 => Err("it holds no certificate".to_owned()),
        count if count > quota => Err(format!("it holds more than {quota} certificates")),
        count => Ok((text.to_owned(), count)),
    }
}

fn shown(store: &TrustStore) -> wire::TrustStore {
    wire::TrustStore {
        name: Some(store.name.clone()),
        trust_store_arn: Some(store.arn.clone()),
        status: Some("ACTIVE".to_owned()),
        number_of_ca_certificates: i32::try_from(store.certificates).ok(),
        total_revoked_entries: Some(0),
    }
}
