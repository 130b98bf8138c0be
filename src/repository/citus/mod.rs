//! Databases on Citus, whose tables are distributed over the nodes of a cluster by `account_id`. All rows of an account are
//! in one shard, and so on one node.
//!
//! | file | content |
//! |---|---|
//! | `table_layout` | `table_layout`: whether the tables are distributed |
//! | `shard_map` | the shard of each account, and the settings of connections to Citus |
//! | `shard_queues` | batches of jobs, each for accounts of one shard |
//! | `node_check` | whether any node with shards answers |
//! | `distribute` | `distribute_tables`: distributes the tables |
//!
//! A statement about several accounts of one shard is sent to the node of the shard and runs there as on PostgreSQL. A
//! transaction about one shard is committed by its node alone. If it is about several shards, it needs a two-phase commit,
//! and it fails if any of their nodes is down. So statements about several accounts are divided by shard.

mod distribute;
mod node_check;
mod shard_map;
mod shard_queues;
mod table_layout;

pub use distribute::{DistributeError, DistributedTables, NodeTables};
pub(super) use node_check::NodeCheck;
pub(super) use shard_map::{Shard, ShardMap};
pub(super) use shard_queues::ShardQueues;
pub(super) use table_layout::TABLES;
pub use table_layout::TableLayout;
