//! Certificate and key of files.

use std::{fs, path::PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use super::{Files, authority::Identity};

/// Largest file read, bytes.
const LARGEST: u64 = 1 << 20;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}`: {}: {why}", file.display())]
pub struct Error {
    key: &'static str,
    file: PathBuf,
    why: String,
}

impl Error {
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    pub(super) fn wrong_key(files: &Files, e: &rustls::Error) -> Self {
        let why = match e {
            rustls::Error::InconsistentKeys(_) => {
                format!("is not the key of the first certificate in {}", files.certificate.display())
            }
            e => format!("cannot be used with {}: {e}", files.certificate.display()),
        };
        Self { key: "control.tls_key", file: files.key.clone(), why }
    }
}

pub(super) fn read(files: &Files) -> Result<Identity, Error> {
    let certificate =
        |why: String| Error { key: "control.tls_certificate", file: files.certificate.clone(), why };
    let text = text(&files.certificate).map_err(certificate)?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| certificate(format!("is not PEM: {e}")))?;
    if chain.is_empty() {
        return Err(certificate("has no certificate in it (-----BEGIN CERTIFICATE-----)".into()));
    }
    let secret = |why: String| Error { key: "control.tls_key", file: files.key.clone(), why };
    let key = self::text(&files.key).map_err(secret)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| {
        secret(match e {
            pem::Error::NoItemsFound => {
                "has no key in it that is not locked by a password (-----BEGIN PRIVATE KEY-----)".into()
            }
            e => format!("is not PEM: {e}"),
        })
    })?;
    Ok((chain, key))
}

fn text(file: &PathBuf) -> Result<Vec<u8>, String> {
    let size = fs::metadata(file).map_err(|e| e.to_string())?.len();
    if size > LARGEST {
        return Err(format!("has {size} bytes; at most {LARGEST} are read"));
    }
    fs::read(file).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_named_with_its_key() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let files = Files { certificate: certificate.clone(), key: key.clone() };
        let said = || read(&files).expect_err("refused").to_string();
        assert!(said().contains("`control.tls_certificate`") && said().contains("c.pem"), "{}", said());
        fs::write(&certificate, "x").expect("written");
        assert!(said().contains("no certificate"), "{}", said());
        let pair = rcgen::KeyPair::generate().expect("key");
        let made = rcgen::CertificateParams::default().self_signed(&pair).expect("made");
        fs::write(&certificate, made.pem()).expect("written");
        assert!(said().contains("`control.tls_key`"), "{}", said());
        fs::write(&key, made.pem()).expect("written");
        assert!(said().contains("no key in it"), "{}", said());
        fs::write(&key, pair.serialize_pem()).expect("written");
        assert_eq!(read(&files).expect("right").0.len(), 1);
    }
}
