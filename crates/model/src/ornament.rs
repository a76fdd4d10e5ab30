//! What is written over the picture of a conference: logo, clock, message.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::name;
use crate::refusal::Refusal;

/// Longest message, in characters.
pub const MAX_MESSAGE: usize = 400;

/// A corner of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Corner {
    /// Above, left.
    UpperLeft,
    /// Above, right.
    #[default]
    UpperRight,
    /// Below, left.
    LowerLeft,
    /// Below, right.
    LowerRight,
}

/// A time zone: a name of the IANA database (`Asia/Ho_Chi_Minh`) or a fixed offset (`+07:00`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

impl Zone {
    /// Hour, minute and second there, `unix_s` seconds after 1970-01-01 00:00 UTC; `None` beyond the year 9999.
    pub fn time_of_day(&self, unix_s: i64) -> Option<(u8, u8, u8)> {
        let there = self.zone.to_datetime(jiff::Timestamp::from_second(unix_s).ok()?);
        let part = |n: i8| u8::try_from(n).unwrap_or_default();
        Some((part(there.hour()), part(there.minute()), part(there.second())))
    }
}

impl Default for Zone {
    /// Vietnam.
    fn default() -> Zone {
        let seven = Offset::constant(7);
        let name: Arc<str> = "Asia/Ho_Chi_Minh".into();
        let zone = TimeZone::get(&name).unwrap_or_else(|_| TimeZone::fixed(seven));
        Zone { name, zone }
    }
}

impl FromStr for Zone {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Zone, Refusal> {
        let zone = if text.len() > 64 { None } else { offset(text).or_else(|| TimeZone::get(text).ok()) };
        zone.map(|zone| Zone { name: text.into(), zone }).ok_or_else(|| {
            Refusal::invalid(
                "clock.zone",
                "múi giờ dạng Asia/Ho_Chi_Minh hoặc +07:00",
                "a time zone is such as Asia/Ho_Chi_Minh or +07:00",
            )
        })
    }
}

/// `+07:00`, `-03:30`.
fn offset(text: &str) -> Option<TimeZone> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(TimeZone::fixed)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The time on the picture: 24 hours, with seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Clock {
    /// Where.
    pub place: Corner,
    /// Of which place on earth; `Asia/Ho_Chi_Minh` when absent.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub zone: Zone,
}

impl Clock {
    /// What it shows, `unix_s` seconds after 1970-01-01 00:00 UTC: `07:05:09`.
    pub fn text(&self, unix_s: i64) -> String {
        let (h, m, s) = self.zone.time_of_day(unix_s).unwrap_or_default();
        format!("{h:02}:{m:02}:{s:02}")
    }
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Motion {
    /// It runs from right to left, again and again.
    #[default]
    Scroll,
    /// It stands still; what is too long for the picture ends in an ellipsis.
    Still,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Edge {
    /// Along the upper edge.
    Top,
    /// Along the lower edge.
    #[default]
    Bottom,
}

/// A line of text over the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// The text, one line, composed (NFC), 1–[`MAX_MESSAGE`] characters.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub text: Arc<str>,
    /// Whether it moves.
    pub motion: Motion,
    /// Where.
    pub place: Edge,
    /// Who sees it; null: everybody.
    #[serde(rename = "for")]
    pub viewers: Option<BTreeSet<ParticipantId>>,
}

impl Message {
    /// What may be written of a text from outside.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] of `text`: nothing to read in it, or too long.
    pub fn checked(raw: &str) -> Result<Arc<str>, Refusal> {
        let text = name::line(raw, MAX_MESSAGE + 1);
        if text.is_empty() {
            return Err(Refusal::invalid(
                "text",
                "thông báo không được trống; dùng DELETE để gỡ",
                "the message must not be empty; DELETE takes it away",
            ));
        }
        if text.chars().count() > MAX_MESSAGE {
            return Err(Refusal::invalid(
                "text",
                format!("thông báo dài nhất {MAX_MESSAGE} ký tự"),
                format!("a message has {MAX_MESSAGE} characters at most"),
            ));
        }
        Ok(text.into())
    }
}

/// Everything written over one scene.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ornaments {
    /// The logo of the MCU, where it has one.
    pub logo: bool,
    /// The time.
    pub clock: Option<Clock>,
    /// The message, for those who see it.
    pub message: Option<Arc<Message>>,
}

impl Ornaments {
    /// Nothing is written over the picture.
    pub fn is_empty(&self) -> bool {
        !self.logo && self.clock.is_none() && self.message.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_twenty_four_hours_of_its_zone() {
        // 2026-03-01 17:05:09 UTC.
        let at = 1_772_384_709;
        let clock = |zone: &str| Clock { zone: zone.parse().unwrap(), ..Clock::default() }.text(at);
        assert_eq!(Clock::default().text(at), "00:05:09");
        assert_eq!(clock("Asia/Ho_Chi_Minh"), "00:05:09");
        assert_eq!(clock("+00:00"), "17:05:09");
        assert_eq!(clock("-03:30"), "13:35:09");
        assert_eq!(clock("Europe/Berlin"), "18:05:09");
        assert_eq!(clock("Europe/Berlin").len(), 8);
    }

    #[test]
    fn what_is_no_time_zone_is_refused() {
        for text in ["", "Saigon", "+7", "+25:00", "+07:60", "07:00", &"x".repeat(1000)] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_is_one_composed_line_of_bounded_length() {
        assert_eq!(&*Message::checked(" Ho\u{323}p\n va\u{300}o 14 giờ\u{202e} ").unwrap(), "Họp vào 14 giờ");
        assert!(Message::checked(" \n\u{200b}").is_err());
        assert!(Message::checked(&"ệ".repeat(MAX_MESSAGE)).is_ok());
        assert!(Message::checked(&"ệ".repeat(MAX_MESSAGE + 1)).is_err());
    }
}
