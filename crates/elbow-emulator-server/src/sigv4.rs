//! Signature Version 4, looked at for form: that a request is signed, for which service and region.
//!
//! In: the request's headers. Out: the credential scope, or AWS's refusal. Always: the signature
//! itself is not verified, since there are no secrets here to verify it with.

use elbow_emulator::ApiError;
use http::HeaderMap;

/// What a signature says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) region: String,
    pub(crate) service: String,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Reads the `Authorization` header:
/// `AWS4-HMAC-SHA256 Credential=AKID/20260301/eu-west-1/ec2/aws4_request, SignedHeaders=a;b, Signature=hex`.
pub(crate) fn scope(headers: &HeaderMap) -> Result<Scope, ApiError> {
    let Some(header) = headers.get(http::header::AUTHORIZATION) else {
        let message = "Request is missing Authentication Token";
        return Err(ApiError::sender("MissingAuthenticationToken", message).with_status(403));
    };
    let incomplete = |message: String| ApiError::sender("IncompleteSignature", message);
    let text = header.to_str().unwrap_or_default();
    let Some(parameters) = text.strip_prefix(ALGORITHM) else {
        let scheme = text.split_whitespace().next().unwrap_or_default();
        return Err(incomplete(format!(
            "Unsupported AWS 'algorithm': '{scheme}'."
        )));
    };
    let parameter = |name: &str| {
        let mut parts = parameters
            .split(',')
            .filter_map(|part| part.trim().split_once('='));
        parts.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let missing: Vec<String> = ["Credential", "SignedHeaders", "Signature"]
        .into_iter()
        .filter(|name| parameter(name).is_none_or(str::is_empty))
        .map(|name| format!("Authorization header requires '{name}' parameter."))
        .collect();
    if !missing.is_empty() {
        return Err(incomplete(missing.join(" ")));
    }
    if !headers.contains_key("x-amz-date") && !headers.contains_key(http::header::DATE) {
        let message = "Authorization header requires existence of either a 'X-Amz-Date' or a \
                       'Date' header.";
        return Err(incomplete(message.into()));
    }
    let credential = parameter("Credential").unwrap_or_default();
    // Access key ids may not contain slashes, so the scope is the last four parts.
    let parts: Vec<&str> = credential.split('/').collect();
    let [_, date, region, service, "aws4_request"] = parts.as_slice() else {
        let message = "Credential must have exactly 5 slash-delimited elements, e.g. \
                       keyid/date/region/service/term";
        return Err(incomplete(format!("{message}, got '{credential}'.")));
    };
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(incomplete(format!(
            "Date in Credential scope must be YYYYMMDD, got '{date}'."
        )));
    }
    Ok(Scope {
        region: (*region).to_owned(),
        service: (*service).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_the_form() {
        let good = "AWS4-HMAC-SHA256 Credential=AK/20260301/eu-west-1/ec2/aws4_request, \
                    SignedHeaders=host, Signature=00";
        let rows = [
            (Some(good), "eu-west-1 ec2"),
            (None, "MissingAuthenticationToken"),
            (Some("Bearer token"), "IncompleteSignature"),
            (
                Some("AWS4-HMAC-SHA256 Credential=AK"),
                "IncompleteSignature",
            ),
            (
                Some("AWS4-HMAC-SHA256 Credential=AK/ec2, SignedHeaders=host, Signature=00"),
                "IncompleteSignature",
            ),
        ];
        for (header, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-date", "20260301T000000Z".parse().unwrap());
            if let Some(header) = header {
                headers.insert(http::header::AUTHORIZATION, header.parse().unwrap());
            }
            let got = match scope(&headers) {
                Ok(scope) => format!("{} {}", scope.region, scope.service),
                Err(error) => error.code,
            };
            assert_eq!(got, expected, "{header:?}");
        }
    }
}
