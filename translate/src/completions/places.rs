//! Where the members of a Responses request stood in the chat request that it was made from.
//!
//! Invariant: what has no place of its own keeps its name.

/// The first that a name begins with counts; what follows is kept where the new name ends with a dot.
const RENAMED: [(&str, &str); 9] = [
    ("text.format.type", "response_format.type"),
    ("text.format.", "response_format.json_schema."),
    ("text.format", "response_format"),
    ("text.verbosity", "verbosity"),
    ("reasoning.effort", "reasoning_effort"),
    ("tool_choice.name", "tool_choice.function.name"),
    ("tool_choice.", "tool_choice.allowed_tools."),
    ("include", "logprobs"),
    ("input", "messages"),
];

/// What an item of `input` was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A message.
    Message(usize),
    /// A call in a message.
    Call(usize, usize),
    /// A message's `function_call`.
    FunctionCall(usize),
    /// A message that holds a function's output.
    Output(usize),
    /// A message's thoughts.
    Thoughts(usize),
}

/// The caller's name of a member of the Responses request.
pub fn name(param: &str, items: &[Place], limit: &str) -> String {
    if let Some((index, rest)) = numbered(param, "input[") {
        return items.get(index).map_or_else(|| "messages".to_owned(), |place| in_message(*place, rest));
    }
    if let Some((index, rest)) = numbered(param, "tools[") {
        let inside = if rest.is_empty() || rest == ".type" { "" } else { ".function" };
        return format!("tools[{index}]{inside}{rest}");
    }
    let renamed = RENAMED.iter().find_map(|(from, to)| Some((*to, param.strip_prefix(from)?)));
    match renamed {
        Some((to, rest)) if to.ends_with('.') => format!("{to}{rest}"),
        Some((to, _)) => to.to_owned(),
        None if param.starts_with("max_output_tokens") => limit.to_owned(),
        None => param.to_owned(),
    }
}

fn in_message(place: Place, rest: &str) -> String {
    match place {
        Place::Message(message) => format!("messages[{message}]{}", in_part(rest)),
        Place::Call(message, call) => {
            let rest = if rest == ".call_id" { ".id".to_owned() } else { in_function(rest) };
            format!("messages[{message}].tool_calls[{call}]{rest}")
        }
        Place::FunctionCall(message) => format!("messages[{message}].function_call{rest}"),
        Place::Output(message) => {
            let rest = rest.replacen(".call_id", ".tool_call_id", 1).replacen(".output", ".content", 1);
            format!("messages[{message}]{rest}")
        }
        Place::Thoughts(message) => format!("messages[{message}].reasoning_content"),
    }
}

fn in_function(rest: &str) -> String {
    if rest.is_empty() { String::new() } else { format!(".function{rest}") }
}

/// The members of a part lie one deeper.
fn in_part(rest: &str) -> String {
    let deeper = [
        ("].image_url", "].image_url.url"),
        ("].detail", "].image_url.detail"),
        ("].file_id", "].file.file_id"),
        ("].file_data", "].file.file_data"),
        ("].filename", "].file.filename"),
    ];
    let found = deeper.into_iter().find_map(|(from, to)| Some(format!("{}{to}", rest.strip_suffix(from)?)));
    found.unwrap_or_else(|| rest.to_owned())
}

fn numbered<'a>(param: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (number, rest) = param.strip_prefix(prefix)?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}
