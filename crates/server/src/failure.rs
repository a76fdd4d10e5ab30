//! Why `cau` cannot start, with the remedy.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::config;

/// Why `cau` ended with status 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The logo cannot be used.
    #[error("the logo {} cannot be used: {why}. Name a PNG file with picture.logo, or leave that out", path.display())]
    Logo {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be written: {source}. Make it writable for this user, or choose another with data_dir (CAU_DATA_DIR)", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A SIP address cannot be bound.
    #[error(
        "{0}. Is another cau or SIP program running? Choose another address with sip.bind (CAU_SIP__BIND)"
    )]
    Sip(#[from] cau_drive::signal::BindError),
    /// The control address cannot be bound.
    #[error(
        "cannot listen for the console on {addr}: {source}. Is another cau running? Choose another address with control.bind (CAU_CONTROL__BIND)"
    )]
    Control {
        /// Where.
        addr: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The address for HTTPS cannot be bound.
    #[error(
        "cannot listen for HTTPS on {addr}: {source}. Is another cau running? Choose another address with control.tls_bind (CAU_CONTROL__TLS_BIND)"
    )]
    ControlTls {
        /// Where.
        addr: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// Certificates cannot be had.
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] cau_store::Error),
    /// The system refuses something basic.
    #[error("the system refuses {what}: {source}")]
    System {
        /// What was asked.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// A command to a running MCU was not done.
    #[error("{0}")]
    Ctl(String),
    /// Something within `cau` ended that should not.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// For `map_err`: what was asked of the system.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
