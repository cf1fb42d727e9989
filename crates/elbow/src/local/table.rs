//! The table of load balancers, and a `curl` line for each listener.
//!
//! In: [`State`]. Out: text; columns are as wide as their widest cell.

use std::fmt::Write as _;
use std::net::IpAddr;

use anstyle::{AnsiColor, Style};

use super::state::{GatewayState, ListenerState, State};

const HEADER: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// A cell: its text and how it is drawn.
type Cell = (String, Style);

/// Draws the table and the lines to try.
pub(crate) fn draw(state: &State) -> String {
    if state.gateways.is_empty() {
        return "No load balancers: no Gateway asks for one.\n".to_owned();
    }
    let mut rows: Vec<Vec<Cell>> = vec![
        ["GATEWAY", "LISTENER", "ADDRESS", "TARGETS"]
            .map(|t| (t.to_owned(), HEADER))
            .to_vec(),
    ];
    for gateway in &state.gateways {
        for (index, listener) in gateway.listeners.iter().enumerate() {
            let name = if index == 0 {
                format!(
                    "{}/{} ({})",
                    gateway.namespace, gateway.name, gateway.lb_type
                )
            } else {
                String::new()
            };
            rows.push(vec![
                (name, Style::new()),
                (
                    format!("{} {}:{}", listener.name, listener.protocol, listener.port),
                    Style::new(),
                ),
                address(listener),
                targets(listener),
            ]);
        }
        if gateway.listeners.is_empty() {
            let name = format!(
                "{}/{} ({})",
                gateway.namespace, gateway.name, gateway.lb_type
            );
            rows.push(vec![(name, Style::new()), ("no listener".to_owned(), BAD)]);
        }
    }
    let mut text = String::new();
    columns(&mut text, &rows);
    text.push_str(&mapped(state));
    let lines: Vec<String> = state
        .gateways
        .iter()
        .flat_map(|g| {
            g.listeners
                .iter()
                .filter_map(|l| try_line(g, l, &state.ca_certificate))
        })
        .collect();
    if !lines.is_empty() {
        text.push('\n');
        for line in lines {
            let _infallible = writeln!(text, "  {line}");
        }
    }
    let _infallible = writeln!(
        text,
        "\n  {FAINT}# the same resources as AWS shows them{FAINT:#}\n  \
         AWS_ACCESS_KEY_ID=elbow AWS_SECRET_ACCESS_KEY=elbow aws --region {} \\\n    \
         --endpoint-url {} elbv2 describe-load-balancers",
        state.aws.region, state.aws.endpoint_url,
    );
    text
}

/// Why listeners are at other ports than their own; one line for all that share a reason.
fn mapped(state: &State) -> String {
    let listeners = state.gateways.iter().flat_map(|g| &g.listeners);
    let mut reasons: Vec<&str> = listeners
        .filter(|listener| !listener.addresses.is_empty())
        .filter_map(|listener| listener.problem.as_deref())
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    let mut text = String::new();
    for reason in reasons {
        let _infallible = writeln!(
            text,
            "  {NOTE}note:{NOTE:#} {reason}, so the listener is at another one"
        );
    }
    text
}

fn address(listener: &ListenerState) -> Cell {
    match (&listener.problem, listener.addresses.as_slice()) {
        (Some(problem), []) => (problem.clone(), BAD),
        (_, addresses) => {
            let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            (list.join(", "), Style::new())
        }
    }
}

fn targets(listener: &ListenerState) -> Cell {
    let (healthy, all) = listener.healthy;
    if all == 0 {
        // Nothing wrong where routes only redirect; where a backend is missing there is a finding.
        return ("no targets".to_owned(), FAINT);
    }
    let style = if healthy == all { GOOD } else { BAD };
    (format!("{healthy}/{all} healthy"), style)
}

/// A command that gets an answer from the listener.
fn try_line(gateway: &GatewayState, listener: &ListenerState, ca: &str) -> Option<String> {
    let address = listener.addresses.first()?;
    let host = listener
        .example_host
        .clone()
        .unwrap_or_else(|| gateway.dns_name.clone());
    let (ip, port) = (address.ip(), address.port());
    Some(match listener.protocol.as_str() {
        "HTTP" => {
            let url = format!("http://{}/", authority(&bracketed(ip), port, 80));
            match listener.example_host {
                Some(_) => format!("curl -H 'Host: {host}' {url}"),
                None => format!("curl {url}"),
            }
        }
        "HTTPS" => format!(
            "curl --cacert {} --resolve {host}:{port}:{ip} https://{}/",
            quoted(ca),
            authority(&host, port, 443)
        ),
        // A second is enough for an echo; curl cannot tell by itself that no more is to come.
        _ => format!("echo hello | curl -s --max-time 1 telnet://{address}"),
    })
}

/// A host and port, without the port where the scheme implies it.
fn authority(host: &str, port: u16, implied: u16) -> String {
    if port == implied {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// A path as a word of a shell.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

fn columns(text: &mut String, rows: &[Vec<Cell>]) {
    let n = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..n)
        .map(|c| {
            rows.iter()
                .filter_map(|r| r.get(c))
                .map(|(t, _)| t.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::from(" ");
        for ((cell, style), width) in row.iter().zip(&widths) {
            let padding = width - cell.chars().count();
            let _infallible = write!(line, " {style}{cell}{style:#}{:padding$}  ", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
