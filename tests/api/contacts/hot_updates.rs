//! A PATCH is a single HOT update, so it adds no index entries.

use serde_json::json;
use sqlx::Row;

use crate::support::{Account, Server};

#[tokio::test]
async fn patches_are_hot_updates() {
    // Open transactions anywhere in a cluster, also in other databases, prevent PostgreSQL from reusing space within
    // a page. The test therefore needs its own cluster.
    let server = Server::with_own_cluster("hot").await;
    let account = Account::on_server(&server);
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
    let (updates, hot) = wait_for_update_counts(&mut database).await;
    assert!(updates >= 1_000, "{updates} updates");
    assert!(hot * 100 >= updates * 95, "only {hot} of {updates} updates were HOT");
}

/// Returns the counts of updates and HOT updates of the table `contacts`.
///
/// Waits up to 20 seconds until the statistics include at least 1,000 updates.
async fn wait_for_update_counts(database: &mut sqlx::PgConnection) -> (i64, i64) {
    let mut counts = (0, 0);
    for _ in 0..100 {
        sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *database).await.unwrap();
        let query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'contacts'";
        let row = sqlx::query(query).fetch_one(&mut *database).await.unwrap();
        counts = (row.get(0), row.get(1));
        if counts.0 >= 1_000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    counts
}
