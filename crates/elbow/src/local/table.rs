//! The table of load balancers, and a `curl` line for each listener.
//!
//! In: [`State`]. Out: text; columns are as wide as their widest cell.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::state::{GatewayState, ListenerState, State};

const HEADER: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();

/// A cell: its text and how it is drawn.
type Cell = (String, Style);

/// Draws the table and the lines to try.
pub(crate) fn draw(state: &State) -> String {
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
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = writeln!(
        text,
        "\n  {FAINT}# the same resources as AWS shows them{FAINT:#}\n  \
         AWS_ACCESS_KEY_ID=elbow AWS_SECRET_ACCESS_KEY=elbow aws --region {} \\\n    \
         --endpoint-url {} elbv2 describe-load-balancers",
        state.aws.region, state.aws.endpoint_url,
    );
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
    let style = if all > 0 && healthy == all { GOOD } else { BAD };
    (format!("{healthy}/{all} healthy"), style)
}

/// A command that gets an answer from the listener.
fn try_line(gateway: &GatewayState, listener: &ListenerState, ca: &str) -> Option<String> {
    let address = listener.addresses.first()?;
    let host = listener
        .example_host
        .clone()
        .unwrap_or_else(|| gateway.dns_name.clone());
    Some(match listener.protocol.as_str() {
        "HTTP" if listener.example_host.is_some() => {
            format!("curl -H 'Host: {host}' http://{address}/")
        }
        "HTTP" => format!("curl http://{address}/"),
        "HTTPS" => {
            let port = address.port();
            format!(
                "curl --cacert {ca} --resolve {host}:{port}:{} https://{host}:{port}/",
                address.ip()
            )
        }
        _ => format!("curl --max-time 2 telnet://{address} <<< hello"),
    })
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
            let _ = write!(line, " {style}{cell}{style:#}{:padding$}  ", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
