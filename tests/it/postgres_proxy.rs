//! The proxy that counts round trips and cuts connections.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, NoTls};

use crate::postgres_server::block_on;
use crate::support::postgres::{Kind, Server, try_query};
use crate::support::postgres_proxy::{Cut, Fault, Proxy};

async fn connect(proxy: &Proxy) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(proxy.url(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Asks for `value`, which then makes the request and its answer as long as it is.
async fn ask(client: &Client, value: &str) {
    let row = client.query_typed("SELECT $1", &[(&value, Type::TEXT)]).await.expect("a row");
    assert_eq!(row[0].get::<_, &str>(0), value);
}

#[test]
fn a_client_that_waits_for_each_answer_makes_as_many_round_trips() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let proxy = Proxy::start(&database);
        block_on(async {
            let client = connect(&proxy).await.expect("a connection");
            assert_eq!(proxy.take_round_trips(), 0, "{kind:?}");
            ask(&client, "first").await;
            ask(&client, "second").await;
            client
                .batch_execute("BEGIN; DO 'BEGIN RAISE NOTICE $$third$$; END'; COMMIT")
                .await
                .expect("it runs");
        });
        assert_eq!(proxy.take_round_trips(), 3, "{kind:?}");
        assert_eq!(proxy.take_round_trips(), 0, "{kind:?}");
        assert!(!proxy.had_several_transactions_at_once(), "{kind:?}");
    }
}

#[test]
fn what_a_client_sends_without_waiting_is_one_round_trip() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let proxy = Proxy::start(&database);
        // The longer ones take several writes.
        for length in [1, 10_000, 1_000_000] {
            let value = "x".repeat(length);
            block_on(async {
                let client = connect(&proxy).await.expect("a connection");
                join_all((0..10).map(|_| ask(&client, &value))).await;
            });
            assert_eq!(proxy.take_round_trips(), 1, "{kind:?}, {length}");
        }
        assert!(proxy.had_several_transactions_at_once(), "{kind:?}");
    }
}

#[test]
fn a_client_gets_the_end_of_another_ones_answer() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let proxy = Proxy::start(&database);
        block_on(async {
            let client = connect(&proxy).await.expect("a connection");
            proxy.fail(Fault::MixedUp, 1);
            ask(&client, "the first answer is its own").await;
            let error = client.query_typed("SELECT 1", &[]).await.expect_err("the second isn't");
            assert_eq!(error.to_string(), "unexpected message from server", "{kind:?}");
        });
    }
}

#[test]
fn an_answer_never_comes() {
    let Some(database) = Kind::Plain.database() else { return };
    let proxy = Proxy::start(&database);
    block_on(async {
        let client = connect(&proxy).await.expect("a connection");
        proxy.fail(Fault::Silence, 0);
        let answer = ask(&client, "is it there?");
        tokio::time::timeout(Duration::from_secs(1), answer).await.expect_err("nothing comes");
        assert!(!client.is_closed());
    });
}

/// Stores a row in a transaction of three round trips.
async fn store(proxy: &Proxy) -> Result<(), Error> {
    let client = connect(proxy).await?;
    client.batch_execute("BEGIN").await?;
    client.query_typed("INSERT INTO kept VALUES ($1)", &[(&"value", Type::TEXT)]).await?;
    client.batch_execute("COMMIT").await
}

#[test]
fn a_connection_is_cut_before_or_after_each_message() {
    for kind in Kind::ALL {
        let Some(database) = kind.database() else { continue };
        let proxy = Proxy::start(&database);
        database.query("CREATE TABLE kept (value text)");
        for cut in [Cut::Before, Cut::After] {
            let mut outcomes = Vec::new();
            for number in 1.. {
                proxy.cut(cut(number));
                let stored = block_on(store(&proxy));
                let has_cut = proxy.has_cut();
                let rows = database.query("SELECT FROM kept").len();
                database.query("TRUNCATE kept");
                if !has_cut {
                    stored.expect("nothing is in the way");
                    assert_eq!(rows, 1);
                    break;
                }
                outcomes.push((stored.is_ok(), rows));
            }
            // It fails without a row, then although there is one. The answer to COMMIT is two messages.
            outcomes.dedup();
            let expected: &[_] = match cut(1) {
                Cut::Before(_) => &[(false, 0), (false, 1)],
                Cut::After(_) => &[(false, 0), (false, 1), (true, 1)],
            };
            assert_eq!(outcomes, expected, "{kind:?}");
        }
    }
}

#[test]
fn a_client_finds_its_connection_closed_when_the_server_has_ended() {
    let Some(mut server) = Server::start(&[]) else { return };
    let database = server.database();
    let proxy = Proxy::start(&database);
    block_on(async {
        let client = connect(&proxy).await.expect("a connection");
        server.kill();
        client.batch_execute("SELECT 1").await.expect_err("the server has ended");
    });
    try_query(proxy.url(), "SELECT 1").expect_err("the server has ended");
    server.restart();
    try_query(proxy.url(), "SELECT 1").expect("the server runs");
}
