//! `/docs` in a browser: authorise, send a PATCH, see what came of it.

use std::path::Path;

use serde_json::Value;

use crate::browser::Browser;
use crate::dev::Dev;

/// The box of `PATCH /contacts/{contactId}`.
const PATCH: &str = "#operations-contacts-updateContact";

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn a_reader_tries_a_patch() {
    let (dev, browser) = (Dev::start(), Browser::start().await);
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.open(&format!("{}/docs", dev.origin)).await;
    browser.wait_for("return document.querySelectorAll('.opblock').length > 20").await;
    browser.picture(&pictures.join("docs.png")).await;

    authorise(&browser, &format!(" Bearer {} ", dev.token)).await;
    browser.click(&format!("{PATCH} .opblock-summary-control")).await;
    // The account's own document: with the fields of the sample.
    let offers = |name: &str| format!("return document.querySelector('{PATCH} option[value={name}]') !== null");
    browser.wait_for(&offers("shoe_size")).await;

    browser.write(&format!("{PATCH} textarea.body-param__text"), r#"{"fields": {"job_title": "Countess"}}"#).await;
    browser.click(&format!("{PATCH} .execute")).await;
    let answer = format!("return document.querySelector('{PATCH} .live-responses-table .response')?.innerText");
    let answer = browser.wait_for(&answer).await;
    let answer = answer.as_str().unwrap();
    assert!(answer.starts_with("200") && answer.contains(r#""job_title": "Countess""#), "{answer}");
    browser.run(&format!("document.querySelector('{PATCH}').scrollIntoView()")).await;
    browser.picture(&pictures.join("patch.png")).await;
    let stored = reqwest::Client::new()
        .get(format!("{}/contacts/sample-1?id_property=external_id&properties=job_title", dev.origin))
        .bearer_auth(&dev.token);
    let stored: Value = stored.send().await.unwrap().json().await.unwrap();
    assert_eq!(stored["job_title"], "Countess");

    expect_no_trace(&browser, &dev).await;
    browser.stop().await;
}

/// Fills in the box behind the button "Authorize".
async fn authorise(browser: &Browser, token: &str) {
    browser.click(".scheme-container .btn.authorize").await;
    browser.write("#auth-bearer-value", token).await;
    browser.click("form:has(#auth-bearer-value) button.authorize").await;
    browser.click(".dialog-ux .close-modal").await;
}

/// The page has broken none of its own rules, asked nobody else, and keeps no token.
async fn expect_no_trace(browser: &Browser, dev: &Dev) {
    // But for recommendations of the browser, such as to name a field for its passwords.
    let printed = browser.log("browser").await;
    let complaints: Vec<_> = printed.iter().filter(|entry| entry["source"] != "recommendation").collect();
    assert!(complaints.is_empty(), "the page complains: {complaints:?}");
    let fetched: Vec<String> = browser.log("performance").await.iter().filter_map(fetched).collect();
    assert!(fetched.iter().any(|url| url.ends_with("/docs/swagger-ui-bundle.js")), "{fetched:?}");
    for url in fetched {
        assert!(url.starts_with(&dev.origin) || url.starts_with("data:"), "fetched from elsewhere: {url}");
    }
    let kept = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])").await;
    assert!(!kept.as_str().unwrap().contains(&dev.token), "{kept}");
}

/// The URL that an event of the log is about, where that is a request of the page.
fn fetched(entry: &Value) -> Option<String> {
    let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let is_request = event["message"]["method"] == "Network.requestWillBeSent";
    is_request.then(|| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
}
