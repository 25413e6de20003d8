//! Tables as large as they are in production, made from a scene by what the catalogue says of them: no table is forgotten,
//! also not one that a later migration makes.
//!
//! Every row that the scene left in the org under test gets siblings (the same parents, another id), and one row of each table
//! is copied far and wide, a fifth of it into this org, the rest into as many others. Copies of the same number fit together:
//! the job number 7 has the attempt number 7.

use crate::pg::Database;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::HashSet;

/// Copies of one row over all orgs: so many that reading a page by an index is much cheaper than reading the table.
pub const WIDE: i64 = 3_000;
/// Siblings of each row of the scene: several pages.
const DEEP: i64 = 40;
/// Rows of the scene that get siblings, of each table.
const PARENTS_MAX: i64 = 10;
/// The refusal of a value that a column does not take.
const CHECK_VIOLATION: &str = "23514";
/// Work that waits for a loop of control: it would begin to do it, and nobody lists it.
const QUEUES: [&str; 5] = ["outbox", "outbox_backoff", "mails", "eval_run_feeds", "audit_pending"];

/// A table, and which of its columns a copy must change.
struct Table {
    name: String,
    columns: Vec<(String, String)>,
    /// The columns of each unique index.
    unique: Vec<Vec<String>>,
    /// Columns that name a row of another table by something else than its org.
    parents: HashSet<String>,
}

/// Fills every table of the public schema; `org` is the uuid of the org under test. Gives the names of those that are full now.
pub async fn multiply(database: &Database, org: &str) -> Vec<String> {
    let mut db = database.superuser().await;
    // Neither foreign keys nor triggers: copies are consistent by their numbers.
    run(&mut db, "SET session_replication_role = replica".into()).await;
    // One moment for all ids: those of the same number are the same in every table.
    run(
        &mut db,
        "SELECT set_config('fill.now_ms', (extract(epoch FROM now()) * 1000)::bigint::text, false)".into(),
    )
    .await;
    let mut filled = Vec::new();
    for table in tables(&mut db).await {
        if QUEUES.contains(&table.name.as_str()) || table.is_single() {
            continue;
        }
        if let Some(sql) = table.deep(org) {
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await;
            // Where a word makes the difference, a sibling would need one that there is not.
            let code =
                done.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned());
            assert!(code.as_deref().is_none_or(|code| code == CHECK_VIOLATION), "{}: {code:?}", table.name);
        }
        run(&mut db, table.wide(org)).await;
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
        let (rows,): (i64,) = sqlx::query_as(sql).fetch_one(&mut db).await.unwrap();
        if rows >= WIDE / 2 {
            filled.push(table.name);
        }
    }
    let other = format!(
        "INSERT INTO orgs (id, name) SELECT {}, 'other' FROM generate_series(1, {WIDE}) AS n",
        id("n + 2000000")
    );
    run(&mut db, other).await;
    run(&mut db, "ANALYZE".into()).await;
    filled
}

async fn run(db: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(db)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The id number `n`: a UUIDv7 of a time that has passed, the older the higher the number.
fn id(n: &str) -> String {
    format!(
        "(lpad(to_hex(current_setting('fill.now_ms')::bigint - 60000 - ({n}) * 100), 12, '0') \
          || '70008' || lpad(to_hex({n}), 15, '0'))::uuid"
    )
}

async fn tables(db: &mut PgConnection) -> Vec<Table> {
    let names: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition AND relname <> '_sqlx_migrations' ORDER BY relname",
    )
    .fetch_all(&mut *db)
    .await
    .unwrap();
    let mut tables = Vec::new();
    for (name,) in names {
        let columns = sqlx::query_as(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
             WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        );
        let unique = sqlx::query_as(
            "SELECT ARRAY(SELECT attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
                JOIN pg_attribute ON attrelid = indrelid AND attnum = number WHERE place <= indnkeyatts ORDER BY place)
             FROM pg_index WHERE indrelid = $1::regclass AND indisunique",
        );
        let parents = sqlx::query_as(
            "SELECT DISTINCT mine.attname::text FROM pg_constraint c, unnest(conkey, confkey) AS pair (here, there)
             JOIN pg_attribute mine ON true JOIN pg_attribute theirs ON true
             WHERE contype = 'f' AND conrelid = $1::regclass AND confrelid <> 'orgs'::regclass
                AND mine.attrelid = conrelid AND mine.attnum = here
                AND theirs.attrelid = confrelid AND theirs.attnum = there AND theirs.attname <> 'org_id'",
        );
        let columns = columns.bind(&name).fetch_all(&mut *db).await.unwrap();
        let unique: Vec<(Vec<String>,)> = unique.bind(&name).fetch_all(&mut *db).await.unwrap();
        let parents: Vec<(String,)> = parents.bind(&name).fetch_all(&mut *db).await.unwrap();
        let unique = unique.into_iter().map(|(columns,)| columns).collect();
        let parents = parents.into_iter().map(|(column,)| column).collect();
        tables.push(Table { name, columns, unique, parents });
    }
    tables
}

impl Table {
    fn kind(&self, column: &str) -> &str {
        self.columns.iter().find(|(name, _)| name == column).map_or("", |(_, kind)| kind)
    }

    fn has_org(&self) -> bool {
        !self.kind("org_id").is_empty()
    }

    /// A table of one row.
    fn is_single(&self) -> bool {
        self.unique.iter().flatten().any(|column| self.kind(column) == "boolean")
    }

    /// One row, copied over all orgs: every id becomes that of the copy's number, its parents' too.
    fn wide(&self, org: &str) -> String {
        let mut changed: HashSet<&str> = HashSet::new();
        for (column, kind) in &self.columns {
            let unique = self.unique.iter().flatten().any(|name| name == column);
            if column != "org_id" && kind == "uuid" && (unique || self.parents.contains(column)) {
                changed.insert(column);
            }
        }
        // Where nothing but the org tells rows apart, each has an org of its own.
        if !changed.is_empty() || !self.has_org() {
            self.change_the_rest(&mut changed);
        } else {
            self.change_what_is_unique_everywhere(&mut changed);
        }
        let first = if self.has_org() { format!("(org_id = '{org}') DESC, ") } else { String::new() };
        let from = format!("(SELECT * FROM {} ORDER BY {first}ctid LIMIT 1)", self.name);
        let other = id("n + 2000000");
        let owner = format!("CASE WHEN n % 5 = 0 THEN '{org}' ELSE {other} END");
        self.copy(&from, &format!("generate_series(1, {WIDE})"), "n", &changed, &owner)
    }

    /// Siblings of the rows of the org: the same parents, and what must differ differs. None: nothing but parents would.
    fn deep(&self, org: &str) -> Option<String> {
        let mut changed = HashSet::new();
        self.change_the_rest(&mut changed);
        if !self.has_org() || changed.iter().any(|column| self.parents.contains(*column)) {
            return None;
        }
        let from = format!(
            "(SELECT *, row_number() OVER () AS row_number_here FROM {} WHERE org_id = '{org}' LIMIT {PARENTS_MAX})",
            self.name
        );
        let number = "1000000 + row_number_here * 1000 + n";
        Some(self.copy(&from, &format!("generate_series(1, {DEEP})"), number, &changed, &format!("'{org}'")))
    }

    /// Adds the last column of every unique index of which no column is changed yet, rather not a parent's.
    fn change_the_rest<'a>(&'a self, changed: &mut HashSet<&'a str>) {
        for index in &self.unique {
            let free = |column: &&String| *column != "org_id" && !self.parents.contains(*column);
            let column = index.iter().rev().find(free).or_else(|| index.last());
            if !index.iter().any(|column| changed.contains(column.as_str()))
                && let Some(column) = column
            {
                changed.insert(column);
            }
        }
    }

    /// The last column of every unique index that knows no org.
    fn change_what_is_unique_everywhere<'a>(&'a self, changed: &mut HashSet<&'a str>) {
        let everywhere = self.unique.iter().filter(|index| !index.iter().any(|column| column == "org_id"));
        changed.extend(everywhere.filter_map(|index| index.last()).map(String::as_str));
    }

    fn copy(&self, from: &str, numbers: &str, number: &str, changed: &HashSet<&str>, org: &str) -> String {
        let value = |(column, kind): &(String, String)| {
            if column == "org_id" {
                return format!("({org})::uuid");
            }
            if !changed.contains(column.as_str()) {
                return format!("\"{column}\"");
            }
            let value = match kind.as_str() {
                "uuid" => id(number),
                "text" => format!("\"{column}\" || '-' || ({number})"),
                "bytea" => format!("sha256(\"{column}\" || convert_to(({number})::text, 'UTF8'))"),
                "integer" | "bigint" | "smallint" => format!("\"{column}\" + {number}"),
                other => {
                    panic!("{}.{column}: how does one copy of a {other} differ from another?", self.name)
                }
            };
            format!("CASE WHEN \"{column}\" IS NOT NULL THEN {value} END")
        };
        let names: Vec<String> = self.columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let values: Vec<String> = self.columns.iter().map(value).collect();
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {from} AS original, {numbers} AS n
             ON CONFLICT DO NOTHING",
            self.name,
            names.join(", "),
            values.join(", ")
        )
    }
}
