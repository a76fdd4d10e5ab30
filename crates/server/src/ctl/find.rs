//! What an operator means by a name.

use cau_model::name;
use serde_json::Value;

use super::api::Api;
use crate::failure::Failure;

/// The id of a conference named by id, room or name.
pub fn conference(api: &Api, wanted: &str) -> Result<String, Failure> {
    let all = api.list("/conferences")?;
    let by = |field: &str| all.iter().filter(|c| c[field].as_str() == Some(wanted)).collect::<Vec<_>>();
    let key = name::slug(wanted);
    let by_key = || all.iter().filter(|c| c["name"].as_str().is_some_and(|n| name::slug(n) == key)).collect();
    one(&[by("id"), by("room"), by("name"), by_key()], wanted, "conference")
}

/// The id of a site named by id, name, or the key of its name; those who have left last.
pub fn site(api: &Api, conference: &str, wanted: &str) -> Result<String, Failure> {
    let all = api.list(&format!("/conferences/{conference}/participants"))?;
    let key = name::slug(wanted);
    let is_named = |p: &Value| {
        p["name"].as_str().is_some_and(|n| n == wanted || (!key.is_empty() && name::slug(n) == key))
            || p["uri"].as_str() == Some(wanted)
    };
    let by_id = all.iter().filter(|p| p["id"].as_str() == Some(wanted)).collect();
    let there = all.iter().filter(|p| is_named(p) && p["state"] != "left").collect();
    let gone = all.iter().rev().filter(|p| is_named(p)).take(1).collect();
    one(&[by_id, there, gone], wanted, "site")
}

/// The only one of the first kind of match there is.
fn one(kinds: &[Vec<&Value>], wanted: &str, what: &str) -> Result<String, Failure> {
    for found in kinds {
        match found.as_slice() {
            [] => {}
            [only] => return Ok(only["id"].as_str().unwrap_or_default().to_owned()),
            several => {
                let ids: Vec<&str> = several.iter().filter_map(|v| v["id"].as_str()).collect();
                return Err(Failure::Ctl(format!(
                    "{wanted} is the name of several: use one of {}",
                    ids.join(", ")
                )));
            }
        }
    }
    Err(Failure::Ctl(format!("there is no {what} {wanted}")))
}
