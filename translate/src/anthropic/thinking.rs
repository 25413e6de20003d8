//! How thoughts are asked for: `reasoning.effort` and `reasoning.summary` as `thinking` and `output_config.effort`.
//!
//! Claude 4.6 and later think adaptively, and are told how hard by `output_config.effort`; Claude 4.5 and earlier think
//! within `budget_tokens` only, and each refuses the other's form
//! (<https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting>). So the form follows the version in the
//! model's name; a name without one is taken for a new model.
//!
//! | asked | new models | Claude 4.5 and earlier |
//! | --- | --- | --- |
//! | neither effort nor summary | nothing: the model's default | nothing: no thoughts |
//! | effort `none` | `disabled` | `disabled` |
//! | effort `minimal` | effort `low`, the least there is | a budget of a tenth of `max_tokens` |
//! | effort `low`, `medium`, `high`, `xhigh` | the same | 2, 5, 8, 9 tenths |
//! | a summary | `display: summarized` | always summarized |
//!
//! Invariant: a budget is at least the API's least, and less than `max_tokens`.

use crate::{
    call::Refusal,
    request::{Request, ToolChoice},
};
use serde_json::{Value, json};

/// Least tokens of a budget, <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>.
const BUDGET_MIN_TOKENS: u64 = 1_024;

/// Least `top_p` while the model thinks; same page, "Feature compatibility".
const TOP_P_MIN_THINKING: f64 = 0.95;

/// The last version that knows budgets only.
const LAST_WITH_BUDGETS_ONLY: (u32, u32) = (4, 5);

/// Of a budget without an effort: the protocol's default effort is `medium`.
const TENTHS_DEFAULT: u64 = 5;

/// What is sent about thoughts.
pub(super) struct Thoughts {
    /// `thinking`.
    pub(super) thinking: Option<Value>,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// The caller asks for thoughts, which the API does not combine with everything.
    asked: bool,
}

/// What the caller's effort and summary mean, for an answer of at most `max_tokens`.
pub(super) fn thoughts(request: &Request, max_tokens: u64) -> Result<Thoughts, Refusal> {
    let summary = wants_summary(request.summary.as_deref())?;
    let effort = request.effort.as_deref().map(effort).transpose()?;
    Ok(match effort {
        None if !summary => Thoughts { thinking: None, effort: None, asked: false },
        Some(None) => Thoughts { thinking: Some(json!({"type": "disabled"})), effort: None, asked: false },
        wanted => {
            let (effort, tenths) = match wanted.flatten() {
                Some((effort, tenths)) => (Some(effort), tenths),
                None => (None, TENTHS_DEFAULT),
            };
            if has_budgets_only(&request.model) {
                let thinking = json!({"type": "enabled", "budget_tokens": budget(max_tokens, tenths)?});
                Thoughts { thinking: Some(thinking), effort: None, asked: true }
            } else {
                let thinking = if summary {
                    json!({"type": "adaptive", "display": "summarized"})
                } else {
                    json!({"type": "adaptive"})
                };
                Thoughts { thinking: Some(thinking), effort, asked: true }
            }
        }
    })
}

/// Refuses what the API does not combine with thoughts; "Feature compatibility" of
/// <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>.
pub(super) fn refuse_conflicts(
    request: &Request,
    thoughts: &Thoughts,
    ends_with_assistant: bool,
) -> Result<(), Refusal> {
    if !thoughts.asked {
        return Ok(());
    }
    // More than 1 was refused before.
    if request.temperature.is_some_and(|temperature| temperature < 1.0) {
        return Err(Refusal::unsupported("temperature", "this provider's models think with 1 only"));
    }
    if request.top_p.is_some_and(|top_p| top_p < TOP_P_MIN_THINKING) {
        return Err(Refusal::unsupported("top_p", "this provider's models think with 0.95 to 1 only"));
    }
    if request.other.get("top_k").is_some_and(|top_k| !top_k.is_null()) {
        return Err(Refusal::unsupported("top_k", "this provider's models think without it only"));
    }
    let forced = matches!(
        request.tool_choice,
        ToolChoice::Required | ToolChoice::Function(_) | ToolChoice::Allowed { required: true, .. }
    );
    if forced {
        let message =
            "this provider's models do not think before a forced call; `reasoning.effort: none` allows it";
        return Err(Refusal::unsupported("tool_choice", message));
    }
    if ends_with_assistant {
        let message = "this provider's models do not think in the middle of an answer: end with the user";
        return Err(Refusal::unsupported("input", message));
    }
    Ok(())
}

/// The API has one kind of summary: `auto` leaves the kind to the provider, and `detailed` is the fullest that it has.
fn wants_summary(summary: Option<&str>) -> Result<bool, Refusal> {
    match summary {
        None => Ok(false),
        Some("auto" | "detailed") => Ok(true),
        Some("concise") => {
            Err(Refusal::unsupported("reasoning.summary", "this provider has no concise summaries: `auto`"))
        }
        Some(_) => Err(Refusal::invalid("reasoning.summary", "must be `auto`, `concise` or `detailed`")),
    }
}

/// The API's word for an effort, and the tenths of `max_tokens` that it may think; none for no thoughts.
fn effort(effort: &str) -> Result<Option<(&'static str, u64)>, Refusal> {
    match effort {
        "none" => Ok(None),
        "minimal" => Ok(Some(("low", 1))),
        "low" => Ok(Some(("low", 2))),
        "medium" => Ok(Some(("medium", 5))),
        "high" => Ok(Some(("high", 8))),
        "xhigh" => Ok(Some(("xhigh", 9))),
        _ => Err(Refusal::invalid(
            "reasoning.effort",
            "must be `none`, `minimal`, `low`, `medium`, `high` or `xhigh`",
        )),
    }
}

fn budget(max_tokens: u64, tenths: u64) -> Result<u64, Refusal> {
    if max_tokens <= BUDGET_MIN_TOKENS {
        let message = format!("must be more than {BUDGET_MIN_TOKENS} for this model to think");
        return Err(Refusal::unsupported("max_output_tokens", message));
    }
    // The division comes first, so that nothing overflows; what it rounds off is less than a token a tenth.
    Ok((max_tokens / 10 * tenths).max(BUDGET_MIN_TOKENS))
}

/// Whether the model's name says a version that knows budgets only: `claude-sonnet-4-5-20250929`, `claude-3-7-sonnet-latest`,
/// `anthropic.claude-opus-4-20250514-v1:0`. The version is the first number of one or two digits after `claude`, and
/// the next part if it is such a number, too; dates are longer.
pub(super) fn has_budgets_only(model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    let Some((_, name)) = model.split_once("claude") else { return false };
    let mut parts = name.split(['-', '.', '@', ':', '_', '/']).map(|part| match part.len() {
        1..=2 => part.parse::<u32>().ok(),
        _ => None,
    });
    let Some(major) = parts.by_ref().find_map(|part| part) else { return false };
    let minor = parts.next().flatten().unwrap_or(0);
    (major, minor) <= LAST_WITH_BUDGETS_ONLY
}
