//! What the machine has for its conferences: layouts of files, the logo. Read at the start; the layouts anew on SIGHUP.

use std::{fs, sync::Arc};

use cau_codec::draw::Logo;
use cau_mixer::command::Emblem;
use cau_model::layout::Equipment;

use crate::{
    config::{self, Config, layouts},
    failure::Failure,
};

/// Largest logo file read, bytes.
const LARGEST: u64 = 8 << 20;

/// Reads the layouts.
///
/// # Errors
/// File, line, what is wrong, and the remedy.
pub fn read(config: &Config) -> Result<Arc<Equipment>, config::Error> {
    Ok(Arc::new(Equipment { layouts: layouts::read(&config.layouts)?, logo: config.logo.is_some() }))
}

/// Reads the logo, when there is one.
///
/// # Errors
/// Which file, and what is wrong with it.
pub fn emblem(config: &Config) -> Result<Option<Emblem>, Failure> {
    let Some(logo) = &config.logo else { return Ok(None) };
    let wrong = |why: String| Failure::Logo { path: logo.file.clone(), why };
    let size = fs::metadata(&logo.file).map_err(|e| wrong(e.to_string()))?.len();
    if size > LARGEST {
        return Err(wrong(format!("it has {size} bytes, at most {LARGEST} are read")));
    }
    let bytes = fs::read(&logo.file).map_err(|e| wrong(e.to_string()))?;
    let picture = Logo::from_png(&bytes).map_err(|e| wrong(e.to_string()))?;
    Ok(Some(Emblem { logo: Arc::new(picture), place: logo.place, height: logo.height }))
}
