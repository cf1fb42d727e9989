//! The reference page of the emulator, made from the tables that it works by.
//!
//! In: operations, shapes and the lists of what is refused. Out: `docs/reference/emulator.md`, which
//! `cargo xtask docs-emulator` writes. Always: the page in the repository is the one that is made
//! here (a test compares them).

use crate::operation::{Operation, Service};
use crate::shape::Shape;
use crate::unmodelled;

const HEAD: &str = "\
<!-- Written by `cargo xtask docs-emulator`; do not edit. -->
# The built-in AWS

What the emulator behind `elbow local` answers. All of it is on one endpoint; the service is the one
that the request's signature names. Signatures are checked for form: scope, region and service, not
the signature's value.

- A parameter under *acts on* is checked and has its effect, as in AWS.
- A parameter under *refuses* is AWS's too, but has no effect here: a request that uses it is refused
  with a message that names it.
- Any other parameter is refused as unknown, any other operation with HTTP status 501. Both name what
  was asked for.
- *Errors* are the codes that AWS's model lists for the operation. EC2's model lists none; there the
  codes are those of EC2's user guide. All services also answer with the codes of their framework
  (`ValidationError`, `ValidationException`, `MissingParameter`, `InvalidParameterValue`, …).

Calls are throttled as AWS documents it with `elbow emulator --throttle aws`, its default; `elbow local`
throttles nothing. Not emulated: IAM policies (a fault can deny an action, see
[the files of `elbow emulator`](emulator-json.md)).
`GET /_emulator/calls` on the endpoint lists the calls so far, one JSON object a line.

On sockets, application load balancers serve HTTP and HTTPS listeners, network load balancers TCP, TLS, UDP
and TCP_UDP listeners. QUIC is not carried, and clients' addresses are not preserved: targets see the load
balancer's. HTTPS listeners know mutual TLS; revocation lists are not modelled. A load balancer sends to the
targets of all its zones, as with cross-zone load balancing, whatever the attribute says.

S3 takes and gives whole objects, path style: CreateBucket, HeadBucket, DeleteBucket, PutObject, GetObject,
HeadObject, DeleteObject. That is what it takes to give a trust store its CA bundle; all else of S3 is refused
with HTTP status 501. Faults and throttling leave it alone.
";

/// The page, as Markdown.
pub fn markdown() -> String {
    let mut page = vec![HEAD.to_owned()];
    for service in Service::ALL {
        let (title, protocol) = match service {
            Service::ElbV2 => (
                "Elastic Load Balancing (ELBv2)",
                "Query, version 2015-12-01",
            ),
            Service::Ec2 => ("EC2", "EC2 Query, version 2016-11-15"),
            Service::Acm => ("Certificate Manager", "JSON 1.1"),
            Service::Sts => ("Security Token Service", "Query, version 2011-06-15"),
            Service::Tagging => ("Resource Groups Tagging API", "JSON 1.1"),
        };
        page.push(format!(
            "\n## {title}\n\n`aws {}`, signed for `{}`. Protocol: {protocol}.\n",
            service.name(),
            service.signing_name()
        ));
        for operation in service.operations() {
            section(operation, &mut page);
        }
    }
    page.concat()
}

fn section(operation: &Operation, page: &mut Vec<String>) {
    page.push(format!("\n### {}\n\n", operation.name));
    let entries = unmodelled::of(operation.service).iter();
    let entries = entries.filter(|entry| entry.operation == operation.name);
    let refused: Vec<&str> = entries
        .flat_map(|entry| entry.parameters)
        .copied()
        .collect();
    let members = match operation.input {
        Shape::Structure(members) => *members,
        _ => &[],
    };
    let acted_on = members
        .iter()
        .filter(|member| !refused.contains(&member.name));
    let acted_on = acted_on.map(|member| {
        if member.required {
            format!("**{}**", member.name)
        } else {
            member.name.to_owned()
        }
    });
    line(page, "acts on", &acted_on.collect::<Vec<_>>());
    line(page, "refuses", &refused);
    line(page, "errors", operation.errors);
}

/// One line of a section; none for an empty list.
fn line(page: &mut Vec<String>, title: &str, words: &[impl AsRef<str>]) {
    if words.is_empty() {
        return;
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| {
            match word
                .as_ref()
                .strip_prefix("**")
                .and_then(|w| w.strip_suffix("**"))
            {
                Some(required) => format!("**`{required}`**"),
                None => format!("`{}`", word.as_ref()),
            }
        })
        .collect();
    page.push(format!("- {title}: {}\n", words.join(", ")));
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_fresh() {
        let page = include_str!("../../../docs/reference/emulator.md");
        assert!(
            page == super::markdown(),
            "stale: run `cargo xtask docs-emulator`"
        );
    }
}
