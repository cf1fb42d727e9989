//! Pages of a listing, as every paginated Describe of ELBv2 makes them.
//!
//! Comes in: the whole listing in ascending order of its keys, the marker and the page size of the
//! request. Goes out: one page and the marker of the next. A marker is the last key of its page,
//! in hexadecimal: a listing that changes between two pages neither repeats nor skips what stayed.

use super::error;
use crate::error::ApiError;

/// Items of a page when the request does not say. AWS documents only that a request may ask for up
/// to 400; that this is the default too is undocumented.
const PAGE_SIZE_DEFAULT: usize = 400;

/// One page and the marker of the next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_marker: Option<String>,
}

/// Cuts the page out of `items`, which are in strictly ascending order of `key`.
pub(super) fn cut<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    marker: Option<&str>,
    size: Option<i32>,
) -> Result<Page<T>, ApiError> {
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(PAGE_SIZE_DEFAULT);
    let after = marker.map(decode).transpose()?;
    let mut rest = items
        .into_iter()
        .skip_while(|item| after.as_ref().is_some_and(|after| key(item) <= *after))
        .peekable();
    let page: Vec<T> = rest.by_ref().take(size).collect();
    let next_marker = match (rest.peek(), page.last()) {
        (Some(_), Some(last)) => Some(hex::encode(key(last))),
        _ => None,
    };
    Ok(Page {
        items: page,
        next_marker,
    })
}

fn decode(marker: &str) -> Result<String, ApiError> {
    let bytes = hex::decode(marker).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            // Undocumented text.
            error::validation(format!("Marker '{marker}' is not valid"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(size: i32) -> Vec<Vec<u8>> {
        let (mut pages, mut marker) = (Vec::new(), None);
        loop {
            let items: Vec<u8> = (b'a'..=b'g').collect();
            let page = cut(
                items,
                |i| char::from(*i).to_string(),
                marker.as_deref(),
                Some(size),
            );
            let page = page.unwrap();
            pages.push(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn covers_everything_once() {
        for size in [1, 2, 3, 7, 400] {
            assert_eq!(
                pages(size).concat(),
                b"abcdefg".to_vec(),
                "page size {size}"
            );
        }
        assert_eq!(pages(3).len(), 3);
        assert_eq!(pages(7).len(), 1);
    }

    #[test]
    fn refuses_a_made_up_marker() {
        let refusal = cut(vec![1], ToString::to_string, Some("next"), None).unwrap_err();
        assert_eq!(refusal.code, "ValidationError");
    }
}
