//! The certificate that the admin API shows.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::CertificateFiles;

/// The TLS configuration of the admin API's listeners.
///
/// # Errors
/// Which file is wrong, and in what way.
pub(super) fn server_config(files: &CertificateFiles) -> Result<Arc<ServerConfig>, String> {
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
