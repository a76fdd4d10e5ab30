//! The shape of a JSON text, looked at before anything is made of it.

use super::{MAX_BYTES, MAX_DEPTH, MAX_VALUES, Malformed};

/// Refuses what is too long, too deep or has too many values. Whether it is JSON is for the parser to say.
pub(super) fn scan(text: &[u8]) -> Result<(), Malformed> {
    if text.len() > MAX_BYTES {
        return Err(Malformed::TooLong);
    }
    let (mut depth, mut values, mut quoted, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => {
                depth += 1;
                values += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        if values > MAX_VALUES {
            return Err(Malformed::TooMany);
        }
    }
    Ok(())
}
