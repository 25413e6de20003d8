//! An eval: what its data look like, and its graders; and how it is read and written as OpenAI's SDKs expect it.
//!
//! Schema and criteria of an eval never change, so a run's verdict is about exactly one of them.

use super::{metadata::Metadata, schema};
use crate::{
    error::Error,
    graders::{self, Grader, Place, Scope},
};
use alphagate_contract::{
    id::{EvalId, OrgId},
    problem::{Code, Problem},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// Most graders of an eval: each may be a job for every item.
const CRITERIA_MAX: usize = 32;

/// What the data of an eval look like.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = EvalDataSourceConfig)]
pub(super) enum DataSourceConfig {
    /// By a schema.
    Custom {
        #[schema(value_type = Object)]
        item_schema: Map<String, Value>,
        #[serde(default)]
        include_sample_schema: bool,
    },
    /// By a filter over answers that were stored: we store none.
    Logs {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        metadata: Option<Map<String, Value>>,
    },
    /// The same by its older name.
    StoredCompletions {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Object>)]
        metadata: Option<Map<String, Value>>,
    },
}

/// Schema and graders, read and checked.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) item_schema: Map<String, Value>,
    pub(super) sample: bool,
    pub(super) criteria: Vec<Grader>,
}

impl Definition {
    /// Checks what somebody sends.
    pub(super) fn accept(config: DataSourceConfig, criteria: Vec<Value>) -> Result<Self, Error> {
        let DataSourceConfig::Custom { item_schema, include_sample_schema: sample } = config else {
            let message = "Past responses are not stored here, so an eval cannot be made of them: use `custom`, with the \
                schema of your items.";
            let problem = Problem::new(Code::ParameterUnsupported).param("data_source_config.type");
            return Err(problem.message(message).into());
        };
        schema::accept(&item_schema, "data_source_config.item_schema")?;
        if !(1..=CRITERIA_MAX).contains(&criteria.len()) {
            return Err(Error::field("testing_criteria", format!("there are 1 to {CRITERIA_MAX} graders")));
        }
        let item_schema = Value::Object(item_schema);
        let scope = Scope { place: Place::Eval, item_schema: Some(&item_schema), sample: true };
        let mut names = HashSet::new();
        let mut graders = Vec::new();
        for (at, criterion) in criteria.into_iter().enumerate() {
            let param = format!("testing_criteria[{at}]");
            let grader = read_grader(criterion, &scope, &param)?;
            if !names.insert(grader.name().to_owned()) {
                return Err(Error::field(format!("{param}.name"), "each grader has a name of its own"));
            }
            graders.push(grader);
        }
        let Value::Object(item_schema) = item_schema else {
            return Err(Error::internal("a schema is an object"));
        };
        Ok(Self { item_schema, sample, criteria: graders })
    }

    /// Reads what was stored.
    pub(super) fn stored(config: &str, criteria: &str) -> Result<Self, Error> {
        let DataSourceConfig::Custom { item_schema, include_sample_schema: sample } =
            serde_json::from_str(config).map_err(Error::internal)?
        else {
            return Err(Error::internal("an eval without a schema was stored"));
        };
        let criteria = serde_json::from_str(criteria).map_err(Error::internal)?;
        Ok(Self { item_schema, sample, criteria })
    }

    /// The endpoints that its graders ask.
    pub(super) fn judges(&self) -> impl Iterator<Item = &str> {
        self.criteria.iter().flat_map(Grader::models)
    }

    pub(super) fn config(&self) -> DataSourceConfig {
        DataSourceConfig::Custom { item_schema: self.item_schema.clone(), include_sample_schema: self.sample }
    }
}

/// Reads and checks a grader; what is wrong is told below `param`.
pub(super) fn read_grader(value: Value, scope: &Scope<'_>, param: &str) -> Result<Grader, Error> {
    let refuse = |refusal: graders::Refusal| {
        let refusal = refusal.under(param);
        Error::field(refusal.param, refusal.message)
    };
    let grader = graders::read(value).map_err(refuse)?;
    graders::validate(&grader, scope).map_err(refuse)?;
    Ok(grader)
}

/// An eval as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Eval {
    pub(super) id: EvalId,
    object: &'static str,
    name: String,
    created_at: i64,
    #[schema(value_type = Object)]
    data_source_config: Value,
    testing_criteria: Vec<Grader>,
    metadata: Option<Metadata>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    name: String,
    metadata: Option<String>,
    config: String,
    criteria: String,
    created_at: DateTime<Utc>,
}

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "id, name, metadata::text AS metadata, data_source_config::text AS config, testing_criteria::text AS criteria, created_at"
    };
}
pub(super) use columns;

impl TryFrom<Row> for Eval {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let definition = Definition::stored(&row.config, &row.criteria)?;
        let schema = schema::of_line(&definition.item_schema, definition.sample);
        let metadata = row.metadata.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            id: EvalId::from_uuid(row.id),
            object: "eval",
            name: row.name,
            created_at: row.created_at.timestamp(),
            data_source_config: json!({"type": "custom", "schema": schema}),
            testing_criteria: definition.criteria,
            metadata: metadata.map_err(Error::internal)?,
        })
    }
}

/// Reads what an eval is made of; it stays until the transaction ends.
pub(super) async fn definition(
    db: &mut PgConnection,
    org: OrgId,
    eval: EvalId,
) -> Result<Option<Definition>, Error> {
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT data_source_config::text, testing_criteria::text FROM evals WHERE org_id = $1 AND id = $2
         FOR KEY SHARE",
    )
    .bind(org.uuid())
    .bind(eval.uuid())
    .fetch_optional(db)
    .await?;
    found.map(|(config, criteria)| Definition::stored(&config, &criteria)).transpose()
}

/// Whether the org has it, and if not, the answer.
pub(super) async fn must_exist(db: &mut PgConnection, org: OrgId, eval: EvalId) -> Result<(), Error> {
    super::revision(db, org, eval).await?.map(drop).ok_or_else(|| Code::NotFound.into())
}
