//! `macros.uuid`: identifiers that nothing else has.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};
use sha1::{Digest, Sha1};

use crate::arguments::{Arguments, invalid};

#[derive(Debug)]
pub(super) struct UuidModule;

impl Object for UuidModule {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let last = match key.as_str()? {
            "NAMESPACE_DNS" => 0x10,
            "NAMESPACE_URL" => 0x11,
            "NAMESPACE_OID" => 0x12,
            "NAMESPACE_X500" => 0x14,
            _ => return None,
        };
        Some(Value::from_object(Uuid(0x6ba7_b800_9dad_11d1_80b4_00c0_4fd4_30c8 | (last << 96))))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "uuid4" => {
                Arguments::bind("macros.uuid.uuid4", &[], args)?;
                Ok(Value::from_object(Uuid::of_version(rand::random(), 4)))
            }
            "uuid5" => {
                let arguments = Arguments::bind("macros.uuid.uuid5", &["namespace", "name"], args)?;
                let namespace =
                    arguments.required(0)?.downcast_object_ref::<Uuid>().ok_or_else(|| arguments.wrong(0, "a UUID"))?;
                let name = arguments.text(1)?.ok_or_else(|| arguments.wrong(1, "a text"))?;
                let digest = Sha1::new().chain_update(namespace.0.to_be_bytes()).chain_update(name).finalize();
                let bits = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
                Ok(Value::from_object(Uuid::of_version(bits, 5)))
            }
            "UUID" => {
                let arguments = Arguments::bind("macros.uuid.UUID", &["hex"], args)?;
                let text = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
                let digits = text.replace(['-', '{', '}'], "");
                let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32);
                bits.map(|bits| Value::from_object(Uuid(bits))).ok_or_else(|| invalid(format!("`{text}` is no UUID")))
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.uuid.{method}`; there are `uuid4`, `uuid5` and `UUID`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<module 'uuid'>")
    }
}

/// An identifier.
#[derive(Debug)]
struct Uuid(u128);

impl Uuid {
    fn of_version(bits: u128, version: u128) -> Uuid {
        Uuid(bits & !(0xf << 76) & !(0x3 << 62) | version << 76 | 0x2 << 62)
    }
}

impl Object for Uuid {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "hex" => Value::from(format!("{:032x}", self.0)),
            "int" => Value::from(self.0),
            "version" => i64::try_from(self.0 >> 76 & 0xf).map(Value::from).ok()?,
            "urn" => Value::from(format!("urn:uuid:{self}")),
            _ => return None,
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
