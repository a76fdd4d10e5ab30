//! Reading: file and environment become one table of values, each knowing its place; unknown keys are refused.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, Error, error::Place, resolve};

/// The keys there are, with their sections.
const KEYS: &[&str] = &[
    "data_dir",
    "sip.bind",
    "sip.advertise",
    "sip.max_body",
    "sip.max_calls",
    "sip.session_timer_s",
    "sip.large_requests",
    "sip.authenticate_calls",
    "registrar.enabled",
    "registrar.realm",
    "registrar.domains",
    "registrar.accounts",
    "registrar.min_expires_s",
    "registrar.max_expires_s",
    "registrar.max_devices",
    "rtp.ports",
    "control.bind",
    "control.tls_bind",
    "control.tls_certificate",
    "control.tls_key",
    "control.max_connections",
    "control.max_connections_per_address",
    "control.trusted_proxies",
    "video.width",
    "video.height",
    "video.fps",
    "video.kbps",
    "video.encodings",
    "video.thrift",
    "video.encoder",
    "picture.layouts",
    "picture.logo",
    "picture.logo_place",
    "picture.logo_height",
    "media.packet_threads",
    "media.picture_threads",
    "capacity.refuse",
    "capacity.sound_busy_percent",
    "capacity.sound_late_ms",
    "capacity.pictures_busy_percent",
    "capacity.least_fps",
    "conference.max_participants",
    "conference.roster",
    "conference.refer",
    "dial.allow",
    "dial.at_a_time",
    "dial.per_second",
    "dial.ring_s",
    "dial.redial",
    "dial.redial_after_s",
    "dial.keep_callers_s",
    "dial.name_servers",
    "cascade.role",
    "cascade.name",
    "cascade.path",
    "cascade.room",
    "cascade.masters",
    "cascade.peer",
    "cascade.take_over_s",
    "cascade.sip",
    "cascade.follow",
    "cascade.token_file",
    "cascade.slots",
    "cascade.allow",
    "cascade.closed",
    "cascade.max_links",
    "cascade.max_sites",
    "restart.resume_within_s",
    "drain.grace_s",
    "log.level",
    "log.format",
];

/// Lists of tables, `[[name]]`, with the keys of each. Only in files.
const TABLES: &[(&str, &[&str])] = &[
    (ACCOUNTS, &["user", "password", "ha1_sha256", "ha1_md5"]),
    ("sip.register", &["registrar", "user", "password", "auth_user", "room", "expires_s"]),
    ("sip.credentials", &["realm", "user", "password"]),
];

/// The accounts, in the configuration itself or as `[[account]]` in a file of their own.
const ACCOUNTS: &str = "registrar.account";

/// Keys and sections that are promised for later: refused with that reason, never ignored.
const LATER: &[(&str, &str)] = &[
    ("sip.tls_bind", "SIP over TLS is not available yet"),
    ("network", "several networks are not available yet; use sip.bind and rtp.ports"),
];

/// Environment variables of other parts of the program, which are not configuration keys.
const OTHER_VARIABLES: &[&str] = &[
    "CAU_ADMIN_PASSWORD",
    "CAU_CONFIG",
    "CAU_BIN",
    "CAU_PY",
    "CAU_TOKEN",
    "CAU_URL",
    "CAU_USER",
    "CAU_PASSWORD",
    "CAU_LANGUAGE",
];

/// A value as written: numbers and words alike as text, lists as several.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) words: Vec<String>,
    pub(super) place: Place,
}

/// All values.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// By full key.
    pub(super) keys: BTreeMap<&'static str, Value>,
    /// Lists of tables by full name.
    pub(super) tables: BTreeMap<&'static str, Vec<Row>>,
}

/// One table of a list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) values: BTreeMap<&'static str, Value>,
    pub(super) place: Place,
}

/// Reads `file` (a default file that is missing counts as empty) and the environment, which wins.
///
/// # Errors
/// [`Error`] with place, key and remedy.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, Error> {
    let mut values = Values::default();
    match file {
        Some(file) => read_file(file, &mut values)?,
        None => {
            let file = PathBuf::from("config/cau.toml");
            if file.exists() {
                read_file(&file, &mut values)?;
            }
        }
    }
    read_environment(environment, &mut values)?;
    if let Some(file) = values.keys.get("registrar.accounts").map(|v| PathBuf::from(v.words.concat())) {
        with_table(&file, |table, line| read_accounts(table, line, &mut values))?;
    }
    resolve::resolve(&values)
}

fn read_file(file: &Path, values: &mut Values) -> Result<(), Error> {
    with_table(file, |table, line| read_table("", table, line, values))
}

/// A file of accounts: nothing but `[[account]]`.
fn read_accounts(
    table: &DeTable<'_>,
    line: &dyn Fn(usize) -> Place,
    values: &mut Values,
) -> Result<(), Error> {
    for (name, value) in table {
        if name.get_ref() != "account" {
            return Err(unknown(name.get_ref(), line(name.span().start)));
        }
        read_rows(ACCOUNTS, value, line, values)?;
    }
    Ok(())
}

fn with_table(
    file: &Path,
    read: impl FnOnce(&DeTable<'_>, &dyn Fn(usize) -> Place) -> Result<(), Error>,
) -> Result<(), Error> {
    let text = fs::read_to_string(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let line = |offset: usize| Place::Line {
        file: file.to_owned(),
        line: text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1),
    };
    let table = DeTable::parse(&text).map_err(|e| Error::Syntax {
        place: line(e.span().map_or(0, |s| s.start)),
        message: e.message().to_owned(),
    })?;
    read(table.get_ref(), &line)
}

fn read_table(
    section: &str,
    table: &DeTable<'_>,
    line: &dyn Fn(usize) -> Place,
    values: &mut Values,
) -> Result<(), Error> {
    for (name, value) in table {
        let key = if section.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{section}.{}", name.get_ref())
        };
        let place = line(name.span().start);
        if let Some((list, _)) = TABLES.iter().find(|(list, _)| *list == key) {
            read_rows(list, value, line, values)?;
            continue;
        }
        match value.get_ref() {
            DeValue::Table(inner) if LATER.iter().all(|(k, _)| *k != key) => {
                if !KEYS.iter().any(|k| k.starts_with(&format!("{key}."))) {
                    return Err(unknown(&key, place));
                }
                read_table(&key, inner, line, values)?;
            }
            _ => {
                let known = known(&key, &place)?;
                let words = words(value).ok_or_else(|| Error::Value {
                    place: place.clone(),
                    key: key.clone(),
                    message: "must be a word, a number or a list of words".into(),
                })?;
                values.keys.insert(known, Value { words, place });
            }
        }
    }
    Ok(())
}

/// `[[list]]`: tables with the keys of that list.
fn read_rows(
    list: &'static str,
    value: &Spanned<DeValue<'_>>,
    line: &dyn Fn(usize) -> Place,
    values: &mut Values,
) -> Result<(), Error> {
    let wrong = |at: usize| Error::Value {
        place: line(at),
        key: list.to_owned(),
        message: format!("is a list of tables: write [[{list}]] above each"),
    };
    let DeValue::Array(rows) = value.get_ref() else { return Err(wrong(value.span().start)) };
    let keys = TABLES.iter().find(|(of, _)| *of == list).map_or(&[][..], |(_, keys)| keys);
    for row in rows.iter() {
        let place = line(row.span().start);
        let DeValue::Table(table) = row.get_ref() else { return Err(wrong(row.span().start)) };
        let mut out = BTreeMap::new();
        for (name, value) in table {
            let place = line(name.span().start);
            let key = format!("{list}.{}", name.get_ref());
            let Some(known) = keys.iter().copied().find(|k| *k == &**name.get_ref()) else {
                let nearest = keys.iter().min_by_key(|k| strsim::damerau_levenshtein(k, name.get_ref()));
                let near = nearest.filter(|k| strsim::damerau_levenshtein(k, name.get_ref()) <= 3);
                return Err(Error::Unknown { place, key, suggestion: near.map(|k| (*k).to_owned()) });
            };
            let words = words(value).filter(|w| w.len() == 1).ok_or_else(|| Error::Value {
                place: place.clone(),
                key,
                message: "must be a word or a number".into(),
            })?;
            out.insert(known, Value { words, place });
        }
        values.tables.entry(list).or_default().push(Row { values: out, place });
    }
    Ok(())
}

/// Scalars as text; a list as several.
fn words(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::String(s) => Some(vec![s.to_string()]),
        DeValue::Integer(i) => Some(vec![i.to_string()]),
        DeValue::Float(f) => Some(vec![f.to_string()]),
        DeValue::Boolean(b) => Some(vec![b.to_string()]),
        DeValue::Array(list) => {
            let mut all = Vec::new();
            for item in list.iter() {
                all.extend(words(item)?);
            }
            Some(all)
        }
        _ => None,
    }
}

fn read_environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    values: &mut Values,
) -> Result<(), Error> {
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|n| n.starts_with("CAU_")) else { continue };
        if OTHER_VARIABLES.contains(&name) {
            continue;
        }
        let place = Place::Variable(name.to_owned());
        let key = name.trim_start_matches("CAU_").to_lowercase().replace("__", ".");
        let known = known(&key, &place)?;
        let Some(value) = value.to_str() else {
            return Err(Error::Value { place, key, message: "is not valid UTF-8".into() });
        };
        let words = value.split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect();
        values.keys.insert(known, Value { words, place });
    }
    Ok(())
}

fn known(key: &str, place: &Place) -> Result<&'static str, Error> {
    if let Some((_, why)) = LATER.iter().find(|(k, _)| *k == key || key.starts_with(&format!("{k}."))) {
        return Err(Error::Value { place: place.clone(), key: key.to_owned(), message: (*why).to_owned() });
    }
    if TABLES.iter().any(|(list, _)| *list == key || key.starts_with(&format!("{list}."))) {
        let message = "is a list of tables, which only a file can have".to_owned();
        return Err(Error::Value { place: place.clone(), key: key.to_owned(), message });
    }
    KEYS.iter().copied().find(|k| *k == key).ok_or_else(|| unknown(key, place.clone()))
}

fn unknown(key: &str, place: Place) -> Error {
    let distance = |k: &&&str| strsim::damerau_levenshtein(k, key);
    let sections: Vec<&str> = KEYS.iter().filter_map(|k| k.split_once('.').map(|(s, _)| s)).collect();
    let lists = TABLES.iter().map(|(list, _)| *list);
    let names: Vec<&str> = KEYS.iter().copied().chain(sections).chain(lists).collect();
    let nearest = names.iter().min_by_key(distance).filter(|k| distance(k) <= 3);
    Error::Unknown { place, key: key.to_owned(), suggestion: nearest.map(|k| (*k).to_owned()) }
}
