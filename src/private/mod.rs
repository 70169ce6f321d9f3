//! The permissions of the data folder and of what Millrace creates in it.
//!
//! Owns: the process's file mode creation mask. Never: changes the mode of what exists already.
//! Invariant: what is created is closed to other users of the machine, and to the group unless the
//! folder is open to it: readings, sessions and digests of secrets lie there.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;
use tracing::warn;

#[cfg(test)]
mod tests;

/// Creates the folder, with mode 0700, unless it exists. New files of this process get mode 0600
/// from here on; or 0640 in a folder that its group may read, as PostgreSQL does with its data
/// directory, so that a backup can run as another user. A stricter mask of the environment stays.
pub(crate) fn create_data_folder(folder: &Path) -> io::Result<()> {
    let group_and_others = Mode::RWXG | Mode::RWXO;
    let before = umask(group_and_others);
    umask(before | group_and_others);
    fs::create_dir_all(folder)?;
    if mode(folder)? & 0o050 == 0o050 {
        umask(before | Mode::WGRP | Mode::RWXO);
    }
    Ok(())
}

/// A folder that was made by hand or by an older Millrace keeps its mode; its owner hears of it.
pub(crate) fn warn_when_open_to_others(folder: &Path) {
    let Ok(mode) = mode(folder) else { return };
    if mode & 0o007 != 0 {
        warn!(
            folder = %folder.display(),
            mode = format!("{:04o}", mode & 0o7777),
            "other users of this machine can look into the data folder: close it with `chmod o=`"
        );
    }
}

fn mode(folder: &Path) -> io::Result<u32> {
    Ok(fs::metadata(folder)?.permissions().mode())
}
