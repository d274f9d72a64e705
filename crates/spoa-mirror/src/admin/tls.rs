//! The certificate that the admin API shows; a renewed one is shown without a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::config::CertificateFiles;
use crate::log::{Throttle, suppressed};

/// The files are looked at this often, when somebody connects.
const INTERVAL: Duration = Duration::from_secs(5);

/// A certificate and its key, as they are in their files.
pub(super) struct Identity {
    files: CertificateFiles,
    acceptor: TlsAcceptor,
    stamps: [Stamp; 2],
    looked: Instant,
    complaints: Throttle,
}

/// When a file was written and how long it is: another one differs in that.
type Stamp = Option<(SystemTime, u64)>;

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file is wrong, and in what way.
    pub(super) fn read(files: &CertificateFiles, now: Instant) -> Result<Self, String> {
        // Before they are read: what is written meanwhile is noticed later.
        let stamps = stamps(files);
        let acceptor = TlsAcceptor::from(server_config(files)?);
        let complaints = Throttle::default();
        Ok(Self { files: files.clone(), acceptor, stamps, looked: now, complaints })
    }

    /// What takes the next connection. Files that cannot be used leave the certificate as it was.
    pub(super) fn acceptor(&mut self, now: Instant) -> TlsAcceptor {
        if now.saturating_duration_since(self.looked) >= INTERVAL {
            self.looked = now;
            let stamps = stamps(&self.files);
            if stamps != self.stamps {
                self.renew(stamps, now);
            }
        }
        self.acceptor.clone()
    }

    fn renew(&mut self, stamps: [Stamp; 2], now: Instant) {
        match server_config(&self.files) {
            Ok(config) => {
                info!("admin: the certificate {} was renewed", self.files.certificate.display());
                self.acceptor = TlsAcceptor::from(config);
                self.stamps = stamps;
            }
            Err(error) => {
                if let Some(more) = self.complaints.allow(now) {
                    warn!("{error}; the certificate stays as it was{}", suppressed(more));
                }
            }
        }
    }
}

fn stamps(files: &CertificateFiles) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}

/// Checks that the admin API can show this certificate.
///
/// # Errors
/// Which file is wrong, and in what way.
pub fn check_certificate(files: &CertificateFiles) -> Result<(), String> {
    server_config(files).map(drop)
}

fn server_config(files: &CertificateFiles) -> Result<Arc<ServerConfig>, String> {
    let shown = files.certificate.display();
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("admin: cannot read the certificate {shown}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("admin: {shown} holds no certificate (PEM, `BEGIN CERTIFICATE`)"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        format!("admin: cannot read the private key {}: {error}", files.key.display())
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            let key = files.key.display();
            format!("admin: the certificate {shown} and the key {key} do not go together: {error}")
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use testbed::tls::Authority;

    use super::*;

    #[test]
    fn a_renewed_certificate_is_read_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("both.pem");
        let files = CertificateFiles { certificate: path.clone(), key: path.clone() };
        let start = Instant::now();
        assert!(Identity::read(&files, start).is_err_and(|error| error.contains("both.pem")));
        let pem = || Authority::new().identity(&["localhost"]).pem_with_key();
        std::fs::write(&path, pem()).unwrap();
        let mut identity = Identity::read(&files, start).unwrap();
        let first = Arc::clone(identity.acceptor(start).config());
        std::fs::write(&path, "broken").unwrap();
        let soon = start + INTERVAL;
        assert!(Arc::ptr_eq(identity.acceptor(soon).config(), &first));
        std::fs::write(&path, format!("{}\n", pem())).unwrap();
        assert!(Arc::ptr_eq(identity.acceptor(soon).config(), &first), "not looked at yet");
        assert!(!Arc::ptr_eq(identity.acceptor(soon + INTERVAL).config(), &first));
    }
}
