//! Finds the registrars we register at, and begins.

use std::{net::SocketAddr, time::Duration};

use cau_conference::Request;
use tokio::sync::mpsc;

use crate::config::Register;

/// Wait before the next look-up of a name that was not found.
const AGAIN: Duration = Duration::from_secs(30);

/// Looks the registrar up, until it is found, and has us registered there. `bound`: our own addresses; the registrar has to be of a
/// family of theirs.
pub async fn begin(register: Register, bound: Vec<SocketAddr>, focus: mpsc::Sender<Request>) {
    let Register { mut plan, host } = register;
    let usable = |addr: &SocketAddr| bound.iter().any(|b| b.is_ipv4() == addr.is_ipv4());
    loop {
        match tokio::net::lookup_host(&host).await.map(|mut all| all.find(usable)) {
            Ok(Some(addr)) => {
                plan.remote = Some(addr);
                let _ = focus.send(Request::Register(Box::new(plan))).await;
                return;
            }
            Ok(None) => {
                tracing::warn!("the registrar {host} has no address; looking again in {} s", AGAIN.as_secs())
            }
            Err(e) => tracing::warn!(
                "the registrar {host} is not found: {e}; looking again in {} s",
                AGAIN.as_secs()
            ),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
