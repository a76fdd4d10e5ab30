//! `cau serve`: the MCU until it is told to end.

use crate::{bridge, cli, config::Config, failure::Failure};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] with the remedy.
pub fn run(config: Config) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let bridge = bridge::start(&config, admin_password()).await?;
        if let Some(file) = &bridge.admin_password_file {
            cli::say(&format!("First start: sign in as admin with the password in {}", file.display()));
        }
        tracing::info!(console = %bridge.http, https = ?bridge.https, dial = ?bridge.dial, "ready");
        bridge.run().await
    })
}

/// The password `admin` gets on the first start.
pub fn admin_password() -> Option<String> {
    std::env::var_os("CAU_ADMIN_PASSWORD").and_then(|p| p.into_string().ok()).filter(|p| !p.is_empty())
}

/// Threads for HTTP and the store.
///
/// # Errors
/// When the system refuses them.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::system("threads for the console"))
}
