//! Anything that a provider can say, in any order, for property tests.

use crate::fact::{ErrorKind, Fact, Finish, ProviderError, Usage};
use proptest::prelude::*;
use serde_json::json;

/// One thing that a provider can say.
pub(crate) fn facts() -> impl Strategy<Value = Fact> {
    let text = || prop_oneof![Just(String::new()), "[a-zé\u{1f600}\"\n]{1,6}".prop_map(|text| text)];
    let logprob = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []});
    let annotation =
        json!({"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://a", "title": "A"});
    let slot = || 0_u64..3;
    let finish = prop::sample::select(vec![Finish::Done, Finish::Length, Finish::Filter]);
    prop_oneof![
        6 => (text(), 0_usize..3).prop_map(move |(text, told)| Fact::Text { text, logprobs: vec![logprob.clone(); told] }),
        1 => Just(Fact::Annotation(annotation)),
        2 => text().prop_map(Fact::Refusal),
        3 => text().prop_map(Fact::ReasoningSummary),
        1 => Just(Fact::ReasoningSummaryEnd),
        3 => text().prop_map(Fact::ReasoningText),
        2 => text().prop_map(|text| Fact::ReasoningSealed(json!({"signature": text}))),
        2 => Just(Fact::ItemEnd),
        4 => (slot(), prop::option::of("[a-z]{0,3}"), "[a-z]{1,4}")
            .prop_map(|(slot, call_id, name)| Fact::Call { slot, call_id, name }),
        6 => (slot(), text()).prop_map(|(slot, delta)| Fact::Arguments { slot, delta }),
        2 => slot().prop_map(|slot| Fact::CallEnd { slot }),
        1 => (0_u64..100, 0_u64..100).prop_map(|(input_tokens, output_tokens)| {
            Fact::Usage(Usage { input_tokens, output_tokens, ..Usage::default() })
        }),
        1 => finish.prop_map(Fact::Finished),
        1 => text().prop_map(|message| {
            Fact::Failed(ProviderError { kind: ErrorKind::Server, code: None, message })
        }),
    ]
}
