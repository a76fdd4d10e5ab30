//! The MCU's own certificate authority: for its servers, and for the slaves below it.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::data_dir;

/// The name links ask for in their hello; stands for whoever has the authority's key.
pub const LINK_NAME: &str = "cascade.cau.internal";
/// What the path of a link stands behind in its certificate.
const SCHEME: &str = "urn:cau:cascade:";
/// The same of another master: whoever holds the authority's key can be one.
const PEER: &str = "urn:cau:cascade-master:";
const DAY: Duration = Duration::from_secs(86_400);
/// Clocks of provinces may be behind.
const EARLIER: Duration = Duration::from_secs(30 * 86_400);
/// Days a server's certificate is good; they are made anew at every start and once a day.
const SERVER_DAYS: u32 = 800;
/// Days a slave's certificate is good: it ends by being revoked.
const LINK_DAYS: u32 = 3_650;
const AUTHORITY_DAYS: u32 = 10_950;
/// Largest request of a slave, bytes.
pub const MAX_REQUEST: usize = 8_192;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {why}. Put the backup of ca.pem and ca-key.pem in place, or move both away: a new authority is made, and every slave has to be enrolled anew", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The authority.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads the authority of a data directory, or makes it.
    ///
    /// # Errors
    /// [`Error`] with path and remedy. What is damaged is not replaced.
    pub fn open(data: &Path, now: SystemTime) -> Result<Self, Error> {
        let dir = data.join("tls");
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
        match (certificate.exists(), key.exists()) {
            (true, true) => Self::read(&certificate, &key),
            (false, false) => Self::make(&dir, now),
            (there, _) => {
                let (path, other) = if there { (key, "ca.pem") } else { (certificate, "ca-key.pem") };
                Err(Error::Damaged { path, why: format!("is missing beside {other}") })
            }
        }
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let text = |path: &Path| {
            fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
        };
        let damaged =
            |path: &Path, why: &dyn ToString| Error::Damaged { path: path.to_owned(), why: why.to_string() };
        let (pem, secret) = (text(certificate)?, text(key)?);
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| damaged(certificate, &e))?;
        let pair = KeyPair::from_pem(&secret).map_err(|e| damaged(key, &e))?;
        let fits = x509_parser::parse_x509_certificate(&der)
            .is_ok_and(|(_, parsed)| *parsed.public_key().subject_public_key.data == *pair.der_bytes());
        if !fits {
            return Err(damaged(key, &"is not the key of ca.pem"));
        }
        let issuer = Issuer::from_ca_cert_der(&der, pair).map_err(|e| damaged(certificate, &e))?;
        Ok(Self { certificate: der, pem, issuer })
    }

    fn make(dir: &Path, now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let secret = key.serialize_pem();
        let mut params = params("Cau MCU", now, AUTHORITY_DAYS);
        // Two MCUs' authorities have to have different names: a chain is looked up by name.
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, hex(&Sha256::digest(key.der_bytes())[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        data_dir::private_folder(dir).map_err(|source| Error::File { path: dir.to_owned(), source })?;
        // The key first: a certificate alone would be taken for damage.
        for (name, text) in [("ca-key.pem", &secret), ("ca.pem", &pem)] {
            let path = dir.join(name);
            data_dir::write_private(&path, text).map_err(|source| Error::File { path, source })?;
        }
        let der = certificate.der().clone();
        Ok(Self { certificate: der, pem, issuer: Issuer::new(params, key) })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The same as text.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What a token carries, so that a slave knows this authority when it sees it.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.certificate)
    }

    /// A server certificate for these names and addresses, with a key of its own.
    ///
    /// # Errors
    /// [`Error::Make`].
    pub fn server(
        &self,
        names: &BTreeSet<String>,
        addresses: &BTreeSet<IpAddr>,
        now: SystemTime,
    ) -> Result<Identity, Error> {
        let mut params = params("Cau MCU", now, SERVER_DAYS);
        for name in names {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone(), self.certificate.clone()], key))
    }

    /// The client certificate this MCU shows to the other master of its place in the tree, which has the same authority.
    ///
    /// # Errors
    /// [`Error::Make`].
    pub fn peer(&self, path: &cau_cascade::Path, now: SystemTime) -> Result<Identity, Error> {
        let mut params = params("Cau MCU", now, SERVER_DAYS);
        params.subject_alt_names = vec![SanType::URI(format!("{PEER}{}", escaped(path)).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone()], key))
    }

    /// The client certificate of a slave, as text. Only the key is taken from its request.
    ///
    /// # Errors
    /// [`Error::Make`] when the request cannot be read or is not signed with its own key.
    pub fn link(
        &self,
        path: &cau_cascade::Path,
        request: &Request,
        now: SystemTime,
    ) -> Result<String, Error> {
        let mut params = params("Cau MCU", now, LINK_DAYS);
        params.subject_alt_names = vec![SanType::URI(format!("{SCHEME}{}", escaped(path)).try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&request.0.public_key, &self.issuer)?.pem())
    }
}

/// A request of a slave, signed with the key it is for.
#[derive(Debug)]
pub struct Request(CertificateSigningRequestParams);

impl Request {
    /// Reads it and checks its signature.
    pub fn read(pem: &str) -> Option<Self> {
        (pem.len() <= MAX_REQUEST).then(|| CertificateSigningRequestParams::from_pem(pem).ok().map(Self))?
    }

    /// SHA-256 of its key.
    pub fn key(&self) -> [u8; 32] {
        Sha256::digest(self.0.public_key.der_bytes()).into()
    }
}

/// A slave's request for its key.
///
/// # Errors
/// [`Error::Make`].
pub fn request(key: &KeyPair) -> Result<String, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.pem()?)
}

/// The path of the slave a certificate is bound to.
pub fn path_in(certificate: &[u8]) -> Option<cau_cascade::Path> {
    named(certificate, SCHEME)
}

/// The place of the master whose certificate this is.
pub fn peer_in(certificate: &[u8]) -> Option<cau_cascade::Path> {
    named(certificate, PEER)
}

fn named(certificate: &[u8], scheme: &str) -> Option<cau_cascade::Path> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = &parsed.subject_alternative_name().ok()??.value.general_names;
    let [x509_parser::extensions::GeneralName::URI(uri)] = names.as_slice() else { return None };
    plain(uri.strip_prefix(scheme)?)?.parse().ok()
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// In hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes out of hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Letters outside ASCII cannot stand in a URI.
fn escaped(path: &cau_cascade::Path) -> String {
    path.as_str().bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02x}")),
        }
        text
    })
}

fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.extend(unhex(digits)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn params(name: &str, now: SystemTime, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // To the beginning of the day, UTC.
    let date = |at: SystemTime| {
        let day = jiff::Timestamp::try_from(at).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (month, day_of_month) = (u8::try_from(day.month()).ok()?, u8::try_from(day.day()).ok()?);
        Some(rcgen::date_time_ymd(day.year().into(), month, day_of_month))
    };
    params.not_before = date(now.checked_sub(EARLIER).unwrap_or(now)).unwrap_or(params.not_before);
    params.not_after = date(now + DAY * days).unwrap_or(params.not_after);
    params
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().expect("temp dir");
        let first = Authority::open(dir.path(), now()).expect("made");
        let again = Authority::open(dir.path(), now()).expect("read");
        assert_eq!(first.fingerprint(), again.fingerprint());
        let mode = fs::metadata(dir.path().join("tls/ca-key.pem")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_authority_is_not_replaced() {
        let dir = tempfile::tempdir().expect("temp dir");
        Authority::open(dir.path(), now()).expect("made");
        let other = tempfile::tempdir().expect("temp dir");
        Authority::open(other.path(), now()).expect("made");
        let key = dir.path().join("tls/ca-key.pem");
        fs::copy(other.path().join("tls/ca-key.pem"), &key).expect("copied");
        let said = Authority::open(dir.path(), now()).expect_err("refused").to_string();
        assert!(
            said.contains("ca-key.pem") && said.contains("not the key") && said.contains("backup"),
            "{said}"
        );
        fs::write(&key, "nonsense").expect("written");
        Authority::open(dir.path(), now()).expect_err("refused");
        fs::remove_file(&key).expect("removed");
        let said = Authority::open(dir.path(), now()).expect_err("refused").to_string();
        assert!(said.contains("missing"), "{said}");
    }

    #[test]
    fn a_certificate_of_a_link_names_its_path_whatever_was_asked_for() {
        let dir = tempfile::tempdir().expect("temp dir");
        let authority = Authority::open(dir.path(), now()).expect("made");
        let key = KeyPair::generate().expect("key");
        let mut wanted = CertificateParams::default();
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted.subject_alt_names = vec![SanType::URI("urn:cau:cascade:ha-noi".try_into().expect("uri"))];
        let greedy = wanted.serialize_request(&key).expect("request").pem().expect("text");
        for text in [request(&key).expect("request"), greedy] {
            let request = Request::read(&text).expect("signed");
            for path in ["dak-lak", "dak-lak/buon-ma-thuot", "dak-lak/đ"] {
                let path = path.parse().expect("path");
                let pem = authority.link(&path, &request, now()).expect("issued");
                let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
                assert_eq!(path_in(&der), Some(path));
                let (_, parsed) = x509_parser::parse_x509_certificate(&der).expect("X.509");
                assert!(!parsed.is_ca());
            }
        }
        assert_eq!(path_in(authority.certificate()), None);
        let text = request(&key).expect("request");
        let middle = text.len() / 2;
        let other = if text.as_bytes()[middle] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &text[..middle], &text[middle + 1..]);
        assert!(Request::read(&forged).is_none(), "the signature does not fit");
        assert!(Request::read(&"x".repeat(MAX_REQUEST + 1)).is_none());
    }

    #[test]
    fn hexadecimal_digits_come_back() {
        assert_eq!(unhex(&hex(&[0, 0xa5, 0xff])), Some(vec![0, 0xa5, 0xff]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("0g"), None);
    }
}
