//! The declared parameters in their order: the order of the form that asks for them.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Param;

/// Parameters by name, in the order in which they were declared. A list: there are a handful of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(Vec<(String, Param)>);

impl Params {
    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, param)| param)
    }

    /// Declares a parameter; one of the same name is replaced where it stands.
    pub fn insert(&mut self, name: String, param: Param) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = param,
            None => self.0.push((name, param)),
        }
    }

    /// Names and parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.0.iter().map(|(name, param)| (name.as_str(), param))
    }

    /// Whether none is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Params;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of params")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let mut params = Params::default();
                while let Some((name, param)) = map.next_entry()? {
                    params.insert(name, param);
                }
                Ok(params)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_survives_storage() {
        let text = r#"{"zebra":{"type":"string"},"apple":{"default":1,"type":"integer"},"mango":{}}"#;
        let params: Params = serde_json::from_str(text).unwrap();
        assert_eq!(params.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["zebra", "apple", "mango"]);
        assert_eq!(serde_json::to_string(&params).unwrap(), text);
    }
}
