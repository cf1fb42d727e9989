//! As much of S3 as it takes to give ELB a CA bundle: buckets and whole objects.
//!
//! In: a [`Request`] and the time. Out: a [`Response`] or S3's refusal. Always: an object is read as it
//! was last written; there are no versions, no policies and no parts.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::world::WorldError;
use crate::{ApiError, Emulator, Timestamp};

/// All buckets of the account.
#[derive(Debug, Clone, Default)]
pub struct State {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub bytes: Vec<u8>,
    /// As it was written; S3's default if it was written without.
    pub content_type: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Changes with the content. S3 leaves open how it is made.
    pub etag: String,
}

/// What S3 is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `PUT /BUCKET`
    CreateBucket {
        /// The bucket.
        bucket: String,
    },
    /// `HEAD /BUCKET`
    HeadBucket {
        /// The bucket.
        bucket: String,
    },
    /// `DELETE /BUCKET`
    DeleteBucket {
        /// The bucket.
        bucket: String,
    },
    /// `PUT /BUCKET/KEY`
    PutObject {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The content.
        bytes: Vec<u8>,
        /// Its type.
        content_type: Option<String>,
    },
    /// `GET /BUCKET/KEY`, and `HEAD`.
    GetObject {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// `DELETE /BUCKET/KEY`
    DeleteObject {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
}

/// What S3 answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// It is done.
    Done,
    /// An object was written.
    Written {
        /// The new object's.
        etag: String,
    },
    /// An object.
    Object(Object),
}

impl Request {
    /// AWS's name of the operation.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::CreateBucket { .. } => "CreateBucket",
            Self::HeadBucket { .. } => "HeadBucket",
            Self::DeleteBucket { .. } => "DeleteBucket",
            Self::PutObject { .. } => "PutObject",
            Self::GetObject { .. } => "GetObject",
            Self::DeleteObject { .. } => "DeleteObject",
        }
    }
}

impl Emulator {
    /// Answers one request to S3.
    pub fn s3(&mut self, now: Timestamp, request: Request) -> Result<Response, ApiError> {
        let state = &mut self.s3;
        match request {
            Request::CreateBucket { bucket } => {
                check_name(&bucket)?;
                // That a bucket of one's own may be created again is us-east-1's alone.
                if state.buckets.contains_key(&bucket) && self.config.region != "us-east-1" {
                    let message = "Your previous request to create the named bucket succeeded and \
                                   you already own it.";
                    let error = ApiError::sender("BucketAlreadyOwnedByYou", message);
                    return Err(error.with_status(409));
                }
                state.buckets.entry(bucket).or_default();
                Ok(Response::Done)
            }
            Request::HeadBucket { bucket } => state.objects(&bucket).map(|_| Response::Done),
            Request::DeleteBucket { bucket } => {
                if !state.objects(&bucket)?.is_empty() {
                    let message = "The bucket you tried to delete is not empty";
                    return Err(ApiError::sender("BucketNotEmpty", message).with_status(409));
                }
                state.buckets.remove(&bucket);
                Ok(Response::Done)
            }
            Request::PutObject {
                bucket,
                key,
                bytes,
                content_type,
            } => {
                let etag = hex::encode(&Sha256::digest(&bytes)[..16]);
                let object = Object {
                    bytes,
                    content_type: content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()),
                    modified: now,
                    etag: etag.clone(),
                };
                state.objects(&bucket)?.insert(key, object);
                Ok(Response::Written { etag })
            }
            Request::GetObject { bucket, key } => {
                let object = state.objects(&bucket)?.get(&key).cloned();
                object.map(Response::Object).ok_or_else(no_such_key)
            }
            // Success also where there is nothing.
            Request::DeleteObject { bucket, key } => {
                state.objects(&bucket)?.remove(&key);
                Ok(Response::Done)
            }
        }
    }
}

impl State {
    /// The content of an object.
    pub(crate) fn read(&self, bucket: &str, key: &str) -> Option<&[u8]> {
        let object = self.buckets.get(bucket)?.get(key)?;
        Some(&object.bytes)
    }

    /// A bucket that is there from the beginning.
    pub(crate) fn add_bucket(&mut self, name: &str) -> Result<(), WorldError> {
        if self.buckets.contains_key(name) {
            return Err(WorldError::Exists(name.to_owned()));
        }
        check_name(name).map_err(|_| WorldError::BucketName(name.to_owned()))?;
        self.buckets.insert(name.to_owned(), BTreeMap::new());
        Ok(())
    }

    fn objects(&mut self, bucket: &str) -> Result<&mut BTreeMap<String, Object>, ApiError> {
        self.buckets.get_mut(bucket).ok_or_else(|| {
            ApiError::sender("NoSuchBucket", "The specified bucket does not exist").with_status(404)
        })
    }
}

fn no_such_key() -> ApiError {
    ApiError::sender("NoSuchKey", "The specified key does not exist.").with_status(404)
}

/// "General purpose bucket naming rules" of S3's user guide, its first three rules.
fn check_name(bucket: &str) -> Result<(), ApiError> {
    let is_edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut bytes = bucket.bytes();
    let fine = (3..=63).contains(&bucket.len())
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        && is_edge(bucket.bytes().next())
        && is_edge(bucket.bytes().next_back());
    if fine {
        Ok(())
    } else {
        let message = "The specified bucket is not valid.";
        Err(ApiError::sender("InvalidBucketName", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn told(result: Result<Response, ApiError>) -> String {
        match result {
            Ok(Response::Done) => "done".to_owned(),
            Ok(Response::Written { .. }) => "written".to_owned(),
            Ok(Response::Object(object)) => String::from_utf8(object.bytes).unwrap(),
            Err(error) => format!("{} {}", error.status, error.code),
        }
    }

    #[test]
    fn objects_come_and_go() {
        let mut emulator = Emulator::new(Config {
            region: "eu-west-1".into(),
            ..Config::default()
        });
        let mut ask = |request| told(emulator.s3(Timestamp::from_millis(5), request));
        let bucket = || "ca-bundles".to_owned();
        let key = || "web/ca.pem".to_owned();
        let put = |text: &str| Request::PutObject {
            bucket: bucket(),
            key: key(),
            bytes: text.into(),
            content_type: None,
        };
        let get = || Request::GetObject {
            bucket: bucket(),
            key: key(),
        };
        let delete = || Request::DeleteObject {
            bucket: bucket(),
            key: key(),
        };
        let create = |name: &str| Request::CreateBucket {
            bucket: name.to_owned(),
        };
        let remove = || Request::DeleteBucket { bucket: bucket() };
        let rows = [
            (put("a"), "404 NoSuchBucket"),
            (create("No"), "400 InvalidBucketName"),
            (create("-no"), "400 InvalidBucketName"),
            (create("ca-bundles"), "done"),
            (create("ca-bundles"), "409 BucketAlreadyOwnedByYou"),
            (get(), "404 NoSuchKey"),
            (put("a"), "written"),
            (put("b"), "written"),
            (get(), "b"),
            (remove(), "409 BucketNotEmpty"),
            (delete(), "done"),
            (delete(), "done"),
            (get(), "404 NoSuchKey"),
            (remove(), "done"),
            (Request::HeadBucket { bucket: bucket() }, "404 NoSuchBucket"),
        ];
        for (index, (request, expected)) in rows.into_iter().enumerate() {
            let name = request.operation();
            assert_eq!(ask(request), expected, "row {index}: {name}");
        }
    }
}
