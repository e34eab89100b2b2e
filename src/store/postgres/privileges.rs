//! What the user of a session may do.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::{Failure, NO_SCHEMA_HINT};
use crate::store::error::StoreError;
use crate::store::schema::{LEDGER, LOCKS, RECORDS, WRONG_CODES};

/// A table, and the privileges on it that the user needs.
pub(super) type Need = (&'static str, &'static str);

/// What `send` needs.
pub(super) const OF_SEND: [Need; 3] = [
    (RECORDS.name, "SELECT, INSERT, UPDATE, DELETE"),
    (LEDGER.name, "SELECT, INSERT, UPDATE"),
    (LOCKS.name, "SELECT, INSERT, UPDATE"),
];
/// What all commands need.
pub(super) const OF_ALL: [Need; 4] = [
    (RECORDS.name, "SELECT, INSERT, UPDATE, DELETE"),
    (LEDGER.name, "SELECT, INSERT, UPDATE, DELETE"),
    (WRONG_CODES.name, "SELECT, INSERT, UPDATE, DELETE"),
    (LOCKS.name, "SELECT, INSERT, UPDATE"),
];

/// Returns an error if there is no schema in which the user could create a table.
pub(super) async fn lacking_schema(client: &Client) -> Result<Option<StoreError>, Failure> {
    let row = client.query_typed_one("SELECT current_schema() IS NULL", &[]).await?;
    let problem = "search_path names no schema that the user may use";
    Ok(row.try_get::<_, bool>(0)?.then(|| StoreError::new(problem, NO_SCHEMA_HINT)))
}

/// Returns whether the user owns those of our tables that exist, or has the rights of their owner.
pub(super) async fn owns_tables(client: &Client) -> Result<bool, Failure> {
    let sql = "SELECT coalesce(bool_and(pg_has_role(relowner, 'USAGE')), TRUE) FROM pg_class
         WHERE oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS wanted(name))";
    let tables = OF_ALL.map(|(table, _)| table).to_vec();
    Ok(client.query_typed_one(sql, &[(&tables, Type::TEXT_ARRAY)]).await?.try_get(0)?)
}

/// Returns the names of our tables of which row-level security may hide rows from the user, or refuse new ones, if there are any.
pub(super) async fn secured_tables(client: &Client) -> Result<Option<String>, Failure> {
    let sql = "SELECT string_agg(name, ', ' ORDER BY place)
         FROM unnest($1::text[]) WITH ORDINALITY AS wanted(name, place)
         WHERE row_security_active(to_regclass(name))";
    let tables = OF_ALL.map(|(table, _)| table).to_vec();
    Ok(client.query_typed_one(sql, &[(&tables, Type::TEXT_ARRAY)]).await?.try_get(0)?)
}

/// Returns which of `needs` the user lacks on the tables that exist, if any, with the statements that grant it. To use a schema
/// is a privilege too, and so is to create a table that is missing.
pub(super) async fn lacking(
    client: &Client,
    needs: &[Need],
) -> Result<Option<StoreError>, Failure> {
    let (tables, privileges): (Vec<_>, Vec<_>) = needs.iter().copied().unzip();
    let sql = "WITH need AS (
             SELECT need.*, to_regclass(need.name) AS id
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS need(name, privileges, place)
         ), of_tables AS (
             SELECT need.name, need.place, string_agg(privilege.name, ', ' ORDER BY privilege.place)
                 AS privileges
             FROM need CROSS JOIN LATERAL unnest(string_to_array(need.privileges, ', '))
                 WITH ORDINALITY AS privilege(name, place)
             WHERE NOT CASE privilege.name
                 WHEN 'DELETE' THEN has_table_privilege(need.id, 'DELETE')
                 ELSE has_any_column_privilege(need.id, privilege.name) END
             GROUP BY need.name, need.place
         ), of_schemas AS (
             SELECT DISTINCT 'USAGE' AS privileges, quote_ident(schema.nspname) AS name
             FROM need
             JOIN pg_class AS class ON class.relname = need.name AND class.relkind IN ('r', 'p')
             JOIN pg_namespace AS schema ON schema.oid = class.relnamespace
             WHERE need.id IS NULL AND NOT has_schema_privilege(schema.oid, 'USAGE')
                 AND (schema.nspname = current_user
                     OR position(schema.nspname IN current_setting('search_path')) > 0)
             UNION ALL
             SELECT 'CREATE', quote_ident(current_schema())
             WHERE EXISTS (SELECT 1 FROM need WHERE id IS NULL)
                 AND NOT has_schema_privilege(current_schema(), 'CREATE')
         ), lacking AS (
             SELECT privileges, string_agg(name, ', ' ORDER BY place) AS objects, 2 AS place
             FROM of_tables GROUP BY privileges
             UNION ALL
             SELECT string_agg(privileges, ', ' ORDER BY privileges DESC), 'SCHEMA ' || name, 1
             FROM of_schemas GROUP BY name
         )
         SELECT quote_ident(current_user),
             string_agg(privileges || ' ON ' || objects, '; ' ORDER BY place, objects),
             string_agg('GRANT ' || privileges || ' ON ' || objects || ' TO '
                 || quote_ident(current_user), '; ' ORDER BY place, objects)
         FROM lacking HAVING count(*) > 0";
    let parameters = [(&tables as _, Type::TEXT_ARRAY), (&privileges as _, Type::TEXT_ARRAY)];
    let Some(row) = client.query_typed_opt(sql, &parameters).await? else { return Ok(None) };
    let [user, lacking, grants]: [String; 3] = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?];
    Ok(Some(StoreError::new(
        format!("the user {user} lacks {lacking}"),
        format!("let the owner of the tables run `{grants}`"),
    )))
}
