//! Request bodies as they come from outside: raw, to be resolved into checked types. Unknown fields are refused.

use serde::{Deserialize, Deserializer};

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
}

/// `PATCH /conferences/{id}`: absent fields stay as they are, `null` takes away what may be absent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ConferencePatch))]
pub struct Patch {
    /// See [`Draft::room`].
    pub room: Option<String>,
    /// See [`Draft::name`].
    pub name: Option<String>,
    /// See [`Draft::pin`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub pin: Option<Option<String>>,
    /// See [`Draft::layout`].
    pub layout: Option<String>,
    /// See [`Draft::names`].
    pub names: Option<String>,
    /// See [`Draft::join_muted`].
    pub join_muted: Option<bool>,
    /// See [`Draft::encryption`].
    pub encryption: Option<String>,
    /// See [`Draft::chair`].
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub chair: Option<Option<String>>,
    /// See [`Draft::voice`].
    pub voice: Option<voice::Times>,
}

/// A field that is there, `null` included, is `Some`.
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
}

/// One pinned seat of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SeatChoice))]
pub struct Seat {
    /// Seat number, from 0, the largest first.
    pub seat: u32,
    /// Id of the participant who sits there.
    pub participant: String,
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
    pub audio_muted: Option<bool>,
    /// The site hears nobody.
    pub deafened: Option<bool>,
    /// Nobody sees the site.
    pub video_hidden: Option<bool>,
    /// Gain of the site's sound for the others, dB, −40 to +20.
    pub volume_db: Option<f32>,
    /// The name shown.
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
