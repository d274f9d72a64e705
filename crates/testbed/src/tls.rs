//! Certificates made for one test: an authority that a client may trust, and identities signed by it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ResolvesServerCertUsingSni, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ALL_VERSIONS, SupportedProtocolVersion};

/// A certificate authority.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes a new one, valid for years.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "testbed authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate and key for these names (DNS names or IP addresses), valid now.
    pub fn identity(&self, names: &[&str]) -> Identity {
        self.sign(&leaf(names))
    }

    /// Like [`Authority::identity`], but no longer valid since the year 2001.
    pub fn expired_identity(&self, names: &[&str]) -> Identity {
        let mut params = leaf(names);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// A certificate that shows a server who its client is, valid now.
    pub fn client_identity(&self, name: &str) -> Identity {
        let mut params = leaf(&[name]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    /// The authority's certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Writes [`Authority::pem`] to a file in `directory` and gives its path.
    pub fn write_pem(&self, directory: &Path) -> PathBuf {
        let path = directory.join("authority.pem");
        std::fs::write(&path, self.pem()).unwrap();
        path
    }

    /// A client's configuration that trusts this authority alone and offers these protocols by ALPN.
    pub fn client_config(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "testbed server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

/// A certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// What a server demands of its clients.
#[derive(Default)]
pub struct Demands<'a> {
    /// A certificate of this authority.
    pub certificate_of: Option<&'a Authority>,
    /// That they ask for this name (SNI).
    pub name: Option<&'a str>,
    /// That they speak this version of TLS; 1.2 or 1.3 without it.
    pub version: Option<&'static SupportedProtocolVersion>,
}

impl Identity {
    /// Certificate and key in one PEM text, as HAProxy's `crt` wants them.
    pub fn pem_with_key(&self) -> String {
        format!("{}{}", self.pem, self.key.serialize_pem())
    }

    /// Writes certificate and key to two PEM files in `directory` and gives their paths.
    pub fn write_pems(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let paths = (directory.join("certificate.pem"), directory.join("key.pem"));
        std::fs::write(&paths.0, &self.pem).unwrap();
        std::fs::write(&paths.1, self.key.serialize_pem()).unwrap();
        paths
    }

    /// A server's configuration with this identity and these ALPN protocols.
    pub fn server_config(&self, alpn: &[&str]) -> Arc<rustls::ServerConfig> {
        self.demanding_server_config(alpn, &Demands::default())
    }

    /// Like [`Identity::server_config`], for clients that satisfy these demands.
    pub fn demanding_server_config(
        &self,
        alpn: &[&str],
        demands: &Demands<'_>,
    ) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = demands.version.as_slice();
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(if versions.is_empty() { ALL_VERSIONS } else { versions })
            .unwrap();
        let builder = match demands.certificate_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let chain = vec![self.certificate.clone()];
        let mut config = match demands.name {
            None => builder.with_single_cert(chain, key).unwrap(),
            Some(name) => {
                let key = CertifiedKey::from_der(chain, key, &provider).unwrap();
                let mut resolver = ResolvesServerCertUsingSni::new();
                resolver.add(name, key).unwrap();
                builder.with_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}
