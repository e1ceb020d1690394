//! Bodies that are sent: a tree of values by field, built into a message when its variables are known.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Expr, Scope, Val, to_field, typed_expr};

/// A body: the fields that are set, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    message: MessageDescriptor,
    fields: Vec<(FieldDescriptor, Part)>,
}

#[derive(Clone, Debug)]
enum Part {
    One(Expr),
    Message(Body),
    List(Vec<Part>),
    /// The same item so many times, for bodies that break the bound of a repeated field.
    Repeat(usize, Box<Part>),
}

impl Body {
    /// Reads a table of field names and values.
    pub(crate) fn parse(message: MessageDescriptor, table: Fields) -> Result<Body, Fault> {
        let mut fields = Vec::with_capacity(table.entries.len());
        for entry in table.entries {
            let field = field(&message, &entry.key, entry.line)?;
            let part = if field.is_list() {
                list(entry.node, &field)?
            } else {
                item(entry.node, &field)?
            };
            fields.push((field, part));
        }
        Ok(Body { message, fields })
    }

    /// The message, with variables from `scope`.
    pub(crate) fn build(&self, scope: &dyn Scope) -> Result<DynamicMessage, String> {
        let mut built = DynamicMessage::new(self.message.clone());
        for (field, part) in &self.fields {
            let value = part.build(field, scope)?;
            built
                .try_set_field(field, value)
                .map_err(|error| format!("{}: {error}", field.name()))?;
        }
        Ok(built)
    }

    /// Calls `visit` with each expression in it.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&Expr)) {
        for (_, part) in &self.fields {
            part.visit(visit);
        }
    }

    /// The value of a field that is neither a message nor a list.
    pub(crate) fn single(&self, name: &str) -> Option<&Expr> {
        let found = self.fields.iter().find(|(field, _)| field.name() == name);
        match found {
            Some((_, Part::One(expr))) => Some(expr),
            _ => None,
        }
    }

    /// The names of the fields that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(field, _)| field.name())
    }
}

impl Part {
    fn build(&self, field: &FieldDescriptor, scope: &dyn Scope) -> Result<Value, String> {
        match self {
            Part::One(expr) => to_field(&expr.eval(scope)?, field),
            Part::Message(body) => Ok(Value::Message(body.build(scope)?)),
            Part::List(items) => {
                let mut built = Vec::with_capacity(items.len());
                for item in items {
                    item.build_items(field, scope, &mut built)?;
                }
                Ok(Value::List(built))
            }
            Part::Repeat(times, item) => Ok(Value::List(vec![item.build(field, scope)?; *times])),
        }
    }

    /// An item, or as many as the list has that a variable in it is bound to.
    fn build_items(
        &self,
        field: &FieldDescriptor,
        scope: &dyn Scope,
        built: &mut Vec<Value>,
    ) -> Result<(), String> {
        let mut many = None;
        self.visit(&mut |expr| {
            expr.visit(&mut |name| {
                if let Some(Val::List(values)) = scope.lookup(name) {
                    many = Some((name.to_owned(), values));
                }
            });
        });
        let Some((name, values)) = many else {
            built.push(self.build(field, scope)?);
            return Ok(());
        };
        for value in values {
            built.push(self.build(
                field,
                &With {
                    outer: scope,
                    name: &name,
                    value,
                },
            )?);
        }
        Ok(())
    }

    fn visit(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Part::One(expr) => visit(expr),
            Part::Message(body) => body.visit(visit),
            Part::List(items) => items.iter().for_each(|item| item.visit(visit)),
            Part::Repeat(_, item) => item.visit(visit),
        }
    }
}

/// The field with this name, or a fault that names those that there are.
pub(crate) fn field(
    message: &MessageDescriptor,
    name: &str,
    line: usize,
) -> Result<FieldDescriptor, Fault> {
    message.get_field_by_name(name).ok_or_else(|| {
        let known: Vec<String> = message
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        Fault::new(
            line,
            format!(
                "{} has no field `{name}`, but {}",
                message.name(),
                known.join(", ")
            ),
        )
    })
}

/// A scope in which one name stands for one value.
struct With<'a> {
    outer: &'a dyn Scope,
    name: &'a str,
    value: Val,
}

impl Scope for With<'_> {
    fn lookup(&self, name: &str) -> Option<Val> {
        if name == self.name {
            Some(self.value.clone())
        } else {
            self.outer.lookup(name)
        }
    }
}

fn list(node: Node, field: &FieldDescriptor) -> Result<Part, Fault> {
    if let Data::Table(_) = node.data {
        let mut table = node.fields()?;
        let times = table.need("times")?.size()?;
        let repeated = item(table.need("item")?, field)?;
        table.finish("a repeated item")?;
        return Ok(Part::Repeat(times, Box::new(repeated)));
    }
    if let Data::Text(_) = node.data {
        return typed_expr(node, field).map(|expr| Part::List(vec![Part::One(expr)]));
    }
    node.list()?
        .into_iter()
        .map(|node| item(node, field))
        .collect::<Result<_, _>>()
        .map(Part::List)
}

fn item(node: Node, field: &FieldDescriptor) -> Result<Part, Fault> {
    match field.kind() {
        Kind::Message(message) => Body::parse(message, node.fields()?).map(Part::Message),
        _ => typed_expr(node, field).map(Part::One),
    }
}
