//! A run's beginning: everything about it is checked here, and its data line by line, so that what starts can go on.

use super::{
    eval::{self, Definition},
    metadata::Metadata,
    schema::Schema,
    source::{self, DataSource, Source},
};
use crate::{
    app::App,
    error::Error,
    events,
    files::{self, Ended, Known},
    keys, names,
};
use alphagate_contract::{
    id::{EvalId, FileId, OrgId, PublicationId, RunId},
    problem::Code,
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use std::{collections::BTreeSet, sync::Arc};

/// Most items of a run: with one second for each, a day on one slot.
const ITEMS_MAX: i64 = 100_000;
/// Most bytes of data that a run's JSON shows as they were sent; beyond, it names the file that they became.
const SHOWN_MAX_BYTES: usize = 64 * 1024;
/// The name of a run that was given none.
pub(super) const UNTITLED: &str = "Untitled run";

/// A run that is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    /// The eval that is executed.
    pub(crate) eval: EvalId,
    /// For people.
    pub(crate) name: String,
    /// OpenAI's `data_source`, without `model`.
    pub(crate) data_source: Value,
    /// `name@version` or `name` of the endpoint under test.
    pub(crate) model: String,
    /// What it is to decide.
    pub(crate) publication: Option<PublicationId>,
}

/// The same as a request says it.
pub(super) struct Start<'a> {
    pub(super) eval: EvalId,
    pub(super) name: &'a str,
    pub(super) metadata: Option<Metadata>,
    /// JSON whose syntax was looked at.
    pub(super) data_source: &'a str,
    /// Of a data source that names none.
    pub(super) model: Option<&'a str>,
    pub(super) publication: Option<PublicationId>,
}

/// Begins a run of an eval, in the caller's tenant transaction. What is wrong with it is told as a field of the request.
pub(crate) async fn start_run(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    new: NewRun,
) -> Result<RunId, Error> {
    let text = new.data_source.to_string();
    source::inspect(&text)?;
    let start = Start {
        eval: new.eval,
        name: &new.name,
        metadata: None,
        data_source: &text,
        model: Some(&new.model),
        publication: new.publication,
    };
    start_checked(app, db, org, start).await
}

pub(super) async fn start_checked(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    start: Start<'_>,
) -> Result<RunId, Error> {
    let definition = eval::definition(db, org, start.eval).await?.ok_or(Code::NotFound)?;
    let data = source::data_source(start.data_source, start.model)?;
    let models = models(db, org, &definition, &data).await?;
    let run = app.new_id(RunId::new);
    let (file, known) = lines(app, db, org, run, &data).await?;
    if !(1..=ITEMS_MAX).contains(&known.lines) {
        return Err(Error::field("data_source.source", format!("a run has 1 to {ITEMS_MAX} items")));
    }
    check(db, org, &definition, &data, file).await?;
    let digest = digest(start.data_source, known.digest)?;
    insert(
        db,
        org,
        run,
        &start,
        &Inserted { data: &data, definition: &definition, file, total: known.lines, digest },
    )
    .await?;
    if !models.is_empty() {
        keys::open_run_key(app, db, org, run, models).await?;
    }
    events::notify(db, events::Notice::Run(run)).await?;
    Ok(run)
}

/// The endpoints that the run asks; each has to be the org's.
async fn models(
    db: &mut PgConnection,
    org: OrgId,
    definition: &Definition,
    data: &DataSource,
) -> Result<Vec<String>, Error> {
    let judges = definition.judges().map(|model| (model, "testing_criteria"));
    let subject = data.ask.as_ref().map(|ask| (ask.model.as_str(), "data_source.model"));
    let mut models = BTreeSet::new();
    for (model, param) in subject.into_iter().chain(judges) {
        let name = model.split_once('@').map_or(model, |(name, _)| name);
        if !names::exists(db, org, name).await? {
            return Err(Error::field(param, format!("your org has no endpoint `{name}`")));
        }
        models.insert(model.to_owned());
    }
    Ok(models.into_iter().collect())
}

/// The file with the run's lines.
async fn lines(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    data: &DataSource,
) -> Result<(FileId, Known), Error> {
    match &data.source {
        Source::File(id) => {
            let known = files::find(db, org, *id).await?.ok_or_else(source::no_file)?;
            Ok((*id, known))
        }
        Source::Content(content) => {
            files::keep(app, db, org, run, source::lines(content)).await.map_err(|ended| match ended {
                Ended::Line(bad) => {
                    Error::field(format!("data_source.source.content[{}]", bad.number), bad.why)
                }
                Ended::Error(error) => error,
            })
        }
    }
}

/// Checks every item against the eval's schema, a piece of the file at a time.
async fn check(
    db: &mut PgConnection,
    org: OrgId,
    definition: &Definition,
    data: &DataSource,
    file: FileId,
) -> Result<(), Error> {
    let schema = Schema::compile(&Value::Object(definition.item_schema.clone())).map_err(Error::internal)?;
    let (schema, sampled) = (Arc::new(schema), data.ask.is_some());
    let mut from = 0;
    loop {
        let lines = files::lines(db, org, file, from, usize::MAX).await?;
        if lines.is_empty() {
            return Ok(());
        }
        let next = from + i64::try_from(lines.len()).map_err(Error::internal)?;
        let schema = schema.clone();
        let look = move || {
            let mut numbered = (from..).zip(&lines);
            numbered
                .find_map(|(number, line)| check_line(line, &schema, sampled).err().map(|bad| (number, bad)))
        };
        let bad = tokio::task::spawn_blocking(look).await.map_err(Error::internal)?;
        if let Some((number, (path, why))) = bad {
            return Err(match data.source {
                Source::File(_) => {
                    Error::field("data_source.source.id", format!("line {}: {path}: {why}", number + 1))
                }
                Source::Content(_) => {
                    Error::field(format!("data_source.source.content[{number}].{path}"), why)
                }
            });
        }
        from = next;
    }
}

fn check_line(line: &[u8], schema: &Schema, sampled: bool) -> Result<(), (String, String)> {
    let line = files::read_line(line).map_err(|why| (String::new(), why))?;
    if sampled && line.sample.is_some() {
        return Err((
            "sample".into(),
            "the run asks a model itself: leave out `model`, or the samples".into(),
        ));
    }
    let item =
        serde_json::from_str(line.item.get()).map_err(|error| ("item".to_owned(), error.to_string()))?;
    schema.check(&item)
}

/// What is written of a new run.
struct Inserted<'a> {
    data: &'a DataSource,
    definition: &'a Definition,
    file: FileId,
    total: i64,
    digest: [u8; 32],
}

async fn insert(
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    start: &Start<'_>,
    new: &Inserted<'_>,
) -> Result<(), Error> {
    let model = new.data.ask.as_ref().map_or("", |ask| &ask.model);
    let metadata = start.metadata.as_ref().map(serde_json::to_string).transpose().map_err(Error::internal)?;
    let zeros = vec![0_i64; new.definition.criteria.len()];
    sqlx::query(
        "INSERT INTO eval_runs (org_id, id, eval_id, name, metadata, model, data_source, file_id, data_digest,
            publication_id, total, grader_passed, grader_failed, grader_errored, grader_scores)
         VALUES ($1, $2, $3, $4, $5::text::json, $6, $7::text::json, $8, $9, $10, $11, $12, $12, $12, $13)",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(start.eval.uuid())
    .bind(start.name)
    .bind(metadata)
    .bind(model)
    .bind(shown(start.data_source, new)?)
    .bind(new.file.uuid())
    .bind(new.digest)
    .bind(start.publication.map(PublicationId::uuid))
    .bind(new.total)
    .bind(zeros)
    .bind(vec![0.0_f64; new.definition.criteria.len()])
    .execute(&mut *db)
    .await?;
    sqlx::query("INSERT INTO eval_run_feeds (org_id, run_id, file_id) VALUES ($1, $2, $3)")
        .bind(org.uuid())
        .bind(run.uuid())
        .bind(new.file.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// The data source as the run shows it and the driver reads it: with the model in it, and without data by the megabyte.
fn shown(text: &str, new: &Inserted<'_>) -> Result<String, Error> {
    let large = matches!(new.data.source, Source::Content(_)) && text.len() > SHOWN_MAX_BYTES;
    let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(Error::internal)?;
    if large {
        fields.insert("source".into(), serde_json::json!({"type": "file_id", "id": new.file}));
    }
    if let Some(ask) = &new.data.ask {
        fields.insert("model".into(), ask.model.clone().into());
    }
    serde_json::to_string(&fields).map_err(Error::internal)
}

/// SHA-256 of what is asked: of the lines, and of how the subject is asked about them; not of who it is.
fn digest(text: &str, lines: [u8; 32]) -> Result<[u8; 32], Error> {
    let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(Error::internal)?;
    fields.remove("source");
    fields.remove("model");
    let how = serde_json::to_string(&fields).map_err(Error::internal)?;
    Ok(Sha256::new().chain_update(lines).chain_update(how).finalize().into())
}

/// SHA-256 of what a data source asks: of its file's content or the lines that it brings, and of how the subject is asked
/// about them. Two runs with the same digest ask the same.
pub(crate) async fn data_digest(
    db: &mut PgConnection,
    org: OrgId,
    data_source: &Value,
) -> Result<[u8; 32], Error> {
    let text = data_source.to_string();
    source::inspect(&text)?;
    // A subject that is not named yet is any.
    let data = source::data_source(&text, Some("any"))?;
    let lines = match &data.source {
        Source::File(id) => files::find(db, org, *id).await?.ok_or_else(source::no_file)?,
        Source::Content(content) => files::digest(source::lines(content))
            .map_err(|bad| Error::field(format!("data_source.source.content[{}]", bad.number), bad.why))?,
    };
    digest(&text, lines.digest)
}
