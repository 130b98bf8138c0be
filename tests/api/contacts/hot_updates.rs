//! The schema keeps its promise: a PATCH is one HOT update, so no index grows with it.

use serde_json::json;
use sqlx::Row;

use crate::support::{Account, Server};

#[tokio::test]
async fn a_thousand_patches_are_hot() {
    // Transactions elsewhere in a cluster, also in other databases, keep it from reusing room within a page.
    let server = Server::on_own_cluster("hot").await;
    let account = Account::on(&server);
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    let mut ids = vec![];
    for index in 0..50 {
        ids.push(account.create(json!({"first_name": "A", "email": format!("c{index}@example.com")})).await);
    }
    for turn in 0..20 {
        for id in &ids {
            account.patch(id, json!({"job_title": format!("Title {turn}"), "shoe_size": turn})).await.expect(200);
        }
    }
    let mut database = account.database().await;
    let (updates, hot) = settled_counts(&mut database).await;
    assert!(updates >= 1_000, "{updates} updates");
    assert!(hot * 100 >= updates * 95, "only {hot} of {updates} updates were HOT");
}

/// The counts of updates and HOT updates of the contacts table, once the statistics have caught up.
async fn settled_counts(database: &mut sqlx::PgConnection) -> (i64, i64) {
    let mut last = (0, 0);
    for _ in 0..100 {
        sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *database).await.unwrap();
        let counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'contacts'";
        let row = sqlx::query(counts).fetch_one(&mut *database).await.unwrap();
        last = (row.get(0), row.get(1));
        if last.0 >= 1_000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    last
}
