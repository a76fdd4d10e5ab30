//! `cau demo`: an MCU with room 8000 and simulated sites in it, and how to join.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use cau_drive::Clock;
use cau_model::Settings;

use crate::{
    bridge::{self, Bridge},
    cli::{self, ConfigFile},
    config::Config,
    failure::Failure,
    log, serve,
};

/// The room of the demo.
const ROOM: &str = "8000";
/// How long the simulated sites may take to hang up.
const GOODBYE: Duration = Duration::from_secs(2);

/// Options of `cau demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] with the remedy.
pub fn run(args: Args) -> Result<(), Failure> {
    let mut config = args.file.load()?;
    // The demo's room and users stay apart from those of a real MCU in the same folder.
    config.data_dir = config.data_dir.join("demo");
    // Its simulated sites are gone with it.
    config.resume_within = Duration::ZERO;
    if config.log.level == "info" {
        config.log.level = "warn".into();
    }
    log::start(&config.log);
    let runtime = serve::runtime()?;
    let end = runtime.block_on(async {
        let bridge = bridge::start(&config, serve::admin_password()).await?;
        open_room(&bridge).await?;
        let target = reachable(&bridge.sip)?;
        cli::say(&welcome(&config, &bridge));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let sites = tokio::spawn(async move {
            if let Err(e) = cau_load::demo::run(&target, async { drop(stopped.await) }).await {
                tracing::error!("the simulated sites cannot start: {e}");
            }
        });
        let end = bridge.run().await;
        drop(stop);
        // They are only simulated: nobody waits for them.
        let _ = tokio::time::timeout(GOODBYE, sites).await;
        end
    });
    runtime.shutdown_background();
    end
}

async fn open_room(bridge: &Bridge) -> Result<(), Failure> {
    if bridge.store.conferences().await?.iter().any(|c| c.settings.room == ROOM) {
        return Ok(());
    }
    let refused = |e: &dyn std::fmt::Display| Failure::Internal(format!("room {ROOM} cannot be opened: {e}"));
    let mut settings = Settings::new(ROOM).map_err(|e| refused(&e))?;
    settings.name = "Phiên họp trình diễn".into();
    let record = bridge.store.create_conference(&settings, Clock::wall_now()).await?;
    bridge.focus.create(record.id, record.settings).await.map_err(|e| refused(&e))?;
    Ok(())
}

/// Where the simulated sites call.
fn reachable(sip: &[SocketAddr]) -> Result<String, Failure> {
    let bound = sip.iter().find(|a| a.is_ipv4()).or(sip.first()).copied();
    let mut bound = bound.ok_or_else(|| Failure::Internal("no SIP address".into()))?;
    if bound.ip().is_unspecified() {
        bound.set_ip(if bound.is_ipv4() {
            IpAddr::from([127, 0, 0, 1])
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    Ok(format!("sip:{ROOM}@{bound}"))
}

fn welcome(config: &Config, bridge: &Bridge) -> String {
    let password = if serve::admin_password().is_some() {
        "the one in CAU_ADMIN_PASSWORD (if this is not the first start: the one of the first start)"
            .to_owned()
    } else {
        let file = config.data_dir.join("admin-password");
        std::fs::read_to_string(&file)
            .map_or_else(|_| format!("see {}", file.display()), |p| p.trim().to_owned())
    };
    let mut dial: Vec<String> =
        bridge.dial.iter().map(|a| format!("sip:{ROOM}@{}", a.trim_end_matches(":5060"))).collect();
    dial.truncate(4);
    format!(
        "\nCầu demo: room {ROOM} with simulated sites is running.\n\n\
         \x20 Page      http://{}/\n\
         \x20 Sign-in   admin / {password}\n\
         \x20 Dial in   {}\n\
         \x20           (Linphone or any SIP video phone with H.264; no account needed, UDP or TCP)\n\n\
         Ctrl-C ends it.\n",
        bridge.http,
        dial.join("\n            "),
    )
}
