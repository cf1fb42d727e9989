//! The cookies by which an Application Load Balancer remembers a target group or a target.
//!
//! In: what to remember and for how long. Out: `Set-Cookie` values, and from a request what was
//! remembered. Always: a value that was not made here, or has expired, remembers nothing; values
//! are opaque to clients and need no escapes.
//!
//! AWS encrypts these values. Here they are a digest with a check sum: nothing secret is in them.

use sha2::{Digest, Sha256};

use super::request::RequestHead;
use crate::Timestamp;

/// Days that browsers keep the cookie; how long stickiness lasts is inside the value.
const BROWSER_KEEPS_DAYS: u64 = 7;

/// Which of the load balancer's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickyCookie {
    /// `AWSALBTG`: the target group of a weighted forward.
    TargetGroup,
    /// `AWSALB`: the target, by duration.
    Target,
    /// `AWSALBAPP-0`: the target, by the application's cookie.
    Application,
}

impl StickyCookie {
    /// The name of the plain cookie, and of its twin for requests across sites where there is one.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::TargetGroup => ("AWSALBTG", Some("AWSALBTGCORS")),
            Self::Target => ("AWSALB", Some("AWSALBCORS")),
            Self::Application => ("AWSALBAPP-0", None),
        }
    }

    /// The `Set-Cookie` values that remember `subject` until `now` plus the duration.
    pub fn set(self, subject: &str, now: Timestamp, duration_seconds: u64) -> Vec<String> {
        let expires_at = (now.as_millis() / 1000).saturating_add(duration_seconds);
        let memory = format!("{}{expires_at:016x}", digest(&[subject]));
        let value = format!("{memory}{}", digest(&[&memory, self.names().0]));
        let expires = http_date(now.plus_seconds(BROWSER_KEEPS_DAYS * 86_400));
        let (plain, across_sites) = self.names();
        let mut cookies = vec![format!("{plain}={value}; Expires={expires}; Path=/")];
        cookies.extend(across_sites.map(|name| {
            format!("{name}={value}; Expires={expires}; Path=/; SameSite=None; Secure")
        }));
        cookies
    }

    /// Which of the subjects the request's cookie remembers. The twin for requests across sites
    /// wins.
    pub fn remembered<T>(
        self,
        request: &RequestHead,
        now: Timestamp,
        subjects: impl IntoIterator<Item = (T, String)>,
    ) -> Option<T> {
        let (plain, across_sites) = self.names();
        let value = across_sites
            .and_then(|name| request.cookie(name))
            .or_else(|| request.cookie(plain))?;
        let (memory, check) = value.split_at_checked(DIGEST_CHARS + 16)?;
        if check != digest(&[memory, plain]) {
            return None;
        }
        let (wanted, expires_at) = memory.split_at(DIGEST_CHARS);
        if u64::from_str_radix(expires_at, 16).ok()? <= now.as_millis() / 1000 {
            return None;
        }
        subjects
            .into_iter()
            .find(|(_, subject)| digest(&[subject]) == wanted)
            .map(|(value, _)| value)
    }
}

/// Characters of a digest: 64 bits, plenty to tell a handful of subjects apart.
const DIGEST_CHARS: usize = 16;

fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let mut text = hex::encode(hasher.finalize());
    text.truncate(DIGEST_CHARS);
    text
}

/// A time as HTTP headers and cookies spell it.
pub fn http_date(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // 1970 began on a Thursday; the rest is in the ISO form at fixed places:
    // 2026-03-01T12:00:00.000Z
    let iso = time.to_string();
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or_default();
    let weekday = DAYS[super::pick::index(time.as_millis() / 86_400_000, DAYS.len())];
    let month: usize = part(5, 7).parse().unwrap_or(1);
    let month = MONTHS
        .get(month.saturating_sub(1))
        .copied()
        .unwrap_or_default();
    format!(
        "{weekday}, {} {month} {} {} GMT",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn remembered(cookie: StickyCookie, header: &str, now: Timestamp) -> Option<u8> {
        let mut request = RequestHead::get("h", "/");
        request.headers = vec![("Cookie".to_owned(), header.to_owned())];
        cookie.remembered(
            &request,
            now,
            [(1, "one".to_owned()), (2, "two".to_owned())],
        )
    }

    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    #[test]
    fn remembers_until_it_expires() {
        let cookies = StickyCookie::TargetGroup.set("two", NOW, 60);
        assert_eq!(cookies.len(), 2);
        assert!(cookies[0].starts_with("AWSALBTG=") && cookies[1].starts_with("AWSALBTGCORS="));
        assert!(cookies[1].ends_with("; Path=/; SameSite=None; Secure"));
        assert!(
            cookies[0].contains("Expires=Tue, 21 Nov 2023 22:13:20 GMT"),
            "{}",
            cookies[0]
        );
        let header = format!("a=b; {}", pair(&cookies[0]));
        assert_eq!(remembered(StickyCookie::TargetGroup, &header, NOW), Some(2));
        assert_eq!(
            remembered(StickyCookie::TargetGroup, &header, NOW.plus_seconds(59)),
            Some(2)
        );
        assert_eq!(
            remembered(StickyCookie::TargetGroup, &header, NOW.plus_seconds(60)),
            None
        );
        assert_eq!(
            remembered(
                StickyCookie::Target,
                &header.replace("AWSALBTG", "AWSALB"),
                NOW
            ),
            None,
            "other kind"
        );
    }

    #[test]
    fn the_twin_wins_and_rubbish_is_ignored() {
        let one = StickyCookie::Target.set("one", NOW, 60);
        let two = StickyCookie::Target.set("two", NOW, 60);
        let header = format!("{}; {}", pair(&one[0]), pair(&two[1]));
        assert_eq!(remembered(StickyCookie::Target, &header, NOW), Some(2));
        for rubbish in [
            "AWSALB=",
            "AWSALB=zz",
            "AWSALB=%41",
            "AWSALB=ééééééééééééééééééé",
        ] {
            assert_eq!(
                remembered(StickyCookie::Target, rubbish, NOW),
                None,
                "{rubbish}"
            );
        }
    }

    #[test]
    fn dates() {
        let rows = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(http_date(Timestamp::from_millis(seconds * 1000)), expected);
        }
    }
}
