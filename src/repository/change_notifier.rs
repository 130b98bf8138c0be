//! Notifies waiting long polls of changes to their account.
//!
//! Each account with subscribers has a notifier of its own, so a subscriber is never woken by another account's change.
//! The notifier stores the position of the newest known change, and a subscriber compares it with the position up to
//! which it has read the feed. So no change is missed, whether it is notified before, during or after the read.
//!
//! This instance's writes notify after their commit. `remote_changes` notifies of the changes of other instances.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// The notifiers of the accounts that have subscribers.
#[derive(Debug, Default)]
pub(super) struct ChangeNotifier(Mutex<HashMap<Uuid, AccountNotifier>>);

/// The notifier of one account.
#[derive(Debug)]
struct AccountNotifier {
    /// The position of the account's newest known change; 0 if no change is known.
    newest: watch::Sender<i64>,
    subscribers: usize,
}

impl ChangeNotifier {
    /// Notifies the subscribers of an account that its newest change has this position.
    pub(super) fn notify(&self, account: Uuid, position: i64) {
        self.set_newest(account, |newest| position > newest, position);
    }

    /// Notifies the subscribers of an account of its position in the database. `known` is the newest known position
    /// from before the database was queried.
    pub(super) fn notify_stored(&self, account: Uuid, known: i64, stored: i64) {
        // A stored position is below one that was known before only after a backup was restored. The changes that
        // follow then have positions that were already used.
        let is_restored = stored < known;
        self.set_newest(account, |newest| stored > newest || (is_restored && newest == known), stored);
    }

    fn set_newest(&self, account: Uuid, is_new: impl FnOnce(i64) -> bool, position: i64) {
        let accounts = self.accounts();
        let Some(notifier) = accounts.get(&account) else { return };
        notifier.newest.send_if_modified(|newest| {
            let is_new = is_new(*newest);
            if is_new {
                *newest = position;
            }
            is_new
        });
    }

    /// Subscribes to the changes of an account until the subscription is dropped.
    pub(super) fn subscribe(self: &Arc<Self>, account: Uuid) -> ChangeSubscription {
        let mut accounts = self.accounts();
        let new_notifier = || AccountNotifier { newest: watch::Sender::new(0), subscribers: 0 };
        let notifier = accounts.entry(account).or_insert_with(new_notifier);
        notifier.subscribers += 1;
        ChangeSubscription { newest: notifier.newest.subscribe(), notifier: Arc::clone(self), account }
    }

    /// Returns the accounts that have subscribers, and the newest known position of each.
    pub(super) fn newest_positions(&self) -> Vec<(Uuid, i64)> {
        self.accounts().iter().map(|(account, notifier)| (*account, *notifier.newest.borrow())).collect()
    }

    /// Returns the number of accounts that have subscribers.
    pub(super) fn account_count(&self) -> usize {
        self.accounts().len()
    }

    fn unsubscribe(&self, account: Uuid) {
        let mut accounts = self.accounts();
        let Some(notifier) = accounts.get_mut(&account) else { return };
        notifier.subscribers -= 1;
        if notifier.subscribers == 0 {
            accounts.remove(&account);
            // A peak of long polls must not leave a large empty table.
            if accounts.is_empty() {
                accounts.shrink_to_fit();
            }
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Uuid, AccountNotifier>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription to the changes of one account.
#[derive(Debug)]
pub struct ChangeSubscription {
    newest: watch::Receiver<i64>,
    notifier: Arc<ChangeNotifier>,
    account: Uuid,
}

impl ChangeSubscription {
    /// Returns the position of the account's newest known change; 0 if no change is known. A read of the feed that
    /// starts after this call sees that change.
    #[must_use]
    pub fn newest_position(&self) -> i64 {
        *self.newest.borrow()
    }

    /// Waits until the account has a change after this position: at once for changes of this instance, and about half
    /// a second for changes of other instances.
    pub async fn wait_for_change_after(&mut self, position: i64) {
        // The notifier drops the sender only after the last subscription.
        let _ = self.newest.wait_for(|newest| *newest > position).await;
    }
}

impl Drop for ChangeSubscription {
    fn drop(&mut self) {
        self.notifier.unsubscribe(self.account);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ACCOUNT: Uuid = Uuid::from_u128(1);
    const OTHER_ACCOUNT: Uuid = Uuid::from_u128(2);

    /// Returns whether the subscription reports a change after this position without further notifications.
    async fn has_change_after(subscription: &mut ChangeSubscription, position: i64) -> bool {
        tokio::time::timeout(Duration::from_millis(10), subscription.wait_for_change_after(position)).await.is_ok()
    }

    #[tokio::test]
    async fn notification_wakes_all_subscribers_of_its_account_only() {
        let notifier = Arc::new(ChangeNotifier::default());
        let mut subscriptions = [notifier.subscribe(ACCOUNT), notifier.subscribe(ACCOUNT)];
        let mut other = notifier.subscribe(OTHER_ACCOUNT);
        notifier.notify(ACCOUNT, 1);
        for subscription in &mut subscriptions {
            assert!(has_change_after(subscription, 0).await);
        }
        assert!(!has_change_after(&mut other, 0).await);
    }

    #[tokio::test]
    async fn change_notified_before_the_wait_is_not_missed_and_an_older_one_does_not_wake() {
        let notifier = Arc::new(ChangeNotifier::default());
        let mut subscription = notifier.subscribe(ACCOUNT);
        notifier.notify(ACCOUNT, 5);
        assert!(has_change_after(&mut subscription, 4).await);
        assert!(!has_change_after(&mut subscription, 5).await);
        notifier.notify(ACCOUNT, 3);
        assert!(!has_change_after(&mut subscription, 5).await);
        // A second subscriber learns of the change although it subscribed after the notification.
        assert!(has_change_after(&mut notifier.subscribe(ACCOUNT), 4).await);
    }

    #[tokio::test]
    async fn notification_wakes_a_subscriber_that_already_waits() {
        let notifier = Arc::new(ChangeNotifier::default());
        let mut subscription = notifier.subscribe(ACCOUNT);
        let waiting = tokio::spawn(async move { subscription.wait_for_change_after(7).await });
        tokio::task::yield_now().await;
        notifier.notify(ACCOUNT, 7);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        notifier.notify(ACCOUNT, 8);
        waiting.await.expect("the change is reported");
    }

    #[test]
    fn account_is_removed_with_its_last_subscription() {
        let notifier = Arc::new(ChangeNotifier::default());
        let (first, second) = (notifier.subscribe(ACCOUNT), notifier.subscribe(ACCOUNT));
        let other = notifier.subscribe(OTHER_ACCOUNT);
        drop(first);
        assert_eq!(notifier.account_count(), 2);
        drop(second);
        assert_eq!(notifier.newest_positions(), [(OTHER_ACCOUNT, 0)]);
        drop(other);
        assert_eq!(notifier.account_count(), 0);
        notifier.notify(ACCOUNT, 1);
        assert_eq!(notifier.account_count(), 0);
    }

    #[test]
    fn concurrent_subscriptions_leave_no_account_behind() {
        let notifier = Arc::new(ChangeNotifier::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2_000).for_each(|_| drop(notifier.subscribe(ACCOUNT))));
            }
            scope.spawn(|| (0..2_000).for_each(|position| notifier.notify(ACCOUNT, position)));
        });
        assert_eq!(notifier.account_count(), 0);
    }

    #[tokio::test]
    async fn stored_position_wakes_unless_it_is_known_or_older_than_a_newer_notification() {
        let notifier = Arc::new(ChangeNotifier::default());
        let mut subscription = notifier.subscribe(ACCOUNT);
        notifier.notify_stored(ACCOUNT, 0, 4);
        assert!(has_change_after(&mut subscription, 3).await);
        // This instance writes position 6 while the database is queried, which returns 5.
        notifier.notify(ACCOUNT, 6);
        notifier.notify_stored(ACCOUNT, 4, 5);
        assert_eq!(subscription.newest_position(), 6);
        assert!(!has_change_after(&mut subscription, 6).await);
    }

    #[tokio::test]
    async fn changes_after_a_restored_backup_are_notified() {
        let notifier = Arc::new(ChangeNotifier::default());
        let mut subscription = notifier.subscribe(ACCOUNT);
        notifier.notify(ACCOUNT, 100);
        notifier.notify_stored(ACCOUNT, 100, 90);
        assert_eq!(subscription.newest_position(), 90);
        notifier.notify(ACCOUNT, 91);
        assert!(has_change_after(&mut subscription, 90).await);
    }
}
