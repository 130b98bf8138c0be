//! The page `/docs` in a browser: enter a token, send a PATCH and read the response, on wide and narrow screens.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::dev_server::DevServer;

/// The address of the section `PATCH /contacts/{contactId}`.
const PATCH: &str = "#tag/contacts/PATCH/contacts/{contactId}";
/// A script that returns this section.
const PATCH_SECTION: &str = "document.querySelector('[id$=\"tag/contacts/PATCH/contacts/{contactId}\"]')";
/// The selector of the dialog that sends calls.
const DIALOG: &str = ".scalar-app-layout.scalar-client";
/// A script that clicks the button "Send" of the dialog.
const SEND: &str = "[...document.querySelectorAll('.scalar-app-layout button')]
    .find((button) => button.checkVisibility() && button.innerText.startsWith('Send')).click()";

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn patch_sent_from_the_page_updates_the_sample_contact() {
    let (dev, browser) = (DevServer::start(), Browser::start().await);
    browser.open(&format!("{}/docs{PATCH}", dev.origin)).await;
    browser.wait_for(&format!("return {PATCH_SECTION}?.innerText.includes('Update a contact')")).await;

    browser.replace_text("#token", "nonsense").await;
    browser.click("#token-form button").await;
    browser.wait_for(&message_contains("token")).await;
    browser.replace_text("#token", &format!(" export URL=http://127.0.0.1 TOKEN=\"{}\" ID=x", dev.token)).await;
    browser.click("#token-form button").await;
    browser.wait_for(&message_contains("your account")).await;
    expect_custom_fields(&browser).await;

    browser.run(&format!("{PATCH_SECTION}.querySelector('.show-api-client-button').click()")).await;
    let body = r#"{"fields": {"job_title": "Countess"}}"#;
    browser.replace_text(&format!("{DIALOG} table .cm-content"), body).await;
    browser.run(SEND).await;
    let response = format!("document.querySelector('{DIALOG} .response-section-content-body .cm-content')");
    browser.wait_for(&format!("return {response}?.innerText.includes('Countess')")).await;
    let stored = reqwest::Client::new()
        .get(format!("{}/contacts/sample-1?id_property=external_id&properties=job_title", dev.origin))
        .bearer_auth(&dev.token);
    let stored: Value = stored.send().await.unwrap().json().await.unwrap();
    assert_eq!(stored["job_title"], "Countess");

    expect_private_page(&browser, &dev).await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn link_with_a_token_opens_the_document_of_its_account() {
    let (dev, browser) = (DevServer::start(), Browser::start().await);
    assert_eq!(dev.docs, format!("{}/docs#token={}", dev.origin, dev.token));
    // In a tab that already shows the page, only the part after # changes.
    browser.open(&format!("{}/docs", dev.origin)).await;
    browser.wait_for("return document.querySelector('h1') !== null").await;
    browser.open(&dev.docs).await;
    browser.wait_for(&message_contains("your account")).await;
    let address = browser.run("return location.href").await;
    assert!(!address.as_str().unwrap().contains(&dev.token), "{address}");
    browser.run(&format!("location.hash = '{PATCH}'")).await;
    expect_custom_fields(&browser).await;
    expect_private_page(&browser, &dev).await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn rejected_token_request_shows_its_error_and_no_login_of_the_browser() {
    let (dev, browser) = (DevServer::start(), Browser::start().await);
    browser.open(&format!("{}/docs#tag/clients/POST/oauth2/token", dev.origin)).await;
    let button = "document.querySelector('[id$=\"tag/clients/POST/oauth2/token\"] .show-api-client-button')";
    browser.wait_for(&format!("return {button} != null")).await;
    browser.run(&format!("{button}.click()")).await;
    browser.wait_for(&format!("return document.querySelector('{DIALOG} table') !== null")).await;
    browser.run(SEND).await;
    let response = format!("document.querySelector('{DIALOG} .response-section-content-body .cm-content')");
    browser.wait_for(&format!("return {response}?.innerText.includes('invalid_client')")).await;
    browser.stop().await;
}

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn page_is_readable_on_wide_and_narrow_screens_in_light_and_dark() {
    let (dev, browser) = (DevServer::start(), Browser::start().await);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (width, color_scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.emulate(width, color_scheme).await;
        browser.open("about:blank").await;
        browser.open(&dev.docs).await;
        browser.wait_for("return document.querySelector('h1') !== null").await;
        for part in ["introduction", "operation", "dialog"] {
            match part {
                "operation" => {
                    browser.run(&format!("location.hash = '{PATCH}'")).await;
                    browser.wait_for(&format!("return {PATCH_SECTION}?.innerText.includes('Update a contact')")).await;
                }
                "dialog" => {
                    browser.run(&format!("{PATCH_SECTION}.querySelector('.show-api-client-button').click()")).await;
                    browser.wait_for(&format!("return document.querySelector('{DIALOG} .cm-content') !== null")).await;
                }
                _ => {}
            }
            // Dialogs and sections fade in.
            tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
            let name = format!("docs-{width}-{color_scheme}-{part}.png");
            browser.save_screenshot(&screenshots.join(&name)).await;
            let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.run(overflow).await, 0, "{name}: the page scrolls sideways");
            assert_eq!(browser.run(include_str!("contrast.js")).await, json!([]), "{name}");
        }
    }
    browser.stop().await;
}

/// Returns a script that says whether the message beside the token contains a text.
fn message_contains(text: &str) -> String {
    format!("return document.querySelector('#token-form output').value.includes('{text}')")
}

/// Checks that the section of PATCH shows the custom fields of the sample account.
async fn expect_custom_fields(browser: &Browser) {
    let toggle = format!("{PATCH_SECTION}?.querySelector('.request-body .property-toggle')");
    browser.wait_for(&format!("return {toggle} != null")).await;
    browser.run(&format!("{toggle}.click()")).await;
    browser.wait_for(&format!("return {PATCH_SECTION}.innerText.includes('shoe_size')")).await;
}

/// Checks that the page violates no content security policy, sends no request elsewhere, and stores no token.
async fn expect_private_page(browser: &Browser, dev: &DevServer) {
    // Recommendations of the browser are ignored, for example to set attributes of password fields. Scalar logs its version.
    let printed = browser.take_log("browser").await;
    let is_error = |entry: &&Value| entry["level"] == "SEVERE" && !is_rejected_token(entry);
    let errors: Vec<_> = printed.iter().filter(is_error).collect();
    assert!(errors.is_empty(), "the page logs errors: {errors:?}");
    let fetched: Vec<String> = browser.take_log("performance").await.iter().filter_map(fetched_url).collect();
    assert!(fetched.iter().any(|url| url.ends_with("/docs/scalar.js")), "{fetched:?}");
    for url in fetched {
        assert!(
            url.starts_with(&dev.origin) || url.starts_with("data:"),
            "the page fetched from another origin: {url}"
        );
    }
    let stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])").await;
    assert!(!stored.as_str().unwrap().contains(&dev.token), "{stored}");
}

/// Returns whether a log entry is about the response to a rejected token, which the browser logs.
fn is_rejected_token(entry: &Value) -> bool {
    entry["message"].as_str().is_some_and(|message| message.contains("/openapi.json") && message.contains("401"))
}

/// Returns the URL of a log event about a request of the page.
fn fetched_url(entry: &Value) -> Option<String> {
    let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let is_request = event["message"]["method"] == "Network.requestWillBeSent";
    is_request.then(|| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
}
