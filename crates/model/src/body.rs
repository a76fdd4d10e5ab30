//! Request bodies as they come from outside: raw, to be resolved into checked types. Unknown fields are refused.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ornament::{Clock, Corner, Edge, Motion};
use crate::refusal::Refusal;
use crate::sound::Rules;
use crate::voice;

/// `POST /conferences`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ConferenceDraft))]
pub struct Draft {
    /// The number or word endpoints dial.
    pub room: String,
    /// Shown to people; the room when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// 4–16 digits, or null.
    #[serde(default)]
    pub pin: Option<String>,
    /// Name of a layout; `grid` when absent.
    #[serde(default)]
    pub layout: Option<String>,
    /// `auto`, `on`, `off`; `auto` when absent.
    #[serde(default)]
    pub names: Option<String>,
    /// Sites join muted; false when absent.
    #[serde(default)]
    pub join_muted: Option<bool>,
    /// `off`, `optional`, `required`; `off` when absent.
    #[serde(default)]
    pub encryption: Option<String>,
    /// The leading site: name, SIP address or participant id.
    #[serde(default)]
    pub chair: Option<String>,
    /// When the voice moves the picture.
    #[serde(default)]
    pub voice: Option<voice::Times>,
    /// `fit` or `fill`; `fit` when absent.
    #[serde(default)]
    pub fit: Option<String>,
    /// The logo of the MCU on the pictures; true when absent.
    #[serde(default)]
    pub logo: Option<bool>,
    /// The time on the pictures.
    #[serde(default)]
    pub clock: Option<ClockDraft>,
    /// What is done about sound by rule.
    #[serde(default)]
    pub sound: Option<RulesPatch>,
}

/// `PATCH /conferences/{id}`: absent fields stay as they are, `null` takes away what may be absent and is
/// refused elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ConferencePatch))]
pub struct Patch {
    /// See [`Draft::room`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub room: Option<String>,
    /// See [`Draft::name`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub name: Option<String>,
    /// See [`Draft::pin`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub pin: Option<Option<String>>,
    /// See [`Draft::layout`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub layout: Option<String>,
    /// See [`Draft::names`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub names: Option<String>,
    /// See [`Draft::join_muted`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub join_muted: Option<bool>,
    /// See [`Draft::encryption`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub encryption: Option<String>,
    /// See [`Draft::chair`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub chair: Option<Option<String>>,
    /// See [`Draft::voice`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub voice: Option<voice::Times>,
    /// See [`Draft::fit`].
    pub fit: Option<String>,
    /// See [`Draft::logo`].
    pub logo: Option<bool>,
    /// See [`Draft::clock`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ClockDraft>))]
    pub clock: Option<Option<ClockDraft>>,
    /// See [`Draft::sound`].
    pub sound: Option<RulesPatch>,
}

/// The time on the pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ClockChange))]
pub struct ClockDraft {
    /// Which corner; `upper-right` when absent.
    pub place: Corner,
    /// `Asia/Ho_Chi_Minh` (when absent), any other name of the IANA database, or `+07:00`.
    pub zone: Option<String>,
}

impl TryFrom<ClockDraft> for Clock {
    type Error = Refusal;

    fn try_from(draft: ClockDraft) -> Result<Clock, Refusal> {
        let zone = draft.zone.map(|zone| zone.parse()).transpose()?.unwrap_or_default();
        Ok(Clock { place: draft.place, zone })
    }
}

/// What is done about sound by rule; absent fields stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SoundRulesChange))]
pub struct RulesPatch {
    /// Speech of all sites is brought to one level; true at first.
    pub even_levels: Option<bool>,
    /// Noisy and echoing sites are looked for and named; true at first.
    pub watch: Option<bool>,
    /// A site found noisy is muted; false at first.
    pub mute_noisy: Option<bool>,
    /// A site found echoing is muted; false at first.
    pub mute_echoing: Option<bool>,
}

impl RulesPatch {
    pub(crate) fn apply(self, rules: &mut Rules) {
        rules.even_levels = self.even_levels.unwrap_or(rules.even_levels);
        rules.watch = self.watch.unwrap_or(rules.watch);
        rules.mute_noisy = self.mute_noisy.unwrap_or(rules.mute_noisy);
        rules.mute_echoing = self.mute_echoing.unwrap_or(rules.mute_echoing);
    }
}

/// A field that is there is `Some`; `null` must then be something `T` can be, or it is refused.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// `PUT /conferences/{id}/layout`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = LayoutChange))]
pub struct Layout {
    /// Name of a layout.
    pub layout: String,
    /// Who is pinned where; seats not named are automatic.
    #[serde(default)]
    pub seats: Vec<Seat>,
    /// `auto`, `on`, `off`; absent: as it was.
    #[serde(default)]
    pub names: Option<String>,
    /// The participants who are to see it; absent: everybody, and layouts of single sites end.
    #[serde(default, rename = "for")]
    pub viewers: Option<Vec<String>>,
    /// `fit` or `fill`; absent: as the conference says.
    #[serde(default)]
    pub fit: Option<String>,
    /// The automatic seats (those that do not follow the voice) turn through all who have no seat; absent: they do not, but
    /// for the audience of `lecture`.
    #[serde(default)]
    pub cycle: Option<Cycle>,
}

/// How seats turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CycleChoice))]
pub struct Cycle {
    /// Seconds from change to change, 3–3,600.
    pub period_s: u32,
    /// Through whom, in this order; absent: through everybody in order of joining.
    #[serde(default)]
    pub participants: Option<Vec<String>>,
}

/// `PUT /conferences/{id}/message`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MessageChange))]
pub struct Message {
    /// The text, at most 400 characters.
    pub text: String,
    /// `scroll` or `still`; `scroll` when absent.
    #[serde(default)]
    pub motion: Motion,
    /// `top` or `bottom`; `bottom` when absent.
    #[serde(default)]
    pub place: Edge,
    /// Who sees it; absent: everybody.
    #[serde(default, rename = "for")]
    pub viewers: Option<Vec<String>>,
}

/// One pinned seat of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SeatChoice))]
pub struct Seat {
    /// Seat number, from 0, the largest first.
    pub seat: u32,
    /// Id of the participant who sits there; either this or `cycle`.
    #[serde(default)]
    pub participant: Option<String>,
    /// Ids of those the seat turns through, in this order.
    #[serde(default)]
    pub cycle: Option<Cycle>,
}

/// `PUT /conferences/{id}/speaker`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SpeakerChange))]
pub struct Speaker {
    /// Id of the participant who is the speaker now; null gives it back to the voice.
    #[serde(deserialize_with = "Option::deserialize")]
    pub participant: Option<String>,
}

/// `PATCH /conferences/{id}/participants/{pid}`, and the same for all but the chair.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ParticipantPatch))]
pub struct Participant {
    /// Nobody hears the site.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub audio_muted: Option<bool>,
    /// The site hears nobody.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub deafened: Option<bool>,
    /// Nobody sees the site.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub video_hidden: Option<bool>,
    /// Gain of the site's sound for the others, dB, −40 to +20.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub volume_db: Option<f32>,
    /// The name shown.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub name: Option<String>,
}

/// `POST /conferences/{id}/participants`: one site to be called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitee {
    /// SIP address, such as `sip:hoaphu@10.1.2.3`.
    pub uri: String,
    /// The name to show; the user part of the address when absent.
    #[serde(default)]
    pub name: Option<String>,
}

/// One [`Invitee`], or an array of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitees {
    /// One.
    One(Invitee),
    /// Several, in their order.
    Several(Vec<Invitee>),
}

impl<'de> Deserialize<'de> for Invitees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Invitees, D::Error> {
        struct OneOrSeveral;

        // By hand, so that what is wrong in an element is named with its place.
        impl<'de> serde::de::Visitor<'de> for OneOrSeveral {
            type Value = Invitees;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with `uri` and `name`, or an array of them")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Invitees, A::Error> {
                Invitee::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Invitees::One)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Invitees, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Invitees::Several(all))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Invitees {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{Ref, schema};
        let one = || Ref::from_schema_name("Invitee");
        schema::OneOfBuilder::new().item(one()).item(schema::ArrayBuilder::new().items(one())).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Invitees {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        schemas.push(("Invitee".to_owned(), <Invitee as utoipa::PartialSchema>::schema()));
    }
}

/// `POST /conferences/{id}/bring-up`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BringUpOrder))]
pub struct BringUp {
    /// Participant id, or the name of the site as a path (lower case, without accents, `-` for blanks).
    pub site: String,
    /// The participants who are to see and hear it; absent: the chair, or everybody when there is none.
    #[serde(default, rename = "for")]
    pub viewers: Option<Vec<String>>,
    /// Seconds after which it has failed; 30 when absent.
    #[serde(default)]
    pub deadline_s: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_refused_where_nothing_may_be_absent() {
        for field in ["room", "name", "layout", "names", "join_muted", "encryption", "voice"] {
            let text = format!(r#"{{"{field}":null}}"#);
            assert!(serde_json::from_str::<Patch>(&text).is_err(), "{text}");
        }
        for field in ["audio_muted", "deafened", "video_hidden", "volume_db", "name"] {
            let text = format!(r#"{{"{field}":null}}"#);
            assert!(serde_json::from_str::<Participant>(&text).is_err(), "{text}");
        }
        let gone: Patch = serde_json::from_str(r#"{"pin":null,"chair":null}"#).unwrap();
        assert_eq!((gone.pin, gone.chair), (Some(None), Some(None)));
        assert_eq!(serde_json::from_str::<Patch>("{}").unwrap(), Patch::default());
    }
}
