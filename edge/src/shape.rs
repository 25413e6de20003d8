//! What a version lets a request look like: its fields, the size of its input, its images and tools.
//!
//! Pure. Invariant: what is refused is named by its path, and nothing was reserved for it.

use crate::{images, json_splice::Members};
use alphagate_contract::{
    endpoint::{ImageKind, Shape, ToolPolicy},
    problem::{Code, Problem},
};
use serde::Deserialize;
use std::borrow::Cow;

/// Checks a request against the version's shape.
///
/// # Errors
/// 400 with the path of the first thing that is not allowed.
pub fn check(members: &Members<'_>, shape: &Shape) -> Result<(), Problem> {
    if let Some((field, _)) = members.iter().find(|(field, _)| !shape.takes(field)) {
        return Err(refuse(Code::ParameterUnsupported, field, "is not a field that this endpoint takes"));
    }
    let input = members.get("input").unwrap_or_default();
    if shape.input_max_bytes.is_some_and(|most| input.len() as u64 > most) {
        return Err(refuse(Code::ParameterInvalid, "input", "is larger than this endpoint takes"));
    }
    check_images(input, shape)?;
    match members.get("tools").filter(|text| *text != "null") {
        Some(tools) => check_tools(tools, &shape.tools),
        None => Ok(()),
    }
}

fn check_images(input: &str, shape: &Shape) -> Result<(), Problem> {
    if shape.images_max.is_none() && shape.image_kinds.is_none() || input.is_empty() {
        return Ok(());
    }
    let found =
        images::find(input).map_err(|_| refuse(Code::ParameterInvalid, "input", "is nested too deeply"))?;
    let most = shape.images_max.map_or(usize::MAX, usize::from);
    if let Some(image) = found.get(most) {
        let message = format!("is one image more than the {most} that this endpoint takes");
        return Err(refuse(Code::ParameterInvalid, &image.path, &message));
    }
    let Some(kinds) = &shape.image_kinds else { return Ok(()) };
    let other = |image: &&images::Image| image.kind.is_none_or(|kind| !kinds.contains(&kind));
    match found.iter().find(other) {
        Some(image) => {
            let names: Vec<&str> = kinds.iter().map(|kind| name(*kind)).collect();
            let message =
                format!("must be an image of a kind that this endpoint takes: {}", names.join(", "));
            Err(refuse(Code::ParameterInvalid, &image.path, &message))
        }
        None => Ok(()),
    }
}

const fn name(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Png => "png",
        ImageKind::Jpeg => "jpeg",
        ImageKind::Gif => "gif",
        ImageKind::Webp => "webp",
    }
}

fn check_tools(tools: &str, policy: &ToolPolicy) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        name: Option<Cow<'a, str>>,
    }
    let names = match policy {
        ToolPolicy::Any => return Ok(()),
        ToolPolicy::None => &[],
        ToolPolicy::Named(names) => names.as_slice(),
    };
    let tools: Vec<Tool<'_>> = serde_json::from_str(tools).map_err(|_| {
        refuse(Code::ParameterInvalid, "tools", "must be an array of objects, each with a `type`")
    })?;
    for (index, tool) in tools.iter().enumerate() {
        let named = tool.name.as_ref().is_some_and(|name| names.iter().any(|other| other == name));
        if tool.r#type != "function" || !named {
            let path = format!("tools[{index}]");
            return Err(refuse(Code::ParameterUnsupported, &path, "is not a tool that this endpoint takes"));
        }
    }
    Ok(())
}

fn refuse(code: Code, path: &str, what: &str) -> Problem {
    Problem::new(code).message(format!("`{path}` {what}.")).param(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_not_allowed_is_refused_by_its_path() {
        let image = |url: &str| json!({"type": "input_image", "image_url": url});
        let said = |parts: Value| json!({"input": [{"role": "user", "content": parts}]});
        let (png, gif) = (image("data:image/png;base64,AAAA"), image("https://x/y.GIF?z=.png"));
        let odd = image("https://x/y");
        let file = json!({"type": "input_image", "file_id": "f"});
        let tool = |name: &str| json!({"tools": [{"type": "function", "name": name}]});
        let second = Some("input[0].content[1].image_url");
        let cases = [
            (json!({"fields": ["x"]}), json!({"model": "m", "input": "i", "stream": true, "x": 1}), None),
            (json!({"fields": ["x"]}), json!({"x": 1, "top_p": 1}), Some("top_p")),
            (json!({"fields": []}), json!({"instructions": "i"}), Some("instructions")),
            (json!({"input_max_bytes": 5}), json!({"input": "abc"}), None),
            (json!({"input_max_bytes": 5}), json!({"input": "abcd"}), Some("input")),
            (json!({"images_max": 2}), said(json!([png, gif])), None),
            (json!({"images_max": 1}), said(json!([png, gif])), second),
            (json!({"images_max": 0}), said(json!([file])), Some("input[0].content[0]")),
            (json!({"image_kinds": ["png", "gif"]}), said(json!([png, gif])), None),
            (json!({"image_kinds": ["png"]}), said(json!([png, gif])), second),
            (json!({"image_kinds": ["png"]}), said(json!([png, odd])), second),
            (json!({"image_kinds": ["png"]}), said(json!([png, file])), Some("input[0].content[1]")),
            (json!({"images_max": 0}), json!({"input": "image_url"}), None),
            (json!({"tools": "none"}), json!({"tools": []}), None),
            (json!({"tools": "none"}), tool("f"), Some("tools[0]")),
            (json!({"tools": {"named": ["f"]}}), tool("f"), None),
            (json!({"tools": {"named": ["f"]}}), tool("g"), Some("tools[0]")),
            (
                json!({"tools": {"named": ["f"]}}),
                json!({"tools": [{"type": "custom", "name": "f"}]}),
                Some("tools[0]"),
            ),
        ];
        for (shape, body, path) in cases {
            let text = body.to_string();
            let members = Members::read(text.as_bytes()).unwrap();
            let refused = check(&members, &serde_json::from_value(shape.clone()).unwrap()).err();
            assert_eq!(refused.and_then(|problem| problem.param).as_deref(), path, "{shape} {text}");
        }
    }
}
