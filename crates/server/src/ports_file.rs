//! `<data dir>/ports.json`: the ports in use, for whoever asked for free ones.

use std::{io, net::SocketAddr, path::Path};

use serde::Serialize;

use crate::data_dir;

#[derive(Serialize)]
struct Ports {
    sip: u16,
    sip_tls: Option<u16>,
    http: u16,
    https: Option<u16>,
}

/// Writes the file; when it exists, every port in it takes connections.
///
/// # Errors
/// The system's.
pub fn write(
    data_dir: &Path,
    sip: SocketAddr,
    http: SocketAddr,
    https: Option<SocketAddr>,
) -> io::Result<()> {
    let https = https.map(|addr| addr.port());
    let ports = Ports { sip: sip.port(), sip_tls: None, http: http.port(), https };
    let text = serde_json::to_string(&ports).map_err(io::Error::other)?;
    data_dir::write_private(&data_dir.join("ports.json"), &text)
}
