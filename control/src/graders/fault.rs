//! Why a datum could not be graded: by whose fault, under the names that OpenAI's grader runs use.
//!
//! Invariant: every fault says whether it is the user's (their grader, their data, the model they named) or the
//! platform's. A fault is never a score.

use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What went wrong: one flag of `metadata.errors` in the answer of a grader run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the API's reference.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

codes! {
    /// The formula of a `multi` grader cannot be computed.
    FormulaParse = "formula_parse_error";
    /// A template names something that the item or the sample does not have.
    InvalidVariable = "invalid_variable_error";
    /// The judge's answer is not what it was asked for.
    ModelGraderParse = "model_grader_parse_error";
    /// The judge declined.
    ModelGraderRefusal = "model_grader_refusal_error";
    /// The judge, or the embeddings endpoint, could not be asked.
    ModelGraderServer = "model_grader_server_error";
    /// Anything else.
    Other = "other_error";
    /// The user's `grade` failed, or a limit ended it.
    PythonGraderRuntime = "python_grader_runtime_error";
    /// The platform could not run it.
    PythonGraderServer = "python_grader_server_error";
    /// The sample is not the JSON that the grader wants it to be.
    SampleParse = "sample_parse_error";
    /// The sample was cut off before it could be graded.
    TruncatedObservation = "truncated_observation_error";
    /// There is no sample to be graded.
    UnresponsiveReward = "unresponsive_reward_error";
}

/// Why there is no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.as_str())]
pub struct GraderError {
    /// Under which name.
    pub code: Code,
    /// Whether the user can mend it; otherwise it is ours, and is never counted against the subject.
    pub user_fault: bool,
    /// For people. Of a python grader: the traceback.
    pub message: String,
}

impl GraderError {
    /// The user's.
    #[must_use]
    pub fn users(code: Code, message: impl Into<String>) -> Self {
        Self { code, user_fault: true, message: message.into() }
    }

    /// The platform's.
    #[must_use]
    pub fn ours(code: Code, message: impl Into<String>) -> Self {
        Self { code, user_fault: false, message: message.into() }
    }
}

/// `metadata.errors` of a grader run: every flag, and the details of those that are set.
#[must_use]
pub fn errors<'a>(found: impl IntoIterator<Item = &'a GraderError>) -> Value {
    let mut flags: Map<String, Value> =
        Code::ALL.iter().map(|code| (code.as_str().to_owned(), Value::Bool(false))).collect();
    for name in DETAILS {
        flags.insert(name.1.to_owned(), Value::Null);
    }
    for error in found {
        flags.insert(error.code.as_str().to_owned(), Value::Bool(true));
        if let Some((_, name)) = DETAILS.iter().find(|(code, _)| *code == error.code) {
            flags.insert((*name).to_owned(), Value::String(error.message.clone()));
        }
    }
    Value::Object(flags)
}

/// The codes that have a text beside their flag.
const DETAILS: [(Code, &str); 3] = [
    (Code::ModelGraderServer, "model_grader_server_error_details"),
    (Code::PythonGraderRuntime, "python_grader_runtime_error_details"),
    (Code::PythonGraderServer, "python_grader_server_error_type"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_raises_its_flag_and_no_other() {
        let error = GraderError::users(Code::PythonGraderRuntime, "line 3");
        let flags = errors([&error]);
        assert_eq!(flags["python_grader_runtime_error"], true);
        assert_eq!(flags["python_grader_runtime_error_details"], "line 3");
        assert_eq!(flags["python_grader_server_error_type"], Value::Null);
        let raised = flags.as_object().unwrap().values().filter(|flag| **flag == Value::Bool(true));
        assert_eq!(raised.count(), 1);
    }
}
