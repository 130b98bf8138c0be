//! Runs the code samples of every operation, as a reader of the page at `/docs` would. Every sample must succeed.

use std::process::{Command, Output};

use serde_json::Value;

use crate::dev_server::DevServer;

/// Every operation, in an order that works on the sample account. For example, a contact is archived before it is
/// restored.
const ORDER: [&str; 28] = [
    "health",
    "metrics",
    "readiness",
    "openapi",
    "listContacts",
    "readContact",
    "updateContact",
    "upsertContact",
    "createContact",
    "searchContacts",
    "batchRead",
    "batchCreate",
    "batchUpdate",
    "batchUpsert",
    "batchArchive",
    "archiveContact",
    "restoreContact",
    "readHistory",
    "purgeContact",
    "readChanges",
    "exportContacts",
    "readMe",
    "listFields",
    "readField",
    "createField",
    "updateField",
    "deleteField",
    "createToken",
];

/// Runs a sample in `dash`, `bash` or another POSIX shell. It fails where the response is no success. 207 is a success in
/// HTTP, but it means that a part of a batch has failed.
const RUN_CURL: &str = r#"
curl() {
  command curl --silent --show-error --write-out '%{stderr}%{http_code}\n' "$@" 2>status
  tail -n 1 status | grep -qx '20[0-6]'
}
"#;

#[tokio::test]
async fn curl_samples_succeed_on_the_sample_account() {
    run_samples("shell", |source| run("sh", "-euc", &format!("{RUN_CURL}{source}"))).await;
}

#[tokio::test]
#[ignore = "needs python3 with the package requests; .ci/run installs them"]
async fn python_samples_succeed_on_the_sample_account() {
    run_samples("python", |source| run("python3", "-c", source)).await;
}

#[tokio::test]
#[ignore = "needs node; .ci/run installs it"]
async fn typescript_samples_succeed_on_the_sample_account() {
    // They have no types, so they are JavaScript too.
    run_samples("typescript", |source| {
        let mut command = run("node", "--input-type=module", "--eval");
        command.arg(source);
        command
    })
    .await;
}

fn run(program: &str, option: &str, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.args([option, argument]);
    command
}

/// Runs the samples of a language on a new `contacts dev`.
async fn run_samples(language: &str, command: impl Fn(&str) -> Command) {
    let dev = DevServer::start();
    let (client_id, client_secret) = dev.create_client();
    let folder = tempfile::tempdir().unwrap();
    let document = document(&dev).await;
    for id in ORDER {
        let mut command = command(sample(operation(&document, id), language));
        command.current_dir(folder.path()).env("URL", &dev.origin).env("TOKEN", &dev.token);
        let output = command.env("CLIENT_ID", &client_id).env("CLIENT_SECRET", &client_secret).output().unwrap();
        expect_success(id, &output);
    }
    for operation in operations(&document) {
        assert!(ORDER.iter().any(|id| operation["operationId"] == *id), "{} was not sent", operation["operationId"]);
    }
}

async fn document(dev: &DevServer) -> Value {
    reqwest::get(format!("{}/openapi.json", dev.origin)).await.unwrap().json().await.unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
}

fn operation<'a>(document: &'a Value, id: &str) -> &'a Value {
    operations(document)
        .find(|operation| operation["operationId"] == id)
        .unwrap_or_else(|| panic!("the document has no operation {id}"))
}

/// Returns the sample of an operation in a language.
fn sample<'a>(operation: &'a Value, language: &str) -> &'a str {
    let samples = operation["x-codeSamples"].as_array().unwrap();
    samples.iter().find(|sample| sample["lang"] == language).unwrap()["source"].as_str().unwrap()
}

fn expect_success(id: &str, output: &Output) {
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{id}: {printed}\n{errors}");
    if id == "listContacts" {
        assert!(printed.contains("sample-1"), "the example of a list returns no contact: {printed}");
    }
}
