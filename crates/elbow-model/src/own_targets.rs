//! The targets that this cluster has registered in a target group which several clusters share.
//!
//! In: targets, or the text in which the AWS Load Balancer Controller (LBC) keeps them. Out: whether a
//! target is one of them, and that text. What always holds: the same targets give the same text, so a
//! change of controllers finds its own.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stack::Target;

/// Targets that this cluster has registered, each as `<id>:<port>`, those of QUIC as
/// `<id>:<port>:<server id>`. Prints as LBC keeps them: with commas between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnTargets(BTreeSet<String>);

impl OwnTargets {
    /// Reads the text. Whatever is in it is taken as it is: an entry that is no target is never met.
    pub fn parse(text: &str) -> Self {
        let entries = text.split(',').map(str::trim);
        Self(
            entries
                .filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Whether the target is one of them.
    pub fn contains(&self, target: &Target) -> bool {
        self.0.contains(&text(target))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The zone is no part of it: it says how a target is reached, not which one it is.
fn text(target: &Target) -> String {
    match &target.quic_server_id {
        Some(server) => format!("{}:{}:{server}", target.id, target.port),
        None => format!("{}:{}", target.id, target.port),
    }
}

impl<'t> FromIterator<&'t Target> for OwnTargets {
    fn from_iter<I: IntoIterator<Item = &'t Target>>(targets: I) -> Self {
        Self(targets.into_iter().map(text).collect())
    }
}

impl fmt::Display for OwnTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            f.write_str(entry)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Port;

    #[test]
    fn the_text_is_that_of_lbc() {
        let target = |id: &str, port: u16| Target {
            id: id.to_owned(),
            port: Port::new(port)
                .into_iter()
                .next()
                .unwrap_or_else(|| unreachable!()),
            availability_zone: Some("all".to_owned()),
            quic_server_id: None,
        };
        let of_quic = Target {
            quic_server_id: Some("0x0123".to_owned()),
            ..target("192.168.1.9", 443)
        };
        let targets = [
            target("192.168.1.9", 8080),
            target("2001:db8::1", 80),
            target("i-0123", 30080),
            of_quic,
        ];
        let own: OwnTargets = targets.iter().collect();
        // In the order of the texts.
        let text = "192.168.1.9:443:0x0123,192.168.1.9:8080,2001:db8::1:80,i-0123:30080";
        assert_eq!(own.to_string(), text);
        assert_eq!(OwnTargets::parse(text), own);
        let rows = [
            ("", 0, false),
            (" , ", 0, false),
            ("192.168.1.9:8080", 1, true),
            (" 192.168.1.9:8080 ,x", 2, true),
            ("192.168.1.9:80", 1, false),
        ];
        for (text, len, contains) in rows {
            let own = OwnTargets::parse(text);
            assert_eq!(own.len(), len, "{text:?}");
            assert_eq!(own.is_empty(), len == 0, "{text:?}");
            assert_eq!(own.contains(&targets[0]), contains, "{text:?}");
        }
    }
}
