//! Users that exist already and cannot be made: a case borrows as many as it needs, for itself alone.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Account;

/// The users that are not in use.
pub(crate) struct Pool {
    size: usize,
    free: Mutex<Vec<Account>>,
    returned: Notify,
}

/// Borrowed users; they go back when this is dropped.
pub(crate) struct Loan<'a> {
    pool: &'a Pool,
    accounts: Vec<Account>,
}

impl Pool {
    pub(super) fn new(accounts: Vec<Account>) -> Pool {
        Pool {
            size: accounts.len(),
            free: Mutex::new(accounts),
            returned: Notify::new(),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Waits until so many users are free at once, so that two cases never wait for each other's.
    pub(crate) async fn borrow(&self, count: usize) -> Loan<'_> {
        loop {
            let returned = self.returned.notified();
            tokio::pin!(returned);
            // From here on a return is not missed, although nothing is awaited yet.
            returned.as_mut().enable();
            {
                let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
                if free.len() >= count {
                    let at = free.len() - count;
                    return Loan {
                        pool: self,
                        accounts: free.split_off(at),
                    };
                }
            }
            returned.await;
        }
    }
}

impl Loan<'_> {
    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut self.accounts);
        self.pool.returned.notify_waiters();
    }
}
