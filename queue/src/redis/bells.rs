//! Bells over pub/sub. One connection per process, made when the first listener asks; after every new connection all
//! bells ring once, because what was published in between is lost.

use std::sync::{Arc, Once};
use std::time::Duration;

use deadpool_redis::redis::Client;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::Keys;
use crate::{Bell, Listener};

/// Pause before connecting again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Bells {
    client: Client,
    keys: Keys,
    rings: Arc<[watch::Sender<u64>; 4]>,
    started: Once,
}

impl Bells {
    pub(super) fn new(client: Client, keys: Keys) -> Self {
        Bells { client, keys, rings: Arc::default(), started: Once::new() }
    }

    pub(super) fn listen(&self, bell: Bell) -> Listener {
        let listener = Listener::new(self.rings[bell as usize].subscribe());
        self.started.call_once(|| {
            let task = relay(self.client.clone(), self.keys.clone(), Arc::downgrade(&self.rings));
            tokio::spawn(task);
        });
        listener
    }
}

/// Turns messages into rings until the queue is dropped.
async fn relay(client: Client, keys: Keys, rings: std::sync::Weak<[watch::Sender<u64>; 4]>) {
    let channels = Bell::ALL.map(|bell| keys.bell(bell));
    loop {
        if let Err(error) = relay_once(&client, &channels, &rings).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "lost the connection that carries the bells");
        }
        if rings.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn relay_once(
    client: &Client,
    channels: &[String; 4],
    rings: &std::sync::Weak<[watch::Sender<u64>; 4]>,
) -> deadpool_redis::redis::RedisResult<()> {
    let mut connection = client.get_async_pubsub().await?;
    connection.subscribe(&channels[..]).await?;
    if let Some(rings) = rings.upgrade() {
        rings.iter().for_each(|bell| bell.send_modify(|count| *count += 1));
    }
    let mut messages = connection.on_message();
    while let Some(message) = messages.next().await {
        let Some(rings) = rings.upgrade() else { return Ok(()) };
        if let Some(bell) = channels.iter().position(|channel| channel == message.get_channel_name()) {
            rings[bell].send_modify(|count| *count += 1);
        }
    }
    Ok(())
}
