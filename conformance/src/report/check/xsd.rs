//! A small reader of XML Schema: what `fixtures/schemas/junit.xsd` uses, and an error for everything else, so that no
//! part of a schema is passed over in silence.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use super::Broken;

/// A schema: its elements and types by name.
pub(super) struct Schema<'s> {
    elements: BTreeMap<&'s str, Node<'s, 's>>,
    types: BTreeMap<&'s str, Node<'s, 's>>,
}

/// What may stand at a place, and how often.
struct Particle<'s> {
    /// One of these.
    names: Vec<&'s str>,
    least: usize,
    most: usize,
}

impl<'s> Schema<'s> {
    /// # Errors
    /// If it uses what this reader does not know.
    pub(super) fn new(document: &'s Document<'s>) -> Result<Schema<'s>, Broken> {
        let mut schema = Schema {
            elements: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        for node in elements(document.root_element()) {
            let name = need(node, "name")?;
            match node.tag_name().name() {
                "element" => schema.elements.insert(name, node),
                "complexType" | "simpleType" => schema.types.insert(name, node),
                "annotation" => continue,
                other => return Err(unknown(other)),
            };
        }
        Ok(schema)
    }

    /// # Errors
    /// Where the document is not as the schema says.
    pub(super) fn check(&self, document: &Document<'_>) -> Result<(), Broken> {
        self.element(document.root_element())
    }

    fn element(&self, node: Node<'_, '_>) -> Result<(), Broken> {
        let name = node.tag_name().name();
        let declared = self.elements.get(name);
        let declared = declared.ok_or_else(|| Broken::new(format!("<{name}> is not known")))?;
        let own = elements(*declared).find(|inner| inner.tag_name().name() == "complexType");
        let kind = match (own, declared.attribute("type")) {
            (Some(kind), _) => kind,
            (None, Some(kind)) => *self.types.get(kind).ok_or_else(|| unknown(kind))?,
            (None, None) => return Err(unknown("an element without a type")),
        };
        self.attributes(node, kind)?;
        let is_mixed = kind.attribute("mixed") == Some("true");
        let is_text = |child: &Node<'_, '_>| {
            child.is_text() && !child.text().unwrap_or_default().trim().is_empty()
        };
        if !is_mixed && node.children().any(|child| is_text(&child)) {
            return Err(Broken::new(format!("text in <{name}>")));
        }
        let mut children = node.children().filter(Node::is_element).peekable();
        for particle in self.particles(kind)? {
            let mut count = 0;
            while let Some(child) = children.next_if(|child| {
                count < particle.most && particle.names.contains(&child.tag_name().name())
            }) {
                self.element(child)?;
                count += 1;
            }
            if count < particle.least {
                let names = particle.names.join(" or ");
                return Err(Broken::new(format!("<{name}> has too few of {names}")));
            }
        }
        match children.next() {
            Some(child) => {
                let child = child.tag_name().name();
                Err(Broken::new(format!(
                    "<{child}> must not stand there in <{name}>"
                )))
            }
            None => Ok(()),
        }
    }

    fn particles(&self, kind: Node<'s, 's>) -> Result<Vec<Particle<'s>>, Broken> {
        let mut particles = Vec::new();
        for group in elements(kind) {
            match group.tag_name().name() {
                "attribute" => {}
                "choice" => {
                    let names = elements(group).map(|one| need(one, "ref"));
                    particles.push(particle(group, names.collect::<Result<_, _>>()?)?);
                }
                "sequence" => {
                    for one in elements(group) {
                        let names = match one.tag_name().name() {
                            "element" => vec![need(one, "ref")?],
                            "choice" => elements(one)
                                .map(|one| need(one, "ref"))
                                .collect::<Result<_, _>>()?,
                            other => return Err(unknown(other)),
                        };
                        particles.push(particle(one, names)?);
                    }
                }
                other => return Err(unknown(other)),
            }
        }
        Ok(particles)
    }

    fn attributes(&self, node: Node<'_, '_>, kind: Node<'s, 's>) -> Result<(), Broken> {
        let element = node.tag_name().name();
        let declared = || elements(kind).filter(|one| one.tag_name().name() == "attribute");
        for attribute in node.attributes() {
            let name = attribute.name();
            let found = declared().find(|one| one.attribute("name") == Some(name));
            let found =
                found.ok_or_else(|| Broken::new(format!("{name} of <{element}> is not known")))?;
            let value = attribute.value();
            if !is_of(need(found, "type")?, value)? {
                return Err(Broken::new(format!("{name} of <{element}> is {value:?}")));
            }
        }
        for one in declared().filter(|one| one.attribute("use") == Some("required")) {
            let name = need(one, "name")?;
            if node.attribute(name).is_none() {
                return Err(Broken::new(format!("<{element}> has no {name}")));
            }
        }
        Ok(())
    }
}

fn particle<'s>(node: Node<'s, 's>, names: Vec<&'s str>) -> Result<Particle<'s>, Broken> {
    let times = |name: &str| match node.attribute(name) {
        None => Ok(1),
        Some("unbounded") => Ok(usize::MAX),
        Some(number) => number.parse().map_err(|_| unknown(number)),
    };
    Ok(Particle {
        names,
        least: times("minOccurs")?,
        most: times("maxOccurs")?,
    })
}

fn is_of(kind: &str, value: &str) -> Result<bool, Broken> {
    Ok(match kind {
        "xs:string" => true,
        "xs:nonNegativeInteger" => value.parse::<u64>().is_ok(),
        "xs:decimal" => {
            let is_digit = |sign: char| sign.is_ascii_digit() || sign == '.';
            value.chars().all(is_digit) && value.parse::<f64>().is_ok()
        }
        "xs:dateTime" => value.parse::<jiff::Timestamp>().is_ok(),
        other => return Err(unknown(other)),
    })
}

fn elements<'s>(node: Node<'s, 's>) -> impl Iterator<Item = Node<'s, 's>> {
    node.children().filter(Node::is_element)
}

fn need<'s>(node: Node<'s, 's>, name: &str) -> Result<&'s str, Broken> {
    let tag = node.tag_name().name();
    node.attribute(name)
        .ok_or_else(|| Broken::new(format!("the schema has a {tag} without {name}")))
}

fn unknown(what: &str) -> Broken {
    Broken::new(format!(
        "the schema uses {what}, which this reader does not know"
    ))
}
