//! `contacts token`: prints a signed token.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::dev::{self, SAMPLE_ACCOUNT};
use super::error::CliError;
use super::output::print;
use super::scope_argument::{parse_scopes, print_note_about_missing_scope};
use crate::auth::Signer;
use crate::clients::Scopes;
use crate::config::{Environment, TokenSettings};

/// Ten years in seconds: the longest lifetime of a token.
const MAX_LIFETIME: u64 = 10 * 366 * 24 * 60 * 60;

#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    /// Id of the account that the token gives access to [default with `contacts dev`: its sample account]
    #[arg(long, value_name = "UUID")]
    account: Option<Uuid>,
    /// Subject (`sub`) of the token: a user or client name
    #[arg(long, value_name = "NAME")]
    sub: Option<String>,
    /// Scopes of the token, separated by spaces: contacts:read, contacts:write, contacts:purge, fields:write
    /// [default: no limit]
    #[arg(long, value_name = "SCOPES", value_parser = parse_scopes)]
    scope: Option<Scopes>,
    /// Lifetime in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_LIFETIME))]
    ttl: u64,
}

pub(super) fn run(environment: &Environment, arguments: &TokenArguments) -> Result<(), CliError> {
    let (settings, default_account) = signing_settings(environment)?;
    let account = arguments.account.or(default_account);
    let account =
        account.ok_or(CliError::Other("--account UUID is required: choose the account of the token".to_owned()))?;
    let Some(secret) = &settings.secret else { return Err(CliError::Other("JWT_SECRET is not set".to_owned())) };
    let signer = Signer::new(secret, &settings);
    let lifetime = Duration::from_secs(arguments.ttl);
    let token = signer.sign_with_scopes(account, arguments.sub.as_deref(), arguments.scope, lifetime);
    let token = token.map_err(|error| CliError::Other(format!("could not sign the token: {error}")))?;
    print(&format!("{token}\n"))?;
    if arguments.scope.is_none() {
        print_note_about_missing_scope("the token has", settings.require_scope);
    }
    Ok(())
}

/// Returns the settings that sign a token, and the account of a token without `--account`. Without a key, the
/// running `contacts dev` provides both.
fn signing_settings(environment: &Environment) -> Result<(TokenSettings, Option<Uuid>), CliError> {
    let has_key = ["JWT_SECRET", "JWT_SECRET_FILE"].iter().any(|name| environment.get(name).is_some());
    let key = if has_key { None } else { dev::running_key(environment) };
    match key {
        Some(key) => {
            eprintln!("Using the key of the running `contacts dev`");
            Ok((TokenSettings::with_secret(key).with_scope_settings(environment)?, Some(SAMPLE_ACCOUNT)))
        }
        None => Ok((TokenSettings::read_for_signing(environment)?, None)),
    }
}
