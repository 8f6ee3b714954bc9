//! A certificate authority for tests, which signs the certificate of the relay.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sealpost_relay::TlsFiles;

/// A new root certificate with its key. Clones are the same root.
#[derive(Clone)]
pub struct Root(Arc<CertifiedIssuer<'static, KeyPair>>);

impl Root {
    /// A root that no client trusts yet.
    #[expect(clippy::new_without_default, reason = "every call creates a different root")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).expect("a certificate")))
    }

    /// The certificate in DER, for the clients that trust it.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate for a relay at `address`, signed by this root, into `folder`, with its key.
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
