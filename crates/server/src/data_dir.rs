//! The data directory: made when missing, and tried before anything is started.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::failure::Failure;

/// Makes the directory, readable for its owner only, and writes to it once.
///
/// # Errors
/// [`Failure::DataDir`] naming the path and the remedy.
pub fn prepare(path: &Path) -> Result<(), Failure> {
    let refused = |source| Failure::DataDir { path: path.to_owned(), source };
    private_folder(path).map_err(refused)?;
    let probe = path.join(".writable");
    fs::write(&probe, b"").map_err(refused)?;
    fs::remove_file(&probe).map_err(refused)
}

/// Makes a folder, readable for its owner only, where there is none.
///
/// # Errors
/// The system's.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if !path.exists() {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file that only its owner may read, in one step: nobody sees half of it.
///
/// # Errors
/// The system's.
pub fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_file_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let said = prepare(&file.join("data")).expect_err("refused").to_string();
        assert!(said.contains("file/data") && said.contains("CAU_DATA_DIR"), "{said}");
    }

    #[test]
    fn private_files_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("secret");
        write_private(&path, "one").expect("written");
        write_private(&path, "two").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
