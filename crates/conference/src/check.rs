//! What settings ask for that does not work yet: refused with the reason, never ignored.

use cau_model::settings::Encryption;
use cau_model::{Refusal, Settings};

/// Refuses settings that need what is not built yet. To be asked before they are stored.
///
/// # Errors
/// [`Refusal::Invalid`] with the field.
pub fn check(settings: &Settings) -> Result<(), Refusal> {
    if settings.pin.is_some() {
        return Err(Refusal::invalid(
            "pin",
            "mã PIN sẽ có trong phiên bản sau; để null để ai gọi cũng vào được",
            "a PIN comes later; with null whoever dials is let in",
        ));
    }
    if settings.encryption != Encryption::Off {
        return Err(Refusal::invalid(
            "encryption",
            "mã hóa (SRTP) sẽ có trong phiên bản sau; hiện chỉ có off",
            "encryption (SRTP) comes later; for now there is off only",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cau_model::body::Patch;

    #[test]
    fn what_does_not_work_yet_is_refused_with_its_field() {
        let settings = Settings::new("8000").unwrap();
        assert_eq!(check(&settings), Ok(()));
        let pin = settings.patched(Patch { pin: Some(Some("1234".into())), ..Patch::default() }).unwrap();
        assert!(matches!(check(&pin), Err(Refusal::Invalid { field, .. }) if field == "pin"));
        for encryption in ["optional", "required"] {
            let patch = Patch { encryption: Some(encryption.into()), ..Patch::default() };
            let refused = check(&settings.patched(patch).unwrap());
            assert!(matches!(refused, Err(Refusal::Invalid { field, .. }) if field == "encryption"));
        }
    }
}
