//! A headless Chromium that is controlled by the W3C WebDriver protocol, which is JSON over HTTP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The longest wait for a condition of the page.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The key of an element's id in WebDriver responses (W3C WebDriver, web element identifier).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The keys for "select all": Control and A, then the release of Control.
const SELECT_ALL: &str = "\u{e009}a\u{e000}";

/// A browser with one window. The process is killed when this value is dropped.
pub struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    /// Starts a browser with a new profile.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver does not start: install chromium and chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.split("started successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        let sessions = format!("http://127.0.0.1:{}/session", port.expect("chromedriver printed no port"));
        let mut browser = Self { driver, client: Client::new(), session: sessions.clone() };
        let created = browser.call(Method::POST, "", Some(capabilities())).await;
        browser.session = format!("{sessions}/{}", created["sessionId"].as_str().unwrap());
        browser
    }

    /// Sends a WebDriver command. Returns the error of the driver if the command fails.
    async fn try_call(&self, method: Method, command: &str, body: Option<Value>) -> Result<Value, Value> {
        let request = self.client.request(method, format!("{}{command}", self.session));
        let request = if let Some(body) = &body { request.json(body) } else { request };
        let response = request.send().await.unwrap();
        let is_success = response.status().is_success();
        let value = response.json::<Value>().await.unwrap()["value"].take();
        if is_success { Ok(value) } else { Err(value) }
    }

    async fn call(&self, method: Method, command: &str, body: Option<Value>) -> Value {
        self.try_call(method, command, body).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Opens a URL.
    pub async fn open(&self, url: &str) {
        self.call(Method::POST, "/url", Some(json!({"url": url}))).await;
    }

    /// Shows pages as in a window of this width, and as on a device with this color scheme (`light` or `dark`).
    pub async fn emulate(&self, width: u32, color_scheme: &str) {
        let metrics = json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": color_scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Sends a command of the Chrome DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) {
        self.call(Method::POST, "/goog/cdp/execute", Some(json!({"cmd": command, "params": parameters}))).await;
    }

    /// Runs a script and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        self.call(Method::POST, "/execute/sync", Some(json!({"script": script, "args": []}))).await
    }

    /// Repeats a script until its result is neither null nor false, and returns the result.
    pub async fn wait_for(&self, script: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.run(script).await;
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "timed out: {script}\n{}",
                self.run("return document.body.innerText").await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a command to the element of a selector, and repeats it until it succeeds.
    async fn act(&self, selector: &str, command: &str, body: Value) {
        let started = Instant::now();
        loop {
            let find = json!({"using": "css selector", "value": selector});
            let result = match self.try_call(Method::POST, "/element", Some(find)).await {
                Ok(element) => {
                    let element = element[ELEMENT].as_str().unwrap();
                    self.try_call(Method::POST, &format!("/element/{element}/{command}"), Some(body.clone())).await
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(_) => return,
                Err(error) if started.elapsed() > WAIT_TIMEOUT => panic!("{command} {selector}: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Clicks an element.
    pub async fn click(&self, selector: &str) {
        self.act(selector, "click", json!({})).await;
    }

    /// Replaces the text of an input.
    pub async fn replace_text(&self, selector: &str, text: &str) {
        self.act(selector, "value", json!({"text": format!("{SELECT_ALL}{text}")})).await;
    }

    /// Returns the log entries since the last call.
    pub async fn take_log(&self, name: &str) -> Vec<Value> {
        let entries = self.call(Method::POST, "/se/log", Some(json!({"type": name}))).await;
        entries.as_array().unwrap().clone()
    }

    /// Saves a screenshot of the window.
    pub async fn save_screenshot(&self, file: &Path) {
        let screenshot = self.call(Method::GET, "/screenshot", None).await;
        std::fs::write(file, STANDARD.decode(screenshot.as_str().unwrap()).unwrap()).unwrap();
    }

    /// Closes the browser.
    pub async fn stop(self) {
        self.call(Method::DELETE, "", None).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Returns the capabilities of a headless window that logs console messages and requests.
///
/// The sandbox is off, because Chromium does not run as root with it.
fn capabilities() -> Value {
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--window-size=1280,1400",
    ];
    json!({"capabilities": {"alwaysMatch": {
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}
    }}})
}
