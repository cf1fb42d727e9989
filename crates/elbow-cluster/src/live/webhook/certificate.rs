//! The certificate of the webhook, renewed as the files change.
//!
//! In: two PEM files, as a Secret is mounted. Out: a configuration of rustls that serves whichever
//! certificate was last read. Always holds: what cannot be used does not replace what can.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::WebhookError;

/// How often the files are looked at. The kubelet takes about a minute to bring a changed Secret.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A certificate and the files that it comes from.
#[derive(Debug)]
pub(super) struct Certificate {
    path: PathBuf,
    key_path: PathBuf,
    /// What the certificate's file held when it was last looked at.
    seen: Mutex<Vec<u8>>,
    current: Arc<Current>,
}

/// The one in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Certificate {
    /// Reads the files.
    pub(super) fn read(path: &Path, key_path: &Path) -> Result<Self, WebhookError> {
        let text = read(path)?;
        let key = certified(path, &text, key_path)?;
        Ok(Self {
            path: path.to_owned(),
            key_path: key_path.to_owned(),
            seen: Mutex::new(text),
            current: Arc::new(Current(RwLock::new(Arc::new(key)))),
        })
    }

    /// Reads the files again, if the certificate has changed.
    pub(super) fn renew(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = match read(&self.path) {
            Ok(text) if text == *seen => return,
            Ok(text) => certified(&self.path, &text, &self.key_path).map(|key| (text, key)),
            Err(error) => Err(error),
        };
        match renewed {
            Ok((text, key)) => {
                *seen = text;
                let mut current = self
                    .current
                    .0
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(key);
                tracing::info!(path = %self.path.display(), "The webhook has a new certificate");
            }
            Err(error) => {
                tracing::warn!(%error, "The webhook keeps its old certificate");
            }
        }
    }

    /// The certificate that is shown at the moment.
    #[cfg(test)]
    pub(super) fn leaf(&self) -> CertificateDer<'static> {
        let current = self
            .current
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        current
            .cert
            .first()
            .cloned()
            .unwrap_or_else(|| Vec::new().into())
    }

    /// The configuration of a server that shows it. TLS 1.2 is the least, as with LBC.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.current) as _;
        let provider = Arc::new(ring::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .expect("ring has cipher suites for TLS 1.2 and 1.3");
        Arc::new(builder.with_no_client_auth().with_cert_resolver(resolver))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WebhookError> {
    std::fs::read(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> WebhookError {
    WebhookError::Certificate {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn certified(path: &Path, text: &[u8], key_path: &Path) -> Result<CertifiedKey, WebhookError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(path, &error))?;
    if chain.is_empty() {
        return Err(failed(path, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| failed(key_path, &error))?;
    // This also compares the two, so that a Secret that is half renewed is not used.
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| failed(path, &error))
}
