//! What a slave's operator lets a master do.

use cau_model::Words;
use serde::{Deserialize, Serialize};

use crate::path::Path;

/// The policy of one MCU towards those above. The default allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Sites may be shown above.
    pub pictures: bool,
    /// Their sound may be opened from above.
    pub sound: bool,
    /// Sites not in the meeting may be called from above.
    pub dial: bool,
    /// A slot the own operator uses may be taken.
    pub seize: bool,
    /// The floor may be taken.
    pub floor: bool,
    /// Slots the master may use, 0–4.
    pub slots: u8,
    /// Sites, or MCUs with all below them, that are closed to those above.
    pub closed: Vec<Path>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            pictures: true,
            sound: true,
            dial: true,
            seize: true,
            floor: true,
            slots: crate::wire::MAX_SLOTS,
            closed: Vec::new(),
        }
    }
}

impl Policy {
    /// Why a site may not be opened so; `None`: it may.
    pub(crate) fn forbids(&self, site: &Path, sound: bool) -> Option<Words> {
        if self.closed.iter().any(|closed| site.is_within(closed)) {
            return Some(Words::new(
                "người điều khiển tại đó không cho phép mở điểm cầu này từ cấp trên",
                "its own operator does not let this site be opened from above",
            ));
        }
        if !self.pictures {
            return Some(Words::new(
                "người điều khiển tại đó không cho phép đưa hình lên cấp trên",
                "its own operator does not let pictures be opened from above",
            ));
        }
        (sound && !self.sound).then(|| {
            Words::new(
                "người điều khiển tại đó không cho phép mở tiếng từ cấp trên",
                "its own operator does not let sound be opened from above",
            )
        })
    }
}
