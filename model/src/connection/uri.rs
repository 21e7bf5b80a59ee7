//! Airflow's URI form of a connection. It is no URL in the sense of the standard: any part may be missing, types may have
//! underscores, and every part is percent-encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{Connection, ConnectionError, SecretText};

/// The parameter that holds all extra fields as JSON.
const EXTRA: &str = "__extra__";

pub(super) fn read(conn_id: &str, uri: &str) -> Result<Connection, ConnectionError> {
    let Some((conn_type, rest)) = uri.split_once("://") else {
        return Err(ConnectionError("it is neither JSON nor `type://login:password@host:port/schema`".to_owned()));
    };
    let conn_type = match conn_type.replace('-', "_").as_str() {
        "" => return Err(ConnectionError("it has nothing before `://`, where its type stands".to_owned())),
        "postgresql" => "postgres".to_owned(),
        other => other.to_owned(),
    };
    let (rest, query) = split(rest, '?');
    let (authority, schema) = split(rest, '/');
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (login, password) = user.map_or((None, None), |user| {
        let (login, password) = split(user, ':');
        (Some(login), password)
    });
    let (host, port) = match place.rsplit_once(':') {
        // An address of version 6 has colons, and brackets around them.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let mut connection = Connection::new(conn_id, conn_type);
    connection.host = part("host", Some(host))?;
    connection.login = part("login", login)?;
    connection.password = part("password", password)?.map(SecretText::new);
    connection.schema = part("schema", schema)?;
    let wrong = |_| ConnectionError("its port is no number from 0 to 65535".to_owned());
    connection.port = part("port", port)?.map(|port| port.parse().map_err(wrong)).transpose()?;
    connection.extra = extra(query.unwrap_or_default())?;
    connection.without_nul()
}

pub(super) fn write(connection: &Connection) -> String {
    let mut uri = format!("{}://", connection.conn_type.replace('_', "-"));
    if connection.login.is_some() || connection.password.is_some() {
        uri.push_str(&encoded(connection.login.as_deref().unwrap_or_default()));
        if let Some(password) = &connection.password {
            uri.push(':');
            uri.push_str(&encoded(password.expose()));
        }
        uri.push('@');
    }
    uri.push_str(&host(connection.host.as_deref().unwrap_or_default()));
    if let Some(port) = connection.port {
        uri.push_str(&format!(":{port}"));
    }
    if connection.schema.is_some() || !connection.extra.is_empty() {
        uri.push('/');
        uri.push_str(&encoded(connection.schema.as_deref().unwrap_or_default()));
    }
    if !connection.extra.is_empty() {
        let are_texts = connection.extra.values().all(Value::is_string);
        let pairs: Vec<String> = if are_texts {
            let pair = |(key, value): (&String, &Value)| {
                format!("{}={}", encoded(key), encoded(value.as_str().unwrap_or_default()))
            };
            connection.extra.iter().map(pair).collect()
        } else {
            vec![format!("{EXTRA}={}", encoded(&Value::Object(connection.extra.clone()).to_string()))]
        };
        uri.push('?');
        uri.push_str(&pairs.join("&"));
    }
    uri
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// What RFC 3986 calls unreserved: it means the same in every part of a URI, encoded or not.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A host. An address of version 6 keeps its colons within brackets; a name is encoded as any other part.
fn host(text: &str) -> String {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match address.parse::<std::net::Ipv6Addr>() {
        Ok(_) => format!("[{address}]"),
        Err(_) => encoded(text),
    }
}

/// A part, decoded; an empty one is none.
fn part(name: &str, text: Option<&str>) -> Result<Option<String>, ConnectionError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(Some(decoded.into_owned())),
        Err(_) => Err(ConnectionError(format!("its {name} is not UTF-8 after percent-decoding"))),
    }
}

fn extra(query: &str) -> Result<Map<String, Value>, ConnectionError> {
    let mut fields = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = split(pair, '=');
        let value = value.unwrap_or_default().replace('+', " ");
        let (Some(key), value) = (part("query", Some(key))?, part("query", Some(&value))?.unwrap_or_default()) else {
            continue;
        };
        if key == EXTRA {
            match serde_json::from_str(&value) {
                Ok(Value::Object(all)) => fields.extend(all),
                _ => return Err(ConnectionError("its `__extra__` is no JSON object".to_owned())),
            }
        } else {
            fields.insert(key, Value::String(value));
        }
    }
    Ok(fields)
}
