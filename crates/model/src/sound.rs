//! Discipline of sound: what may be wrong with what a site sends, and what is done about it by rule.

use serde::{Deserialize, Serialize};

use crate::refusal::Words;

/// What the mixer does about sound of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rules {
    /// Speech of all sites is brought to one level, by 12 dB at most; noise is never brought up.
    pub even_levels: bool,
    /// Noisy and echoing sites are looked for and named.
    pub watch: bool,
    /// A site found noisy is muted.
    pub mute_noisy: bool,
    /// A site found echoing is muted.
    pub mute_echoing: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { even_levels: true, watch: true, mute_noisy: false, mute_echoing: false }
    }
}

impl Rules {
    /// Whether the mixer has to look for what is wrong: also when a rule mutes by it.
    pub fn watches(self) -> bool {
        self.watch || self.mute_noisy || self.mute_echoing
    }

    /// Whether a site in this trouble is muted.
    pub fn mutes(self, kind: Kind) -> bool {
        match kind {
            Kind::Noise | Kind::Hum => self.mute_noisy,
            Kind::Echo => self.mute_echoing,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SoundTroubleKind))]
pub enum Kind {
    /// Steady noise while nobody speaks there.
    Noise,
    /// The hum of the mains.
    Hum,
    /// It sends back what it is sent.
    Echo,
}

/// A trouble with its measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// See [`Kind::Noise`].
    Noise {
        /// Level of the noise, dBov.
        level_dbov: i8,
    },
    /// See [`Kind::Hum`].
    Hum {
        /// Level of the hum, dBov.
        level_dbov: i8,
    },
    /// See [`Kind::Echo`].
    Echo {
        /// Later than it was sent, ms.
        delay_ms: u16,
    },
}

impl Trouble {
    /// Which.
    pub fn kind(self) -> Kind {
        match self {
            Trouble::Noise { .. } => Kind::Noise,
            Trouble::Hum { .. } => Kind::Hum,
            Trouble::Echo { .. } => Kind::Echo,
        }
    }

    /// As the API shows it.
    pub(crate) fn shown(self, muted: bool) -> Shown {
        Shown { kind: self.kind(), detail: self.words(), muted }
    }

    /// In words for the operator, with what to do about it.
    pub fn words(self) -> Words {
        match self {
            Trouble::Noise { level_dbov } => Words::new(
                format!(
                    "ồn đều {level_dbov} dBov khi không ai nói; hãy tắt micrô không dùng hoặc tắt tiếng điểm cầu"
                ),
                format!(
                    "steady noise of {level_dbov} dBov while nobody speaks; switch off unused microphones or mute the site"
                ),
            ),
            Trouble::Hum { level_dbov } => Words::new(
                format!("ù điện lưới {level_dbov} dBov; hãy kiểm tra dây và nguồn của micrô"),
                format!("mains hum of {level_dbov} dBov; check cables and power supply of the microphone"),
            ),
            Trouble::Echo { delay_ms } => Words::new(
                format!(
                    "vọng: tiếng phiên họp bị trả lại sau {delay_ms} ms; hãy giảm loa hoặc bật khử vọng ở điểm cầu"
                ),
                format!(
                    "echo: the sound of the conference comes back after {delay_ms} ms; turn the loudspeaker down or echo cancelling on at the site"
                ),
            ),
        }
    }
}

/// A trouble as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SoundTrouble))]
pub struct Shown {
    /// Which.
    pub kind: Kind,
    /// In words.
    pub detail: Words,
    /// The site was muted by rule because of it.
    pub muted: bool,
}
