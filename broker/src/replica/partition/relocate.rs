//! A replica goes on in another log directory of its broker (KIP-113).

use ottla_storage::Log;

use super::Partition;
use crate::replica::Error;

impl Partition {
    /// Goes on with the log that `exchange` makes, which must hold what the present one does; nothing is appended
    /// meanwhile. Gives the log that was here before; none if the replica is gone.
    pub(in crate::replica) fn exchange_log(
        &self,
        exchange: impl FnOnce(&mut Log) -> Result<Option<Log>, Error>,
    ) -> Result<Option<Log>, Error> {
        let mut inner = self.inner.lock();
        let Some(log) = &mut inner.log else { return Ok(None) };
        let Some(mut new) = exchange(log)? else { return Ok(None) };
        new.set_handle(self.handle);
        new.set_config(log.config().clone());
        self.reader.go_on_with(&new);
        // All of it is durable; this tells the partition so.
        new.request_flush();
        Ok(inner.log.replace(new))
    }
}
