//! What is configured of a conference: the part that is stored and survives a restart.

use serde::{Deserialize, Serialize};

use crate::body::{Draft, Patch};
use crate::layout::Kind;
use crate::name;
use crate::refusal::Refusal;
use crate::voice;

/// Settings of a conference, checked. The persisted form: unknown keys are ignored so that an older program can read
/// what a newer one stored; missing ones take their default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The user part of the address endpoints dial: 1–64 of letters, digits, `.`, `_`, `-`, the first and the last a letter
    /// or a digit; in lower case.
    pub room: String,
    /// Shown to people; may be dialled too, as its path key ([`name::slug`]). Never empty.
    pub name: String,
    /// 4–16 digits asked by DTMF before one is let in.
    #[serde(default)]
    pub pin: Option<String>,
    /// What everybody sees who has no layout of his own.
    #[serde(default = "grid")]
    pub layout: Kind,
    /// Whether names are written on the pictures.
    #[serde(default)]
    pub names: Names,
    /// Sites (but the chair) join with their sound muted.
    #[serde(default)]
    pub join_muted: bool,
    /// Whether legs are encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// The site that leads: its name, path key, SIP address, user part of it, or the id of a participant.
    #[serde(default)]
    pub chair: Option<String>,
    /// When the voice moves the picture.
    #[serde(default)]
    pub voice: voice::Times,
}

fn grid() -> Kind {
    Kind::Grid
}

/// Whether names are written on the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Names {
    /// Written except where one site fills the picture.
    #[default]
    Auto,
    /// Always written.
    On,
    /// Never written.
    Off,
}

/// Whether the legs of a conference are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Encryption {
    /// Never.
    #[default]
    Off,
    /// Where the endpoint can.
    Optional,
    /// Every leg, or it is refused.
    Required,
}

impl Settings {
    /// Settings of a room with nothing but defaults.
    pub fn new(room: &str) -> Result<Settings, Refusal> {
        Settings::try_from(Draft { room: room.to_owned(), ..Draft::default() })
    }

    /// These settings with a change laid over them; refused as a whole where one field makes no sense.
    pub fn patched(&self, patch: Patch) -> Result<Settings, Refusal> {
        let mut new = self.clone();
        if let Some(room) = patch.room {
            new.room = checked_room(&room)?;
        }
        if let Some(name) = patch.name {
            new.name = checked_name(&name)?;
        }
        if let Some(pin) = patch.pin {
            new.pin = pin.map(|pin| checked_pin(&pin)).transpose()?;
        }
        if let Some(layout) = patch.layout {
            new.layout = layout.parse()?;
        }
        if let Some(names) = patch.names {
            new.names = names.parse()?;
        }
        if let Some(muted) = patch.join_muted {
            new.join_muted = muted;
        }
        if let Some(encryption) = patch.encryption {
            new.encryption = encryption.parse()?;
        }
        if let Some(chair) = patch.chair {
            new.chair = chair.map(|chair| checked_chair(&chair)).transpose()?;
        }
        if let Some(times) = patch.voice {
            new.voice = times.checked()?;
        }
        Ok(new)
    }
}

impl TryFrom<Draft> for Settings {
    type Error = Refusal;

    fn try_from(draft: Draft) -> Result<Settings, Refusal> {
        let room = checked_room(&draft.room)?;
        let base = Settings {
            name: room.clone(),
            room,
            pin: None,
            layout: Kind::Grid,
            names: Names::Auto,
            join_muted: false,
            encryption: Encryption::Off,
            chair: None,
            voice: voice::Times::default(),
        };
        base.patched(Patch {
            room: None,
            name: draft.name,
            pin: Some(draft.pin),
            layout: draft.layout,
            names: draft.names,
            join_muted: draft.join_muted,
            encryption: draft.encryption,
            chair: Some(draft.chair),
            voice: draft.voice,
        })
    }
}

fn checked_room(room: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    // `.` and `..` are no path segments, `-` alone looks like an option: an end is a letter or a digit.
    let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    let ends = end(room.bytes().next()) && end(room.bytes().last());
    if room.len() > 64 || !ends || !room.bytes().all(plain) {
        return Err(Refusal::invalid(
            "room",
            "số phòng gồm 1–64 chữ cái không dấu, chữ số, dấu chấm, gạch dưới, gạch nối; bắt đầu và kết thúc bằng chữ cái hoặc chữ số",
            "a room is 1–64 letters without accents, digits, dots, underscores, hyphens; it begins and ends with a letter or a digit",
        ));
    }
    Ok(room.to_ascii_lowercase())
}

fn checked_name(raw: &str) -> Result<String, Refusal> {
    let name = name::clean(raw);
    if name.is_empty() {
        return Err(Refusal::invalid("name", "tên phiên họp không được trống", "the name must not be empty"));
    }
    Ok(name)
}

fn checked_pin(pin: &str) -> Result<String, Refusal> {
    if !(4..=16).contains(&pin.len()) || !pin.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::invalid("pin", "mã PIN gồm 4–16 chữ số", "a PIN is 4–16 digits"));
    }
    Ok(pin.to_owned())
}

fn checked_chair(raw: &str) -> Result<String, Refusal> {
    let chair: String = name::clean(raw);
    if chair.is_empty() {
        return Err(Refusal::invalid(
            "chair",
            "chủ tọa là tên, địa chỉ SIP hoặc mã của một điểm cầu",
            "the chair is the name, the SIP address or the id of a site",
        ));
    }
    Ok(chair)
}

impl std::str::FromStr for Names {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Names, Refusal> {
        match text {
            "auto" => Ok(Names::Auto),
            "on" => Ok(Names::On),
            "off" => Ok(Names::Off),
            _ => {
                Err(Refusal::invalid("names", "tên hiển thị: auto, on hoặc off", "names is auto, on or off"))
            }
        }
    }
}

impl std::str::FromStr for Encryption {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Encryption, Refusal> {
        match text {
            "off" => Ok(Encryption::Off),
            "optional" => Ok(Encryption::Optional),
            "required" => Ok(Encryption::Required),
            _ => Err(Refusal::invalid(
                "encryption",
                "mã hóa: off, optional hoặc required",
                "encryption is off, optional or required",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_room_is_needed() {
        let settings = Settings::new("8000").unwrap();
        assert_eq!(
            (settings.name.as_str(), settings.layout, settings.names),
            ("8000", Kind::Grid, Names::Auto)
        );
        let stored = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&stored).unwrap(), settings);
        assert_eq!(
            serde_json::from_str::<Settings>(r#"{"room":"8000","name":"8000","new":1}"#).unwrap(),
            settings
        );
    }

    #[test]
    fn a_room_begins_and_ends_with_a_letter_or_a_digit() {
        for good in ["8", "8000", "giao-ban", "Xa.Hoa_Phu-2", "a..b"] {
            assert_eq!(Settings::new(good).unwrap().room, good.to_ascii_lowercase());
        }
        for bad in ["", ".", "..", "-", "_", "-8000", "8000.", ".8000", "phòng", "a b", "a/b"] {
            assert!(
                matches!(Settings::new(bad), Err(Refusal::Invalid { field, .. }) if field == "room"),
                "{bad}"
            );
        }
        assert!(Settings::new(&"8".repeat(65)).is_err());
    }

    #[test]
    fn every_field_that_makes_no_sense_is_named() {
        let refused = |patch: Patch| match Settings::new("8000").unwrap().patched(patch) {
            Err(Refusal::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(refused(Patch { room: some("phòng 1"), ..Patch::default() }), "room");
        assert_eq!(refused(Patch { name: some(" \u{0} "), ..Patch::default() }), "name");
        assert_eq!(refused(Patch { pin: Some(some("12a4")), ..Patch::default() }), "pin");
        assert_eq!(refused(Patch { layout: some("7x9"), ..Patch::default() }), "layout");
        assert_eq!(refused(Patch { names: some("maybe"), ..Patch::default() }), "names");
        assert_eq!(refused(Patch { encryption: some("yes"), ..Patch::default() }), "encryption");
        assert_eq!(refused(Patch { chair: Some(some("")), ..Patch::default() }), "chair");
    }

    #[test]
    fn null_takes_the_pin_away_and_absence_keeps_it() {
        let with = Settings::new("8000")
            .unwrap()
            .patched(serde_json::from_str(r#"{"pin":"1234","name":"Giao ban"}"#).unwrap())
            .unwrap();
        assert_eq!(with.pin.as_deref(), Some("1234"));
        let kept = with.patched(serde_json::from_str(r#"{"join_muted":true}"#).unwrap()).unwrap();
        assert_eq!(kept.pin.as_deref(), Some("1234"));
        let gone = kept.patched(serde_json::from_str(r#"{"pin":null}"#).unwrap()).unwrap();
        assert_eq!(gone.pin, None);
    }
}
