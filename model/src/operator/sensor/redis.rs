//! Sensors that wait for something in a Redis.

use super::sensor;

sensor!(
    /// Waits until a key exists (as Airflow's `RedisKeySensor`). The XCom has the key, its type, and the value if that is a
    /// text.
    ///
    /// ```toml
    /// [tasks.flag]
    /// redis_key_sensor = { connection = "redis_default", key = "ready:{{ ds }}" }
    /// ```
    RedisKeySensor {
        /// The name of a connection of type `redis`.
        connection: String,
        /// The key (a template).
        #[schemars(extend("x-template" = "text"))]
        key: String,
    }
);

sensor!(
    /// Waits until a stream has entries after a point in it. The entries become the XCom; they stay in the stream.
    ///
    /// ```toml
    /// [tasks.orders]
    /// redis_stream_sensor = { connection = "redis_default", stream = "orders", count = 10, poke_interval = "5s" }
    /// ```
    RedisStreamSensor {
        /// The name of a connection of type `redis`.
        connection: String,
        /// The stream's key (a template).
        #[schemars(extend("x-template" = "text"))]
        stream: String,
        /// Entries after this one count: an id, or an instant (a template); `0` counts all (default: the start of the run).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-template" = "text"))]
        after: Option<String>,
        /// So many entries are waited for, and become the XCom.
        #[serde(default = "default_count")]
        #[schemars(range(min = 1, max = 1000))]
        count: u32,
    }
);

const fn default_count() -> u32 {
    1
}
