//! A certificate authority for tests: it vouches for the relay.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sealpost_relay::TlsFiles;

/// A root certificate with its key, made anew. Clones are the same one.
#[derive(Clone)]
pub struct Root(Arc<CertifiedIssuer<'static, KeyPair>>);

impl Root {
    /// One that nobody believes in yet.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).expect("a certificate")))
    }

    /// The certificate, for a client that is to trust it.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// The same as text.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate that leads to this one into `folder`, with its key: for a relay at `address`.
    pub fn certify(&self, address: IpAddr, folder: &Path) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([address.to_string()]).expect("an address");
        let certificate = params.signed_by(&key, self.0.as_ref()).expect("a certificate");
        let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        fs::create_dir_all(folder).expect("the folder is made");
        fs::write(&files.cert, certificate.pem()).expect("the certificate is written");
        fs::write(&files.key, key.serialize_pem()).expect("its key is written");
        files
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Root")
    }
}
