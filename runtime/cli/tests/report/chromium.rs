//! A browser without a window: Chromium, told what to do through a pipe in its DevTools protocol, whose messages end with a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// How long an answer may take: a browser that starts on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// One page in a browser of its own.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Json>,
    session: Option<String>,
    sent: u64,
    /// What happened meanwhile: the messages that answer nothing.
    events: Vec<Json>,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium with an empty profile and without a network.
    pub fn start() -> Self {
        let profile = TempDir::new().unwrap();
        // It reads from file 3 and writes to file 4, which a shell can arrange.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 < /dev/null > /dev/null", "sh", "chromium", "--headless", "--no-sandbox"]);
        command.args(["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]);
        command.args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("a shell");
        let (commands, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (send, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let _ = send.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut browser = Self { process, commands, messages, session: None, sent: 0, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// The width of the window in pixels, and the colour scheme: `light` or `dark`.
    pub fn view(&mut self, width: usize, scheme: &str) {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [scheme] }));
    }

    /// Opens a file, and waits until it is there.
    pub fn open(&mut self, path: &Path) {
        self.events.clear();
        let opened = self.call("Page.navigate", json!({ "url": format!("file://{}", path.display()) }));
        assert!(opened.get("errorText").is_none(), "{opened}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let message = self.receive();
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Json {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What went wrong since the page was opened: exceptions, messages on the console, whatever was logged; and requests for anything
    /// but a file.
    pub fn complaints(&mut self) -> Vec<String> {
        // What happened before an answer is told before it.
        self.evaluate("0");
        let wrong = |event: &&Json| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" | "Network.loadingFailed") => true,
            Some("Network.requestWillBeSent") => !event["params"]["request"]["url"].as_str().unwrap().starts_with("file://"),
            _ => false,
        };
        self.events.iter().filter(wrong).map(Json::to_string).collect()
    }

    fn call(&mut self, method: &str, params: Json) -> Json {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).expect("Chromium is there: `.ci/report` installs it");
        loop {
            let mut message = self.receive();
            if message["id"] == self.sent {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    fn receive(&self) -> Json {
        self.messages.recv_timeout(PATIENCE).expect("Chromium answers; `.ci/report` installs it")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
