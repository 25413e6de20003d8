//! The images in a request's `input`, with their places and kinds, found in one pass without building a tree.
//!
//! Invariant: an image is found at any depth. Its kind is what its `data:` URL or the end of its URL's path says; nothing is
//! fetched, so what says nothing, a file id too, is of no known kind.

use alphagate_contract::endpoint::ImageKind;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// An image.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// Where it is, as `input[0].content[1].image_url`.
    pub path: String,
    /// What it is, as far as that is said.
    pub kind: Option<ImageKind>,
}

/// The images of an `input`, in their order.
///
/// # Errors
/// When the text is nested too deeply (128 levels) or is not JSON.
pub fn find(input: &str) -> Result<Vec<Image>, serde_json::Error> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(input);
    Walk { found: &mut found, path: "input".into(), is_image: false }.deserialize(&mut deserializer)?;
    Ok(found)
}

fn kind_of(url: &str) -> Option<ImageKind> {
    let word = match url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        Some(_) => {
            url.get(5..)?.split([';', ',']).next()?.to_ascii_lowercase().strip_prefix("image/")?.to_owned()
        }
        None => {
            let path = url.split(['?', '#']).next()?;
            path.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase()
        }
    };
    match word.as_str() {
        "png" => Some(ImageKind::Png),
        "jpeg" | "jpg" => Some(ImageKind::Jpeg),
        "gif" => Some(ImageKind::Gif),
        "webp" => Some(ImageKind::Webp),
        _ => None,
    }
}

struct Walk<'f> {
    found: &'f mut Vec<Image>,
    path: String,
    /// Whether the value is that of `image_url`.
    is_image: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.is_image {
            self.found.push(Image { path: self.path, kind: kind_of(text) });
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let before = self.found.len();
        let mut typed = false;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "type" {
                let kind = map.next_value::<Kind>()?;
                typed |= kind.0;
                continue;
            }
            // Chat completions have an object with a `url` there.
            let is_image = name == "image_url" || self.is_image && name == "url";
            let path = format!("{}.{name}", self.path);
            map.next_value_seed(Walk { found: &mut *self.found, path, is_image })?;
        }
        if typed && self.found.len() == before {
            self.found.push(Image { path: self.path, kind: None });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let path = format!("{}[{index}]", self.path);
            if items.next_element_seed(Walk { found: &mut *self.found, path, is_image: false })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a `type` is that of an image.
struct Kind(bool);

impl<'de> serde::Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Other(IgnoredAny),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self(text == "input_image"),
            Either::Other(_) => Self(false),
        })
    }
}
