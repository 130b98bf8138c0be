//! `contacts dev`: runs the service locally, with an embedded database and a sample account.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::Args;
use futures_util::TryStreamExt;
use uuid::{Uuid, uuid};

use super::error::CliError;
use super::output::print;
use super::terminal_colors::TerminalColors;
use super::{file_descriptors, open_browser, run_server};
use crate::auth::{Signer, Verifier};
use crate::clients::{Scope, Scopes};
use crate::config::{
    DatabaseSettings, EmbeddedSettings, Environment, HttpSettings, LogSettings, Secret, SettingsError, TokenSettings,
    data_dir,
};
use crate::contacts::{ContactPatch, ListFilter, ListRequest, ListStart, Write};
use crate::embedded::{Cluster, Durability};
use crate::fields::{CustomSelection, NewField, RegistryVersion};
use crate::http::App;
use crate::json::{self, Json, Object};
use crate::repository::{AccountWrites, Atomicity, ContentMemory, Idempotent, Repository};

/// The sample account. Its id is the same on every machine.
pub(super) const SAMPLE_ACCOUNT: Uuid = uuid!("00000000-0000-7000-8000-000000000001");
const COMMAND: &str = "contacts dev";
/// The name of the database.
pub(super) const DEV_DATABASE: &str = "contacts";
/// The file of the development key in the data folder.
const KEY_FILE: &str = "dev.key";
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const SAMPLE_FIELDS: [&str; 3] = [
    r#"{"label": "Shoe size", "type": "number"}"#,
    r#"{"label": "Newsletter", "type": "checkbox"}"#,
    r#"{"label": "Tier", "type": "dropdown", "options": [{"label": "Bronze"}, {"label": "Silver"}, {"label": "Gold"}]}"#,
];
/// The ids and fields of the sample contacts. The ids are the same on every machine, because the examples of the
/// OpenAPI document use them.
const SAMPLE_CONTACTS: [(Uuid, &str); 3] = [
    (
        uuid!("01980000-0000-7000-8000-000000000001"),
        r#"{"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "external_id": "sample-1", "job_title": "Analyst", "shoe_size": 37, "tier": "gold"}"#,
    ),
    (
        uuid!("01980000-0000-7000-8000-000000000002"),
        r#"{"first_name": "Grace", "last_name": "Hopper", "email": "grace@example.com", "external_id": "sample-2", "phone": "+1 555 010 9999", "newsletter": true}"#,
    ),
    (
        uuid!("01980000-0000-7000-8000-000000000003"),
        r#"{"first_name": "Alan", "last_name": "Turing", "email": "alan@example.com", "external_id": "sample-3", "company_name": "Bletchley Park", "tier": "silver"}"#,
    ),
];

#[derive(Debug, Default, Args)]
pub(super) struct DevArguments {
    /// Open the API reference in the browser
    #[arg(long)]
    open_docs: bool,
}

pub(super) async fn run(environment: &Environment, arguments: &DevArguments) -> Result<(), CliError> {
    let mut settings = HttpSettings::read(environment)?;
    let tokens = TokenSettings::without_keys().with_scope_settings(environment)?;
    let rule = "must be a loopback address for `contacts dev`, because its data is not protected by a password";
    for (name, address) in [("BIND_ADDR", Some(settings.bind_addr)), ("METRICS_ADDR", settings.metrics_addr)] {
        if address.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(SettingsError::new(name, rule).into());
        }
    }
    let folder = data_dir(environment).ok_or_else(|| {
        SettingsError::new(
            "CONTACTS_DATA_DIR",
            "and HOME are not set. Set CONTACTS_DATA_DIR to the folder for the data",
        )
    })?;
    let (listener, address) = run_server::bind("BIND_ADDR", settings.bind_addr, COMMAND).await?;
    let cluster = Cluster::start(&EmbeddedSettings::read(environment), &folder, Durability::Durable).await?;
    cluster.create_database(DEV_DATABASE, None).await?;
    let database = DatabaseSettings::for_dev(cluster.url(DEV_DATABASE), settings.request_timeout);
    let connections = &mut settings.limits.connections;
    *connections = file_descriptors::limit_connections(*connections, database.max_connections);
    let repository = Repository::new(&database)?;
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not prepare the database: {error}"));
    repository.migrate().await.map_err(|error| failed(&error))?;
    let contact = create_sample_data(&repository).await?;

    let secret = load_or_create_key(&folder.join(KEY_FILE))?;
    let tokens = TokenSettings { secret: Some(secret.clone()), ..tokens };
    // A token without scopes would be useless where they are required.
    let scopes = tokens.require_scope.then(|| Scope::ALL.into_iter().collect());
    let token = Signer::new(&secret, &tokens)
        .sign_with_scopes(SAMPLE_ACCOUNT, Some("dev"), scopes, TOKEN_LIFETIME)
        .map_err(|error| failed(&error))?;
    let colors = TerminalColors::for_stdout(&LogSettings::read(environment)?);
    print(&StartupMessage { address, folder: &folder, token: &token, scopes, contact }.text(colors))?;
    let app = App::new(repository, Verifier::new(&tokens)?, Signer::for_clients(&tokens), settings);
    if arguments.open_docs {
        // Opens the page in the background, so that the server starts at once.
        let page = format!("http://{address}/docs#token={token}");
        tokio::spawn(async move { open_browser::open_page(&page).await });
    }
    let result = run_server::serve_until_shutdown(app, listener, COMMAND).await;
    drop(cluster);
    result
}

/// The message that `contacts dev` prints at start.
struct StartupMessage<'a> {
    address: SocketAddr,
    folder: &'a Path,
    token: &'a str,
    scopes: Option<Scopes>,
    /// The id of an active contact of the sample account, for the curl command.
    contact: Uuid,
}

impl StartupMessage<'_> {
    fn text(&self, colors: TerminalColors) -> String {
        let Self { address, token, contact, .. } = self;
        let scopes = self.scopes.map_or_else(
            || "none: the token may do everything, but nothing where REQUIRE_SCOPE is true".to_owned(),
            |scopes| scopes.to_string(),
        );
        let (folder, version) = (self.folder.display(), env!("CARGO_PKG_VERSION"));
        let TerminalColors { title, accent, faint, .. } = colors;
        // The commands have no colors, so that the user can paste them.
        format!(
            "\
{title}contacts {version} is serving{title:#} at {accent}http://{address}{accent:#}
  {faint}docs{faint:#}     {accent}http://{address}/docs#token={token}{accent:#}
  {faint}data{faint:#}     {folder}
  {faint}account{faint:#}  {SAMPLE_ACCOUNT} (sample data)
  {faint}token{faint:#}    {token}
  {faint}scopes{faint:#}   {scopes}

{title}Try it:{title:#}

curl -X PATCH 'http://{address}/contacts/{contact}?properties=job_title' -H 'Authorization: Bearer {token}' \
-H 'Content-Type: application/json' -d '{{\"fields\": {{\"job_title\": \"Countess\"}}}}'

{title}Variables for the commands in the documentation:{title:#}

export URL=http://{address} TOKEN={token} ID={contact} ACCOUNT={SAMPLE_ACCOUNT}

{title}Next steps:{title:#}
  Try the API in the browser:         the link at \"docs\" has the token filled in; `contacts dev --open-docs` opens it
  Create a token for another account: contacts token --account UUID
  Run in production:                  set the settings in .env.example, then run `contacts config check`
  Stop:                               Ctrl-C. The data is kept for the next start

"
        )
    }
}

/// Returns the development key if `contacts dev` runs.
pub(super) fn running_key(environment: &Environment) -> Option<Secret> {
    let folder = data_dir(environment)?;
    Cluster::running_url(&folder, DEV_DATABASE)?;
    read_key(&folder.join(KEY_FILE))
}

fn read_key(path: &Path) -> Option<Secret> {
    fs::read_to_string(path).ok().map(|key| Secret::new(key.trim()))
}

/// Returns the development key. The first start creates it, in a file that only its owner can read.
fn load_or_create_key(path: &Path) -> Result<Secret, CliError> {
    if let Some(key) = read_key(path) {
        return Ok(key);
    }
    let random = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    let key = STANDARD_NO_PAD.encode(random);
    // Writes a temporary file and renames it, so that the key file is never incomplete.
    let temporary = path.with_extension("new");
    let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let written = file.and_then(|mut file| file.write_all(key.as_bytes())).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| CliError::Other(format!("could not write {}: {error}", path.display())))?;
    Ok(Secret::new(key))
}

/// Creates the sample fields and contacts if the account is new. Returns the id of an active contact.
async fn create_sample_data(repository: &Repository) -> Result<Uuid, CliError> {
    let failed =
        |error: &dyn std::fmt::Display| CliError::Other(format!("could not create the sample account: {error}"));
    if repository.registry(SAMPLE_ACCOUNT).await.map_err(|error| failed(&error))?.version()
        == RegistryVersion::default()
    {
        for field in SAMPLE_FIELDS {
            let field = NewField::parse(&parse_object(field)).map_err(|_| failed(&"a sample field is invalid"))?;
            repository.create_field(SAMPLE_ACCOUNT, &field, None).await.map_err(|error| failed(&error))?;
        }
    }
    let first_contact = async |include_archived| {
        let filter = ListFilter { include_archived, ..ListFilter::default() };
        let start = ListStart::Offset(0);
        let request = ListRequest { filter, start, limit: 1, custom_fields: CustomSelection::default() };
        let page = repository.list_contacts(SAMPLE_ACCOUNT, &request).await.map_err(|error| failed(&error))?;
        let mut contacts = page.contacts;
        contacts.try_next().await.map_err(|error| failed(&error))
    };
    let is_new = first_contact(true).await?.is_none();
    let registry = repository.registry(SAMPLE_ACCOUNT).await.map_err(|error| failed(&error))?;
    let create = async |id: Uuid, fields: &'static str| {
        let patch = ContactPatch::parse_new(&parse_object(fields), &registry)
            .map_err(|_| failed(&"a sample contact is invalid"))?;
        let writes = AccountWrites {
            account: SAMPLE_ACCOUNT,
            registry: Arc::clone(&registry),
            actor: Some("dev".into()),
            writes: vec![Write::Create(patch.with_id(id))],
            atomicity: Atomicity::Independent,
            dry_run: false,
            custom_fields: CustomSelection::default(),
            idempotent_request: None,
            memory: ContentMemory::default(),
        };
        match repository.write_contacts(writes).await.map_err(|error| failed(&error))? {
            Idempotent::Fresh(outcomes) => outcomes.iter().flatten().next().map(|written| written.contact.id),
            Idempotent::Stored(_) | Idempotent::Replayed(_) => None,
        }
        .ok_or_else(|| failed(&"a sample contact is invalid"))
    };
    if is_new {
        for (id, fields) in SAMPLE_CONTACTS {
            create(id, fields).await?;
        }
    }
    match first_contact(false).await? {
        Some(contact) => Ok(contact.id),
        // All contacts are archived, but the curl command needs an active one.
        None => create(Uuid::now_v7(), r#"{"first_name": "Ada", "last_name": "Lovelace"}"#).await,
    }
}

fn parse_object(text: &'static str) -> Object<'static> {
    json::parse(text.as_bytes()).ok().and_then(Json::into_object).unwrap_or_default()
}
