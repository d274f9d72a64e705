//! How the certificates of targets are verified, what targets are shown, and which versions of TLS
//! and HTTP are offered.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::config::{CertificateFiles, HttpVersion, TargetConfig, TlsVersion};

/// The TLS configuration for a target.
///
/// # Errors
/// What is wrong with a file that the target's configuration names, with the name to verify, or with
/// the system's roots.
pub fn client_config(target: &TargetConfig) -> Result<Arc<ClientConfig>, String> {
    server_name(target)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[_] = match target.tls.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let builder = if target.tls.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnything { provider }))
    } else if let Some(file) = &target.tls.ca {
        builder.with_root_certificates(roots(file)?)
    } else {
        builder
            .with_platform_verifier()
            .map_err(|error| format!("the system's root certificates cannot be used: {error}"))?
    };
    let mut config = match &target.tls.client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = identity(files)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| mismatch(files, &error))?
        }
    };
    config.alpn_protocols = match target.http {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The name that the target is asked for and must prove: its URL's host unless configured.
pub(super) fn server_name(target: &TargetConfig) -> Result<ServerName<'static>, String> {
    let name = target.tls.server_name.as_ref().unwrap_or(&target.url.host);
    ServerName::try_from(name.clone()).map_err(|_| {
        format!("`{name}` is neither a host name nor an address that a certificate can be for")
    })
}

/// A certificate chain and its private key out of PEM files.
///
/// # Errors
/// Which file cannot be read or does not hold what it should.
fn identity(
    files: &CertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(&files.certificate)?;
    let shown = files.key.display();
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        pem::Error::Io(error) => format!("cannot read {shown}: {error}"),
        pem::Error::NoItemsFound => {
            format!("{shown} holds no private key (PEM, `BEGIN PRIVATE KEY`, without a password)")
        }
        error => format!("{shown} is not PEM: {error}"),
    })?;
    Ok((chain, key))
}

fn mismatch(files: &CertificateFiles, error: &rustls::Error) -> String {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key in {key} is not the one of the first certificate in {certificate}")
        }
        error => {
            format!(
                "the certificate in {certificate} cannot be used with the key in {key}: {error}"
            )
        }
    }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            format!("{} holds a certificate that is no root: {error}", file.display())
        })?;
    }
    Ok(roots)
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let mut certificates = Vec::new();
    let read = CertificateDer::pem_file_iter(file)
        .map_err(|error| format!("cannot read {shown}: {}", reason(error)))?;
    for certificate in read {
        certificates.push(certificate.map_err(|error| format!("{shown} is not PEM: {error}"))?);
    }
    if certificates.is_empty() {
        return Err(format!("{shown} holds no certificate (PEM, `BEGIN CERTIFICATE`)"));
    }
    Ok(certificates)
}

/// What the system says, without the library's words around it.
fn reason(error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Takes any certificate, for `--mirror-insecure`.
struct AcceptAnything {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AcceptAnything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcceptAnything")
    }
}

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use testbed::tls::Authority;

    use super::*;
    use crate::config::tests_support;

    fn refused(change: impl FnOnce(&mut TargetConfig)) -> String {
        let mut target = tests_support::target("https://shadow.example");
        change(&mut target);
        client_config(&target).unwrap_err()
    }

    /// Every mistake in a file of certificates or keys is told with the file's name.
    #[test]
    fn mistakes_in_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = Authority::new();
        let (certificate, key) = authority.client_identity("agent").write_pems(directory.path());
        let other = directory.path().join("other");
        fs::create_dir(&other).unwrap();
        let (_, foreign_key) = authority.client_identity("agent").write_pems(&other);
        let missing = path("missing.pem");
        let broken = path("broken.pem");
        fs::write(&broken, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n")
            .unwrap();
        let broken_key = path("broken-key.pem");
        fs::write(&broken_key, "-----BEGIN PRIVATE KEY-----\n%\n-----END PRIVATE KEY-----\n")
            .unwrap();
        let encrypted = path("encrypted.pem");
        let text =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        fs::write(&encrypted, text).unwrap();
        let shown = |path: &Path| path.display().to_string();

        for (file, why) in
            [(&missing, "cannot read"), (&key, "holds no certificate"), (&broken, "is not PEM")]
        {
            let error = refused(|target| target.tls.ca = Some(file.clone()));
            assert!(error.contains(&shown(file)) && error.contains(why), "{error}");
        }
        for (certificate, key, named, why) in [
            (&missing, &key, &missing, "cannot read"),
            (&certificate, &missing, &missing, "cannot read"),
            (&key, &key, &key, "holds no certificate"),
            (&certificate, &certificate, &certificate, "holds no private key"),
            (&certificate, &encrypted, &encrypted, "without a password"),
            (&certificate, &broken_key, &broken_key, "is not PEM"),
            (&certificate, &foreign_key, &foreign_key, "is not the one of the first certificate"),
        ] {
            let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let error = refused(|target| target.tls.client = Some(files));
            assert!(error.contains(&shown(named)) && error.contains(why), "{error}");
        }
        let error = refused(|target| target.tls.server_name = Some("no name".to_owned()));
        assert!(error.contains("`no name`"), "{error}");
    }
}
