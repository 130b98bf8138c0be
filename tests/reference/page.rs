//! The page `/docs` in a browser: authorize, send a PATCH and read the response.

use std::path::Path;

use serde_json::Value;

use crate::browser::Browser;
use crate::dev_server::DevServer;

/// The selector of the section `PATCH /contacts/{contactId}`.
const PATCH: &str = "#operations-contacts-updateContact";

#[tokio::test]
#[ignore = "needs chromium and chromedriver; .ci/run installs them"]
async fn patch_sent_from_the_page_updates_the_sample_contact() {
    let (dev, browser) = (DevServer::start(), Browser::start().await);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.open(&format!("{}/docs", dev.origin)).await;
    browser.wait_for("return document.querySelectorAll('.opblock').length > 20").await;
    browser.save_screenshot(&screenshots.join("docs.png")).await;

    authorize(&browser, &format!(" Bearer {} ", dev.token)).await;
    browser.click(&format!("{PATCH} .opblock-summary-control")).await;
    // With a token, the document contains the custom fields of the sample account.
    let has_option = |name: &str| format!("return document.querySelector('{PATCH} option[value={name}]') !== null");
    browser.wait_for(&has_option("shoe_size")).await;

    browser
        .replace_text(&format!("{PATCH} textarea.body-param__text"), r#"{"fields": {"job_title": "Countess"}}"#)
        .await;
    browser.click(&format!("{PATCH} .execute")).await;
    let response = format!("return document.querySelector('{PATCH} .live-responses-table .response')?.innerText");
    let response = browser.wait_for(&response).await;
    let response = response.as_str().unwrap();
    assert!(response.starts_with("200") && response.contains(r#""job_title": "Countess""#), "{response}");
    browser.run(&format!("document.querySelector('{PATCH}').scrollIntoView()")).await;
    browser.save_screenshot(&screenshots.join("patch.png")).await;
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
    browser.open(&dev.docs).await;
    browser.wait_for("return document.querySelector('.btn.authorize.locked, .authorize .locked') !== null").await;
    browser.click(&format!("{PATCH} .opblock-summary-control")).await;
    browser.wait_for(&format!("return document.querySelector('{PATCH} option[value=shoe_size]') !== null")).await;
    let address = browser.run("return location.href").await;
    assert!(!address.as_str().unwrap().contains(&dev.token), "{address}");
    expect_private_page(&browser, &dev).await;
    browser.stop().await;
}

/// Enters a token in the dialog of the button "Authorize".
async fn authorize(browser: &Browser, token: &str) {
    browser.click(".scheme-container .btn.authorize").await;
    browser.replace_text("#auth-bearer-value", token).await;
    browser.click("form:has(#auth-bearer-value) button.authorize").await;
    browser.click(".dialog-ux .close-modal").await;
}

/// Checks that the page violates no content security policy, sends no request elsewhere, and stores no token.
async fn expect_private_page(browser: &Browser, dev: &DevServer) {
    // Recommendations of the browser are ignored, for example to set attributes of password fields.
    let printed = browser.take_log("browser").await;
    let errors: Vec<_> = printed.iter().filter(|entry| entry["source"] != "recommendation").collect();
    assert!(errors.is_empty(), "the page logs errors: {errors:?}");
    let fetched: Vec<String> = browser.take_log("performance").await.iter().filter_map(fetched_url).collect();
    assert!(fetched.iter().any(|url| url.ends_with("/docs/swagger-ui-bundle.js")), "{fetched:?}");
    for url in fetched {
        assert!(
            url.starts_with(&dev.origin) || url.starts_with("data:"),
            "the page fetched from another origin: {url}"
        );
    }
    let stored = browser.run("return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])").await;
    assert!(!stored.as_str().unwrap().contains(&dev.token), "{stored}");
}

/// Returns the URL of a log event about a request of the page.
fn fetched_url(entry: &Value) -> Option<String> {
    let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
    let is_request = event["message"]["method"] == "Network.requestWillBeSent";
    is_request.then(|| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
}
