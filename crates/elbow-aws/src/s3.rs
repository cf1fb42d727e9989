//! S3: the objects that bundles of trust stores travel in. In: bucket, key, content. Out: answers. Always:
//! an object is written whole, from memory.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use elbow_model::AwsAnswer;

use crate::convert::Answer;

/// What a bundle is (RFC 8555, section 9.1).
const CONTENT_TYPE: &str = "application/pem-certificate-chain";

pub(crate) async fn put(s3: &Client, bucket: &str, key: &str, content: &str) -> Answer {
    s3.put_object()
        .bucket(bucket)
        .key(key)
        .content_type(CONTENT_TYPE)
        .body(ByteStream::from(content.as_bytes().to_vec()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn delete(s3: &Client, bucket: &str, key: &str) -> Answer {
    s3.delete_object().bucket(bucket).key(key).send().await?;
    Ok(AwsAnswer::Done)
}
