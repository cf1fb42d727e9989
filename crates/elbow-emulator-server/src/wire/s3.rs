//! S3's REST protocol, path style: `/BUCKET` and `/BUCKET/KEY`.
//!
//! In: requests that are signed for `s3`. Out: responses, errors as S3's XML. Always: what is asked for
//! beyond whole objects (parts, versions, policies, listings) is refused by name.

use std::time::{Duration, UNIX_EPOCH};

use elbow_emulator::ApiError;
use elbow_emulator::s3;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use percent_encoding::percent_decode_str;
use quick_xml::escape::escape;

use crate::shared::SharedEmulator;

/// Bytes of an object. A CA bundle has 25 certificates of 16 KiB at most.
const OBJECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What came of a request, for the call log.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) operation: Option<&'static str>,
    pub(super) resource: Option<String>,
    pub(super) error: Option<String>,
}

/// Answers one request.
pub(super) async fn answer(
    shared: &SharedEmulator,
    request: Request<Incoming>,
    id: &str,
) -> (Response<Full<Bytes>>, Told) {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let mut told = Told {
        resource: Some(head.uri.path().trim_matches('/').to_owned()),
        ..Told::default()
    };
    let read = match Limited::new(body, OBJECT_BYTES_MAX).collect().await {
        Ok(body) => read(&head, &body.to_bytes()),
        Err(_) => Err(ApiError::sender(
            "EntityTooLarge",
            format!("This emulator takes objects of up to {OBJECT_BYTES_MAX} bytes"),
        )),
    };
    let result = read.and_then(|request| {
        told.operation = Some(request.operation());
        shared.with(|emulator, now| emulator.s3(now, request))
    });
    let mut response = match result {
        Ok(answer) => success(&head, answer),
        Err(error) => {
            told.error = Some(error.code.clone());
            refusal(&error, id)
        }
    };
    if is_head {
        *response.body_mut() = Full::default();
    }
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    (response, told)
}

/// The request that method and path make.
fn read(head: &Parts, body: &Bytes) -> Result<s3::Request, ApiError> {
    let path = percent_decode_str(head.uri.path().trim_start_matches('/'));
    let path = path.decode_utf8_lossy();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    // SDKs name the operation in the query; everything else there asks for something else.
    let extra = head.uri.query().unwrap_or_default().split('&');
    let extra: Vec<&str> = extra
        .filter(|part| !part.is_empty() && !part.starts_with("x-id="))
        .collect();
    let request = match (&head.method, key.is_empty()) {
        _ if bucket.is_empty() || !extra.is_empty() => None,
        (&Method::PUT, true) => Some(s3::Request::CreateBucket { bucket }),
        (&Method::HEAD, true) => Some(s3::Request::HeadBucket { bucket }),
        (&Method::DELETE, true) => Some(s3::Request::DeleteBucket { bucket }),
        (&Method::PUT, false) if !head.headers.contains_key("x-amz-copy-source") => {
            let content_type = head.headers.get(header::CONTENT_TYPE);
            Some(s3::Request::PutObject {
                bucket,
                key,
                bytes: content(&head.headers, body)?,
                content_type: content_type
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned),
            })
        }
        (&Method::GET | &Method::HEAD, false) if !head.headers.contains_key(header::RANGE) => {
            Some(s3::Request::GetObject { bucket, key })
        }
        (&Method::DELETE, false) => Some(s3::Request::DeleteObject { bucket, key }),
        _ => None,
    };
    request.ok_or_else(|| {
        let message = format!(
            "{} {} is not modelled by this emulator",
            head.method, head.uri
        );
        ApiError::sender("NotImplemented", message).with_status(501)
    })
}

/// The content of an object: the body, or what is in its chunks.
fn content(headers: &HeaderMap, body: &Bytes) -> Result<Vec<u8>, ApiError> {
    let says = |name: &str, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.contains(word))
    };
    if says("content-encoding", "aws-chunked") || says("x-amz-content-sha256", "STREAMING-") {
        let malformed = || ApiError::sender("IncompleteBody", "The chunks cannot be read.");
        return dechunk(body).ok_or_else(malformed);
    }
    Ok(body.to_vec())
}

/// `SIZE[;chunk-signature=…]` in hexadecimal, the bytes, and so on until a chunk of none; checksums may
/// follow ("Signature calculations for the authorization header: transferring payload in multiple
/// chunks").
fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = line.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn success(head: &Parts, answer: s3::Response) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    match answer {
        s3::Response::Done => {
            if head.method == Method::DELETE {
                *response.status_mut() = StatusCode::NO_CONTENT;
            } else if head.method == Method::PUT {
                set(&mut response, header::LOCATION, head.uri.path());
            }
        }
        s3::Response::Written { etag } => {
            set(&mut response, header::ETAG, &format!("\"{etag}\""));
        }
        s3::Response::Object(object) => {
            set(&mut response, header::ETAG, &format!("\"{}\"", object.etag));
            set(&mut response, header::CONTENT_TYPE, &object.content_type);
            let modified = UNIX_EPOCH + Duration::from_millis(object.modified.as_millis());
            let modified = httpdate::fmt_http_date(modified);
            set(&mut response, header::LAST_MODIFIED, &modified);
            set(
                &mut response,
                header::CONTENT_LENGTH,
                &object.bytes.len().to_string(),
            );
            *response.body_mut() = Full::new(object.bytes.into());
        }
    }
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn refusal(error: &ApiError, id: &str) -> Response<Full<Bytes>> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <RequestId>{}</RequestId></Error>",
        escape(error.code.as_str()),
        escape(error.message.as_str()),
        escape(id)
    );
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    set(&mut response, header::CONTENT_TYPE, "application/xml");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> String {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = request.body(Bytes::from(body)).unwrap().into_parts();
        match read(&head, &body) {
            Ok(s3::Request::PutObject {
                bucket, key, bytes, ..
            }) => format!("{bucket} {key} {}", String::from_utf8(bytes).unwrap()),
            Ok(request) => request.operation().to_owned(),
            Err(error) => error.code,
        }
    }

    /// Method, path, headers, body, and the operation or refusal.
    type Row<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        &'static str,
        &'a str,
    );

    #[test]
    fn method_and_path_make_the_operation() {
        let streamed = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")];
        let chunks =
            "3\r\nabc\r\n2;chunk-signature=00\r\nde\r\n0\r\nx-amz-checksum-crc32:x\r\n\r\n";
        let copied = [("x-amz-copy-source", "other/key")];
        let part = [("range", "bytes=0-1")];
        let rows: [Row<'_>; 12] = [
            ("PUT", "/bucket", &[], "", "CreateBucket"),
            ("PUT", "/bucket/", &[], "", "CreateBucket"),
            (
                "PUT",
                "/bucket/a/b%20c?x-id=PutObject",
                &[],
                "abc",
                "bucket a/b c abc",
            ),
            ("PUT", "/bucket/key", &streamed, chunks, "bucket key abcde"),
            ("PUT", "/bucket/key", &streamed, "3\r\nab", "IncompleteBody"),
            ("PUT", "/bucket/key", &copied, "", "NotImplemented"),
            ("GET", "/bucket/key", &[], "", "GetObject"),
            ("HEAD", "/bucket/key", &[], "", "GetObject"),
            ("GET", "/bucket/key", &part, "", "NotImplemented"),
            ("GET", "/bucket?list-type=2", &[], "", "NotImplemented"),
            ("GET", "/", &[], "", "NotImplemented"),
            ("DELETE", "/bucket/key", &[], "", "DeleteObject"),
        ];
        for (method, uri, headers, body, expected) in rows {
            assert_eq!(
                asked(method, uri, headers, body),
                expected,
                "{method} {uri}"
            );
        }
    }
}
