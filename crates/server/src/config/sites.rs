//! Accounts of sites, our registrar, and where we have an account ourselves.

use std::{collections::HashSet, time::Duration};

use cau_sip::{
    Host, Uri,
    digest::{Accounts, Algorithm, Credentials, Secret},
    register::Registration,
};

use super::{
    Error, Register, Registrar,
    raw::{Row, Values},
    resolve::{Reader, yes_or_no},
};

pub(super) fn registrar(v: &Reader<'_>) -> Result<Registrar, Error> {
    let least = v.number("registrar.min_expires_s", 60, 10..=86_400)?;
    let most = v.number("registrar.max_expires_s", 3_600, 60..=86_400)?;
    if most < least {
        let message = format!("{most} is less than registrar.min_expires_s ({least})");
        return Err(v.wrong("registrar.max_expires_s", message));
    }
    let enabled = yes_or_no(v, "registrar.enabled", false)?;
    let accounts = accounts(v.values)?;
    if enabled && accounts.is_empty() {
        let message = "there are no accounts: give [[registrar.account]] or registrar.accounts";
        return Err(v.wrong("registrar.enabled", message.into()));
    }
    let domains = match v.values.keys.get("registrar.domains") {
        Some(value) if !value.words.is_empty() => v.list("registrar.domains", &[], |w| {
            Host::parse(w.as_bytes()).map_err(|_| format!("`{w}` is no domain"))
        })?,
        _ => Vec::new(),
    };
    Ok(Registrar {
        enabled,
        realm: v.one("registrar.realm", "cau", |w| match w {
            "" => Err("must not be empty".to_owned()),
            w if w.len() > 128 || w.chars().any(char::is_control) => Err(format!("`{w}` is no realm")),
            w => Ok(w.to_owned()),
        })?,
        domains,
        accounts,
        expires: Duration::from_secs(least)..=Duration::from_secs(most),
        max_devices: v.number("registrar.max_devices", 10, 1..=100)?,
    })
}

/// The accounts; a wrong one is named with its line.
fn accounts(values: &Values) -> Result<Accounts, Error> {
    let rows = values.tables.get("registrar.account").map_or(&[][..], |rows| rows);
    let mut all = Vec::with_capacity(rows.len());
    let mut seen = HashSet::new();
    for row in rows {
        let user = required(row, "registrar.account", "user")?;
        let password = word(row, "password").map(Secret::Password);
        let hashes: Vec<_> = [(Algorithm::Sha256, "ha1_sha256"), (Algorithm::Md5, "ha1_md5")]
            .into_iter()
            .filter_map(|(algorithm, key)| Some((algorithm, word(row, key)?.to_lowercase())))
            .collect();
        let secret = match (password, hashes.is_empty()) {
            (Some(_), false) => {
                return Err(wrong(row, "registrar.account", "has a password and a hash: one is enough"));
            }
            (Some(password), true) => password,
            (None, _) => Secret::Ha1(hashes),
        };
        // Alone: what is wrong with this one.
        let one = Accounts::new([(user.clone(), secret.clone())]);
        one.map_err(|e| wrong(row, "registrar.account", &e.to_string()))?;
        if !seen.insert(user.clone()) {
            return Err(wrong(row, "registrar.account", &format!("the account `{user}` is there twice")));
        }
        all.push((user, secret));
    }
    let last = rows.last();
    Accounts::new(all).map_err(|e| match last {
        Some(row) => wrong(row, "registrar.account", &e.to_string()),
        None => Error::Value {
            place: super::error::Place::Default,
            key: "registrar.account".into(),
            message: e.to_string(),
        },
    })
}

/// Where we register ourselves.
pub(super) fn register(values: &Values) -> Result<Vec<Register>, Error> {
    const LIST: &str = "sip.register";
    let one = |row: &Row| {
        let text = required(row, LIST, "registrar")?;
        let whole = if text.contains(':') && text.starts_with("sip") { text } else { format!("sip:{text}") };
        let uri = Uri::parse(whole.as_bytes()).ok().filter(|uri| uri.user().is_empty());
        let Some((uri, host)) = uri.and_then(|uri| {
            let sip = uri.as_sip().filter(|sip| !sip.secure)?;
            let host = format!("{}:{}", sip.host, sip.port.unwrap_or(5060));
            Some((uri, host))
        }) else {
            return Err(wrong(
                row,
                "sip.register.registrar",
                &format!("`{whole}` is no registrar, such as sip:10.0.0.1"),
            ));
        };
        let user = required(row, LIST, "user")?;
        let expires = match word(row, "expires_s") {
            None => 600,
            Some(w) => w.parse().ok().filter(|s| (60..=86_400).contains(s)).ok_or_else(|| {
                wrong(row, "sip.register.expires_s", &format!("`{w}` is not a whole number from 60 to 86400"))
            })?,
        };
        let plan = Registration {
            registrar: uri,
            remote: None,
            protocol: None,
            auth_user: word(row, "auth_user"),
            secret: Secret::Password(required(row, LIST, "password")?),
            contact: word(row, "room").unwrap_or_else(|| user.clone()),
            user,
            expires: Duration::from_secs(expires),
        };
        Ok(Register { plan, host })
    };
    values.tables.get(LIST).into_iter().flatten().map(one).collect()
}

/// Who we are for others, when they ask.
pub(super) fn credentials(values: &Values) -> Result<Vec<Credentials>, Error> {
    const LIST: &str = "sip.credentials";
    let one = |row: &Row| {
        Ok(Credentials {
            realm: required(row, LIST, "realm")?,
            user: required(row, LIST, "user")?,
            secret: Secret::Password(required(row, LIST, "password")?),
        })
    };
    values.tables.get(LIST).into_iter().flatten().map(one).collect()
}

fn word(row: &Row, key: &str) -> Option<String> {
    row.values.get(key).map(|value| value.words.concat())
}

fn required(row: &Row, list: &str, key: &str) -> Result<String, Error> {
    word(row, key).filter(|w| !w.is_empty()).ok_or_else(|| wrong(row, &format!("{list}.{key}"), "is missing"))
}

fn wrong(row: &Row, key: &str, message: &str) -> Error {
    Error::Value { place: row.place.clone(), key: key.to_owned(), message: message.to_owned() }
}
