//! Keyset paging: a page ends in a cursor that names its last row, never in an offset.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::StoreError;

/// How many rows of a list, and after which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// 1–200, default 50.
    pub limit: u32,
    pub after: Option<Cursor>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: 50,
            after: None,
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<Cursor>,
}

/// The sort keys of a page's last row: integers and an id, no PHI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) keys: Vec<i64>,
    pub(super) id: String,
}

impl Cursor {
    /// Reads what [`Cursor::to_text`] wrote.
    ///
    /// # Errors
    /// When the text is not a cursor.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| StoreError::Cursor)?;
        let (keys, id) = serde_json::from_slice(&bytes).map_err(|_| StoreError::Cursor)?;
        Ok(Self { keys, id })
    }

    /// Opaque text for the API.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(super::row::json(&(&self.keys, &self.id)))
    }
}

impl PageRequest {
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit.clamp(1, 200)).expect("200 fits")
    }

    /// One row more than the page tells whether there is a next one.
    pub(super) fn fetch(&self) -> i64 {
        i64::from(self.limit.clamp(1, 200)) + 1
    }

    /// The cursor's parts; `None` keys where the list begins.
    pub(super) fn keys<const N: usize>(&self) -> Result<Option<([i64; N], &str)>, StoreError> {
        let Some(cursor) = &self.after else {
            return Ok(None);
        };
        let keys = <[i64; N]>::try_from(cursor.keys.as_slice()).map_err(|_| StoreError::Cursor)?;
        Ok(Some((keys, &cursor.id)))
    }

    /// Cuts the row too many and makes the next cursor of the last one kept.
    pub(super) fn cut<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> (Vec<i64>, String),
    ) -> Page<T> {
        let more = items.len() > self.limit();
        items.truncate(self.limit());
        let next = items
            .last()
            .filter(|_| more)
            .map(key)
            .map(|(keys, id)| Cursor { keys, id });
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_through_a_url() {
        let cursor = Cursor {
            keys: vec![1, -5],
            id: "a-b".to_owned(),
        };
        assert_eq!(Cursor::parse(&cursor.to_text()).expect("own text"), cursor);
        assert!(Cursor::parse("not a cursor").is_err());
    }

    #[test]
    fn a_page_says_whether_there_is_another() {
        let request = PageRequest {
            limit: 2,
            after: None,
        };
        let page = request.cut(vec!["a", "b", "c"], |id| (vec![], (*id).to_owned()));
        assert_eq!(page.items, ["a", "b"]);
        assert_eq!(page.next.expect("a third row exists").id, "b");
        assert!(
            request
                .cut(vec!["a", "b"], |id| (vec![], (*id).to_owned()))
                .next
                .is_none()
        );
    }
}
