//! `contacts dev`: the service with a database of its own, for the first hour and every day after.

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
use uuid::{Uuid, uuid};

use super::palette::Palette;
use super::{CliError, browser, listen, print};
use crate::auth::{Signer, Verifier};
use crate::config::{
    DEFAULT_CHANGE_RETENTION, DEFAULT_WRITE_BATCH, DatabaseSettings, EmbeddedSettings, Environment, HttpSettings,
    LogSettings, Secret, TokenSettings, data_dir, problem,
};
use crate::contacts::{Draft, Filter, Listing, Start, Write};
use crate::embedded::{Cluster, Durability};
use crate::fields::NewField;
use crate::http::App;
use crate::json::{self, Json, Object};
use crate::repository::{Done, Repository, Unit, Work};

/// The sample account: the same on every machine.
const ACCOUNT: Uuid = uuid!("00000000-0000-7000-8000-000000000001");
const DATABASE: &str = "contacts";
/// Where the development key is, in the folder of the data.
const KEY_FILE: &str = "dev.key";
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const SAMPLE_FIELDS: [&str; 3] = [
    r#"{"label": "Shoe size", "type": "number"}"#,
    r#"{"label": "Newsletter", "type": "checkbox"}"#,
    r#"{"label": "Tier", "type": "dropdown", "options": [{"label": "Bronze"}, {"label": "Silver"}, {"label": "Gold"}]}"#,
];
/// With ids that are the same on every machine: the examples of the OpenAPI document name them.
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
pub(super) struct Arguments {
    /// Show the API reference in the browser
    #[arg(long)]
    open_docs: bool,
}

pub(super) async fn run(environment: &Environment, arguments: &Arguments) -> Result<(), CliError> {
    let settings = HttpSettings::read(environment)?;
    let rule = "must be a loopback address for `contacts dev`: its data has no password";
    for (name, address) in [("BIND_ADDR", Some(settings.bind_addr)), ("METRICS_ADDR", settings.metrics_addr)] {
        if address.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(problem(name, rule).into());
        }
    }
    let folder = data_dir(environment)
        .ok_or_else(|| problem("CONTACTS_DATA_DIR", "is not set, and there is no HOME: say where to keep the data"))?;
    let (listener, address) = listen::bind("BIND_ADDR", settings.bind_addr).await?;
    let cluster = Cluster::start(&EmbeddedSettings::read(environment), &folder, Durability::Durable).await?;
    cluster.create_database(DATABASE, None).await?;
    let database = DatabaseSettings {
        url: cluster.url(DATABASE),
        max_connections: 16,
        write_batch_max: DEFAULT_WRITE_BATCH,
        migrate_on_start: true,
        change_retention: DEFAULT_CHANGE_RETENTION,
        timeout: settings.request_timeout,
    };
    let repository = Repository::new(&database)?;
    let other = |error: &dyn std::fmt::Display| CliError::Other(format!("could not prepare the database: {error}"));
    repository.migrate().await.map_err(|error| other(&error))?;
    let contact = sample(&repository).await?;

    let secret = key(&folder.join(KEY_FILE))?;
    let tokens = TokenSettings::with_secret(secret.clone());
    let token = Signer::new(&secret, &tokens).sign(ACCOUNT, Some("dev"), TOKEN_LIFE).map_err(|error| other(&error))?;
    let palette = Palette::of_output(&LogSettings::read(environment)?);
    print(&Welcome { address, folder: &folder, token: &token, contact }.text(palette))?;
    let app = App::new(repository, Verifier::new(&tokens)?, Signer::for_clients(&tokens), settings);
    if arguments.open_docs {
        // The page waits for the service, not the service for the page.
        tokio::spawn(async move { browser::open(&format!("http://{address}/docs")).await });
    }
    let served = listen::until_stopped(app, listener).await;
    drop(cluster);
    served
}

/// What is printed at the start.
struct Welcome<'a> {
    address: SocketAddr,
    folder: &'a Path,
    token: &'a str,
    /// An active contact of the sample account.
    contact: Uuid,
}

impl Welcome<'_> {
    fn text(&self, palette: Palette) -> String {
        let Self { address, token, contact, .. } = self;
        let (folder, version) = (self.folder.display(), env!("CARGO_PKG_VERSION"));
        let Palette { title, accent, faint, .. } = palette;
        // The line to paste has no colours in it, whatever the terminal does with them.
        format!(
            "\
{title}contacts {version} is serving{title:#} at {accent}http://{address}{accent:#}
  {faint}docs{faint:#}     {accent}http://{address}/docs{accent:#}
  {faint}data{faint:#}     {folder}
  {faint}account{faint:#}  {ACCOUNT} (sample)
  {faint}token{faint:#}    {token}

{title}Try it:{title:#}

curl -X PATCH 'http://{address}/contacts/{contact}?properties=job_title' -H 'Authorization: Bearer {token}' \
-H 'Content-Type: application/json' -d '{{\"fields\": {{\"job_title\": \"Countess\"}}}}'

{title}What next:{title:#}
  See every call, and try it from the page: {accent}http://{address}/docs{accent:#} (at the next start: `contacts dev --open-docs`)
  Get a token for another account:          JWT_SECRET_FILE='{folder}/{KEY_FILE}' contacts token --account UUID
  Serve for real:                           set what .env.example lists, then `contacts config check`
  Stop:                                     Ctrl-C; the data is there again at the next start

"
        )
    }
}

/// The development key: made once, kept where only its owner can read it.
fn key(path: &Path) -> Result<Secret, CliError> {
    if let Ok(key) = fs::read_to_string(path) {
        return Ok(Secret::new(key.trim()));
    }
    let random = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    let key = STANDARD_NO_PAD.encode(random);
    // Under another name first: a key that is there is whole.
    let fresh = path.with_extension("new");
    let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
    let written = file.and_then(|mut file| file.write_all(key.as_bytes())).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|error| CliError::Other(format!("could not write {}: {error}", path.display())))?;
    Ok(Secret::new(key))
}

/// Fills an empty sample account. Returns the id of an active contact of it to try things on.
async fn sample(repository: &Repository) -> Result<Uuid, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Other(format!("could not make the sample account: {error}"));
    if repository.registry(ACCOUNT).await.map_err(|error| failed(&error))?.version() == 0 {
        for field in SAMPLE_FIELDS {
            let field = NewField::parse(&object(field)).map_err(|_| failed(&"a sample field is refused"))?;
            repository.create_field(ACCOUNT, &field, None).await.map_err(|error| failed(&error))?;
        }
    }
    let first =
        |archived| Listing { filter: Filter { archived, ..Filter::default() }, start: Start::Offset(0), limit: 1 };
    let is_new = repository.contacts(ACCOUNT, &first(true)).await.map_err(|error| failed(&error))?.contacts.is_empty();
    let registry = repository.registry(ACCOUNT).await.map_err(|error| failed(&error))?;
    let create = async |id: Uuid, fields: &'static str| {
        let draft = Draft::parse_new(&object(fields), &registry).map_err(|_| failed(&"a sample contact is refused"))?;
        let work = Work {
            account: ACCOUNT,
            registry: Arc::clone(&registry),
            actor: Some("dev".into()),
            writes: vec![Write::Create(draft.with_id(id))],
            unit: Unit::Each,
            dry_run: false,
            keep: None,
        };
        match repository.write(work).await.map_err(|error| failed(&error))? {
            Done::Fresh(outcomes) => outcomes.into_iter().flatten().next().map(|written| written.contact.id),
            Done::Replayed(_) => None,
        }
        .ok_or_else(|| failed(&"a sample contact is refused"))
    };
    if is_new {
        for (id, fields) in SAMPLE_CONTACTS {
            create(id, fields).await?;
        }
    }
    let active = repository.contacts(ACCOUNT, &first(false)).await.map_err(|error| failed(&error))?;
    match active.contacts.into_iter().next() {
        Some(contact) => Ok(contact.id),
        // All archived: one more to try things on.
        None => create(Uuid::now_v7(), r#"{"first_name": "Ada", "last_name": "Lovelace"}"#).await,
    }
}

fn object(text: &'static str) -> Object<'static> {
    json::parse(text.as_bytes()).ok().and_then(Json::into_object).unwrap_or_default()
}
