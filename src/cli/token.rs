//! `contacts token`: prints a token, and nothing else.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::{CliError, print};
use crate::auth::Signer;
use crate::config::{Environment, TokenSettings};

const DECADE: u64 = 10 * 366 * 24 * 60 * 60;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The account that the token speaks for
    #[arg(long, value_name = "UUID")]
    account: Uuid,
    /// On whose behalf: a user or an API client
    #[arg(long, value_name = "NAME")]
    sub: Option<String>,
    /// For how many seconds it is good
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=DECADE))]
    ttl: u64,
}

pub(super) fn run(environment: &Environment, arguments: &Arguments) -> Result<(), CliError> {
    let settings = TokenSettings::read_for_signing(environment)?;
    let Some(secret) = &settings.secret else { return Err(CliError::Other("JWT_SECRET is not set".to_owned())) };
    let signer = Signer::new(secret, &settings);
    let token = signer.sign(arguments.account, arguments.sub.as_deref(), Duration::from_secs(arguments.ttl));
    let token = token.map_err(|error| CliError::Other(format!("could not sign: {error}")))?;
    print(&format!("{token}\n"))
}
