//! Six simulated sites for `cau demo`: real pictures and voices, one talks after the other.

use std::{future::Future, sync::Arc};

use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};

use crate::{
    Codec, Fleet, Options, Persona, Plan, Reel,
    clip::{
        self, Sound, Video,
        stock::{SITES, round},
    },
    fleet,
};

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to call is none.
    #[error("{0} is no SIP address")]
    Target(String),
    /// A clip cannot be read.
    #[error(transparent)]
    Clip(#[from] clip::Error),
    /// The phones cannot start.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    /// The thread that prepares the clips died.
    #[error("preparing the clips failed")]
    Prepare,
}

/// Six sites dial `target` (`sip:8000@127.0.0.1:5060`), talk in turn, and call again when they are dropped, until `stop` is ready. Then they
/// hang up. To be awaited within a tokio runtime.
///
/// # Errors
/// When the target is no address, or sockets and threads are refused.
pub async fn run(target: &str, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let uri = Uri::parse(target.as_bytes()).map_err(|_| Error::Target(target.to_owned()))?;
    let here = uri.socket_addr().map(|a| a.ip());
    // Encoding the voices takes a moment of work.
    let plans = tokio::task::spawn_blocking(move || plans(&uri)).await.map_err(|_| Error::Prepare)??;
    // The MCU is on this machine: its address is one of ours.
    let ip = here.unwrap_or(Options::default().ip);
    let mut fleet = Fleet::start(&Options { ip, ports: 45_000..=45_999, ..Options::default() })?;
    for plan in plans {
        fleet.call(plan);
    }
    stop.await;
    let _ = tokio::task::spawn_blocking(move || fleet.stop()).await;
    Ok(())
}

fn plans(target: &Uri) -> Result<Vec<Plan>, Error> {
    SITES
        .iter()
        .enumerate()
        .map(|(turn, site)| {
            let picture = site.pictures();
            let video = |mode| Video::from_annex_b(&picture, 30, (1280, 720), mode).map(Arc::new);
            Ok(Plan {
                target: target.clone(),
                remote: None,
                user: site.user.to_owned(),
                name: Some(site.name.to_owned()),
                id: turn as u8,
                sound: vec![(Codec::Opus, Arc::new(Sound::encode(&round(turn, SITES.len())?, Codec::Opus)?))],
                reel: Some(Reel {
                    single: Some(video(Mode::SingleNal)?),
                    fragmented: Some(video(Mode::NonInterleaved)?),
                    ..Reel::default()
                }),
                receive: Receive::HD720,
                max_kbps: 2_000,
                persona: Persona::default(),
                decodes: false,
                redials: true,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::stock::TURN_SECONDS;
    use cau_codec::audio::RATE;

    #[test]
    fn every_site_has_pictures_in_both_modes_and_a_turn_of_its_own() {
        let target = Uri::parse(b"sip:8000@127.0.0.1:5060").unwrap();
        let plans = plans(&target).unwrap();
        assert_eq!(plans.len(), 6);
        for plan in &plans {
            let reel = plan.reel.as_ref().unwrap();
            assert!(reel.of(Mode::SingleNal).unwrap().units.len() > 200, "{}", plan.user);
            assert_eq!(plan.sound[0].1.frames.len(), 6 * TURN_SECONDS * 50);
        }
        for (turn, site) in SITES.iter().enumerate() {
            let round = round(turn, SITES.len()).unwrap();
            let loud: Vec<usize> = round
                .chunks(TURN_SECONDS * RATE as usize)
                .enumerate()
                .filter(|(_, part)| part.iter().any(|s| s.abs() > 2_000))
                .map(|(k, _)| k)
                .collect();
            assert_eq!(loud, [turn], "{}", site.name);
        }
    }
}
