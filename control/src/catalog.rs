//! `GET /v1/catalog`: public, live endpoints of every org, for any org to install. Found by words and tags.
//!
//! Reads the view `catalog` with the system role; nothing of a private, withdrawn or unpublished endpoint is in it, nor
//! any endpoint's configuration. A search is for words that begin so: of a name, a description, or the publisher's name.

use crate::{
    app::App,
    body::from_word,
    endpoints::{Terms, is_tag},
    error::{Answer, Error},
    pagination::{List, Page},
    params::Query,
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    problem::{Code, Problem},
    quota::Limit,
    usage::Payer,
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list))]
pub(crate) struct Docs;

/// Longest search text, in bytes.
const SEARCH_MAX_BYTES: usize = 200;

/// The query.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CatalogQuery {
    /// Words, or their beginnings, in any case: all of them in a name and description, or in the publisher's name.
    q: Option<String>,
    /// Only endpoints with this tag.
    #[param(example = "vision")]
    tag: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Publisher {
    id: OrgId,
    name: String,
}

/// An endpoint that can be installed.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CatalogItem)]
pub(crate) struct Item {
    endpoint: EndpointId,
    publisher: Publisher,
    name: String,
    description: String,
    tags: Vec<String>,
    version: u32,
    installs: Terms,
    /// Where an installer who pays needs a credential for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credential_origins: Vec<String>,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    publisher_id: Uuid,
    publisher_name: String,
    name: String,
    description: String,
    tags: Vec<String>,
    payer: String,
    limits: sqlx::types::Json<Vec<Limit>>,
    live_version: i32,
    origins: Vec<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Item {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let payer = from_word(&row.payer)?;
        Ok(Self {
            endpoint: EndpointId::from_uuid(row.id),
            publisher: Publisher { id: OrgId::from_uuid(row.publisher_id), name: row.publisher_name },
            name: row.name,
            description: row.description,
            tags: row.tags,
            version: u32::try_from(row.live_version).map_err(Error::internal)?,
            credential_origins: if payer == Payer::Installer { row.origins } else { Vec::new() },
            installs: Terms { payer, limits: row.limits.0 },
            created_at: row.created_at,
        })
    }
}

/// Lists public, live endpoints of every org, newest first.
#[utoipa::path(
    get,
    path = "/v1/catalog",
    params(CatalogQuery),
    responses((status = 200, body = Page<Item>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<CatalogQuery>,
) -> Answer<Json<Page<Item>>> {
    let search = query.q.unwrap_or_default();
    if search.len() > SEARCH_MAX_BYTES {
        let problem = Problem::new(Code::ParameterInvalid).param("q");
        return Err(problem.message(format!("`q` must have at most {SEARCH_MAX_BYTES} bytes.")).into());
    }
    if query.tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
        let problem = Problem::new(Code::ParameterInvalid).param("tag");
        return Err(problem.message("`tag` must be a tag: letters a-z, digits and -.").into());
    }
    let name = format!("catalog\n{}\n{search}", query.tag.as_deref().unwrap_or_default());
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let search = Search { words: words(&search), tag: query.tag.as_deref() };
    let mut sql = search.sql(wanted.before(), wanted.rows);
    let rows: Vec<Row> = sql.build_query_as().fetch_all(app.system()).await?;
    let items = rows.into_iter().map(Item::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), items, |item: &Item| item.endpoint.uuid())?))
}

/// What the catalog is searched for.
struct Search<'a> {
    words: Option<String>,
    tag: Option<&'a str>,
}

impl Search<'_> {
    /// A page of it. What is found is looked up first, in the indexes of words and tags, so that a word that nobody has costs
    /// as little as one that everybody has; the rest is read for the page alone.
    fn sql(&self, before: Uuid, rows: i64) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("");
        let searched = self.words.is_some() || self.tag.is_some();
        if searched {
            sql.push("WITH found AS MATERIALIZED (");
            self.found(&mut sql);
            sql.push(") ");
        }
        sql.push(
            "SELECT id, publisher_id, publisher_name, name, description, tags, payer, limits, live_version, origins,
                created_at
             FROM catalog WHERE ",
        );
        if searched {
            sql.push("id = ANY (ARRAY (SELECT id FROM found WHERE id < ").push_bind(before);
            sql.push(" ORDER BY id DESC LIMIT ").push_bind(rows).push("))");
        } else {
            sql.push("id < ").push_bind(before);
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(rows);
        sql
    }

    /// All ids: by what endpoints say of themselves, and by their publishers' names.
    fn found(&self, sql: &mut QueryBuilder<Postgres>) {
        let Some(words) = &self.words else {
            sql.push("SELECT id FROM catalog_search WHERE true");
            return self.tagged(sql);
        };
        sql.push("SELECT id FROM catalog_search WHERE words @@ to_tsquery('simple', ")
            .push_bind(words.clone())
            .push(")");
        self.tagged(sql);
        sql.push(
            " UNION SELECT id FROM catalog_search WHERE publisher_id = ANY (ARRAY (
                SELECT id FROM catalog_publishers WHERE words @@ to_tsquery('simple', ",
        );
        sql.push_bind(words.clone()).push(")))");
        self.tagged(sql);
    }

    fn tagged(&self, sql: &mut QueryBuilder<Postgres>) {
        if let Some(tag) = self.tag {
            sql.push(" AND tags @> ARRAY[").push_bind(tag.to_owned()).push("]");
        }
    }
}

/// The question to the index: each word of a search, or its beginning; nothing where nothing is asked. A search without a
/// word finds nothing.
fn words(search: &str) -> Option<String> {
    if search.is_empty() {
        return None;
    }
    let words = search.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    Some(words.map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & "))
}

/// What the catalog shows of an endpoint to whoever makes one after it.
pub(crate) struct Shown {
    pub(crate) publisher: OrgId,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
}

/// What the catalog shows of an endpoint, if it is in it.
pub(crate) async fn find(system: &mut PgConnection, id: EndpointId) -> Result<Option<Shown>, sqlx::Error> {
    let row: Option<(Uuid, String, Vec<String>)> =
        sqlx::query_as("SELECT publisher_id, description, tags FROM catalog WHERE id = $1")
            .bind(id.uuid())
            .fetch_optional(system)
            .await?;
    Ok(row.map(|(publisher, description, tags)| Shown {
        publisher: OrgId::from_uuid(publisher),
        description,
        tags,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_its_words_and_never_more_than_text() {
        let cases = [
            ("", None),
            ("haik", Some("'haik':*")),
            ("a b-c", Some("'a':* & 'b':* & 'c':*")),
            ("' | !x:*&(", Some("'x':*")),
            ("%_%", Some("")),
        ];
        for (search, expected) in cases {
            assert_eq!(words(search).as_deref(), expected, "{search}");
        }
    }
}
