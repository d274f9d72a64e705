//! The configuration of HAProxy's traffic-mirroring guide, with room for what tests vary.

use std::fmt::{Display, Write};
use std::net::SocketAddr;

use super::{Builder, Haproxy, Version};

/// The guide's configuration: a frontend with the filter `mirror`, its `mirror.conf`, the backend
/// `mirroragents`, and a production backend.
///
/// Ports: `http` (HTTP/1 and h2c with prior knowledge) and, with [`Guide::tls`], `https`.
#[derive(Clone)]
pub struct Guide {
    production: SocketAddr,
    agents: Vec<String>,
    args: String,
    event: String,
    message_lines: Vec<String>,
    agent_lines: Vec<String>,
    processing: String,
    global: Vec<String>,
    frontend: Vec<String>,
    production_lines: Vec<String>,
    agents_lines: Vec<String>,
    server_options: String,
    mode_spop: bool,
    sections: String,
    files: Vec<(String, String)>,
    tls: Option<String>,
}

impl Guide {
    /// The guide's configuration in front of this production server. Without [`Guide::agent`], mirroring
    /// has nobody to talk to.
    pub fn new(production: SocketAddr) -> Self {
        Self {
            production,
            agents: Vec::new(),
            args: "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin arg_body=req.body"
                .to_owned(),
            event: "on-frontend-http-request".to_owned(),
            message_lines: Vec::new(),
            agent_lines: Vec::new(),
            processing: "5s".to_owned(),
            global: Vec::new(),
            frontend: Vec::new(),
            production_lines: Vec::new(),
            agents_lines: Vec::new(),
            server_options: String::new(),
            mode_spop: false,
            sections: String::new(),
            files: Vec::new(),
            tls: None,
        }
    }

    /// Adds an agent: an address, or `unix@PATH`.
    #[must_use]
    pub fn agent(mut self, address: impl Display) -> Self {
        self.agents.push(address.to_string());
        self
    }

    /// Options for each agent's server line, such as `check inter 200ms`.
    #[must_use]
    pub fn server_options(mut self, options: &str) -> Self {
        options.clone_into(&mut self.server_options);
        self
    }

    /// Replaces the message's arguments.
    #[must_use]
    pub fn args(mut self, args: &str) -> Self {
        args.clone_into(&mut self.args);
        self
    }

    /// A condition for the message, such as `if { rand(100) lt 10 }`.
    #[must_use]
    pub fn only(mut self, condition: &str) -> Self {
        self.event = format!("on-frontend-http-request {condition}");
        self
    }

    /// Adds a line to the message in `mirror.conf`, before the event: an `acl`, say.
    #[must_use]
    pub fn message_line(mut self, line: &str) -> Self {
        self.message_lines.push(line.to_owned());
        self
    }

    /// Adds a line to the `spoe-agent` section of `mirror.conf`.
    #[must_use]
    pub fn agent_line(mut self, line: &str) -> Self {
        self.agent_lines.push(line.to_owned());
        self
    }

    /// Sets `timeout processing`; the guide says 5s.
    #[must_use]
    pub fn processing(mut self, time: &str) -> Self {
        time.clone_into(&mut self.processing);
        self
    }

    /// Adds a line to the `global` section.
    #[must_use]
    pub fn global(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// Sets `tune.bufsize`, in bytes; HAProxy's own is 16384.
    #[must_use]
    pub fn bufsize(self, bytes: u32) -> Self {
        self.global(&format!("tune.bufsize {bytes}"))
    }

    /// Sets `nbthread`; HAProxy's own is the number of processors.
    #[must_use]
    pub fn nbthread(self, threads: u32) -> Self {
        self.global(&format!("nbthread {threads}"))
    }

    /// Adds a line to the frontend, before `default_backend`.
    #[must_use]
    pub fn frontend(mut self, line: &str) -> Self {
        self.frontend.push(line.to_owned());
        self
    }

    /// Adds a line to the production backend.
    #[must_use]
    pub fn production_line(mut self, line: &str) -> Self {
        self.production_lines.push(line.to_owned());
        self
    }

    /// Adds a line to the backend `mirroragents`.
    #[must_use]
    pub fn agents_line(mut self, line: &str) -> Self {
        self.agents_lines.push(line.to_owned());
        self
    }

    /// `mode spop` instead of `mode tcp` for the agents; HAProxy 3.1 and later.
    #[must_use]
    pub fn mode_spop(mut self) -> Self {
        self.mode_spop = true;
        self
    }

    /// Adds whole sections, such as `program mirror`.
    #[must_use]
    pub fn sections(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self
    }

    /// Puts a file beside the configuration, such as a map.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds a TLS listener with ALPN `h2,http/1.1` on the port `https`, with this PEM text of certificate
    /// and key.
    #[must_use]
    pub fn tls(mut self, pem: String) -> Self {
        self.tls = Some(pem);
        self
    }

    /// The text of `mirror.conf`.
    pub fn mirror_conf(&self) -> String {
        format!(
            "[mirror]\nspoe-agent mirror\n    log global\n    messages mirror\n    \
             use-backend mirroragents\n    timeout hello 500ms\n    timeout idle 5s\n    \
             timeout processing {}\n{}\nspoe-message mirror\n    args {}\n{}    event {}\n",
            self.processing,
            indented(&self.agent_lines),
            self.args,
            indented(&self.message_lines),
            self.event,
        )
    }

    /// The text of `haproxy.cfg`.
    pub fn haproxy_cfg(&self) -> String {
        let mut text = String::from("global\n");
        // Without it HAProxy sizes itself by the descriptor limit, which may be a million.
        if !self.global.iter().any(|line| line.starts_with("maxconn")) {
            text += "    maxconn 4000\n";
        }
        text += &indented(&self.global);
        text += "\ndefaults\n    log global\n    mode http\n    timeout connect 5s\n    \
                 timeout client 50s\n    timeout server 50s\n\n\
                 frontend mysite\n    bind 127.0.0.1:{port:http}\n";
        if self.tls.is_some() {
            text += "    bind 127.0.0.1:{port:https} ssl crt {dir}/server.pem alpn h2,http/1.1\n";
        }
        text +=
            "    option http-buffer-request\n    filter spoe engine mirror config mirror.conf\n";
        text += &indented(&self.frontend);
        text += "    default_backend webservers\n\nbackend webservers\n";
        text += &indented(&self.production_lines);
        let mode = if self.mode_spop { "spop" } else { "tcp" };
        let _ = write!(
            text,
            "    server production {}\n\nbackend mirroragents\n    mode {mode}\n    \
             balance roundrobin\n    timeout connect 5s\n    timeout server 5s\n{}",
            self.production,
            indented(&self.agents_lines)
        );
        for (number, agent) in self.agents.iter().enumerate() {
            let _ =
                writeln!(text, "    server agent{} {agent} {}", number + 1, self.server_options);
        }
        text + "\n" + &self.sections
    }

    /// A builder with these files.
    pub fn builder(&self, version: Version) -> Builder {
        let mut builder = Haproxy::builder(version)
            .config(self.haproxy_cfg())
            .file("mirror.conf", self.mirror_conf());
        for (name, text) in &self.files {
            builder = builder.file(name, text);
        }
        if let Some(pem) = &self.tls {
            builder = builder.file("server.pem", pem);
        }
        builder
    }

    /// Starts this version with it.
    ///
    /// # Panics
    /// When HAProxy does not start, with what it said.
    pub fn start(&self, version: Version) -> Haproxy {
        self.builder(version).start()
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    {line}\n")).collect()
}
