//! Sub-commands. Exit status: 0, 1 failure, 2 usage.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{config, ctl, demo, failure::Failure, log, serve};

/// Cầu – a multipoint control unit: joins SIP video endpoints into conferences.
#[derive(Debug, Parser)]
#[command(name = "cau", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the MCU.
    Serve(ConfigFile),
    /// Runs an MCU with room 8000 and simulated sites in it, and says how to join.
    Demo(demo::Args),
    /// Calls a room with simulated endpoints, measures, and reports.
    Load(cau_load::Args),
    /// Steers a running MCU: conferences, sites, layouts, calls, bring-ups.
    Ctl(Box<ctl::Args>),
    /// Checks a configuration without starting anything.
    CheckConfig(ConfigFile),
    /// Prints the version.
    Version,
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration file (default: config/cau.toml when it exists).
    #[arg(long, env = "CAU_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// What is wrong, where, and the remedy.
    pub fn load(&self) -> Result<config::Config, Failure> {
        Ok(config::load(self.config.as_deref(), std::env::vars_os())?)
    }
}

/// Does what the command line says.
///
/// # Errors
/// [`Failure`] in words for whoever started it.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(file) => {
            let config = file.load()?;
            log::start(&config.log);
            serve::run(config)?;
        }
        Command::Demo(args) => demo::run(args)?,
        Command::Load(args) => return Ok(cau_load::run(args)),
        Command::Ctl(args) => return ctl::run(&args),
        Command::CheckConfig(file) => {
            let config = file.load()?;
            crate::equipment::read(&config)?;
            crate::equipment::emblem(&config)?;
            let _ = say(&format!("The configuration is right.\n{config:#?}"));
        }
        Command::Version => drop(say(concat!("cau ", env!("CARGO_PKG_VERSION")))),
    }
    Ok(ExitCode::SUCCESS)
}

/// To whoever sits at the terminal; whether somebody still does (`cau ctl watch | head`).
pub fn say(words: &str) -> bool {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{words}").is_ok()
}

/// To whoever sits at the terminal, what went wrong.
#[expect(clippy::disallowed_macros, reason = "the command line talks to its user")]
pub fn say_error(words: &dyn std::fmt::Display) {
    eprintln!("cau: {words}");
}
