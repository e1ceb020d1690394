//! What can go wrong, as JSON: `{"error": {"code", "field", "message"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidewire_codec::{Code, proto};
use tidewire_core::api::AdminReply;
use tracing::error;

/// An answer that is not the wanted one.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: String,
    field: Option<String>,
    message: String,
}

#[derive(Serialize)]
struct Envelope {
    error: Text,
}

#[derive(Serialize)]
struct Text {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            code: code.into(),
            field: None,
            message: message.into(),
        }
    }

    /// A value cannot be taken. The whole body is meant where no field is named.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Problem {
        let field = (!field.is_empty() && field != ".").then(|| field.to_owned());
        Problem {
            field,
            ..Problem::new(StatusCode::BAD_REQUEST, "invalid", message)
        }
    }

    pub(super) fn not_found(what: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}"),
        )
    }

    /// The engine has stopped.
    pub(super) fn gone() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the server is stopping",
        )
    }

    /// Something in here failed. What, is in the log.
    pub(super) fn internal(what: &dyn std::fmt::Display) -> Problem {
        error!(%what, "an operator's request failed");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed; its log says how",
        )
    }

    /// The core answered something else than was asked.
    pub(super) fn unexpected(reply: &AdminReply) -> Problem {
        match reply {
            AdminReply::Invalid(message) => Problem::invalid(field_of(message), message.clone()),
            AdminReply::Refused(error) => Problem::refused(error),
            AdminReply::NotFound => Problem::not_found("thing"),
            _ => Problem::internal(&"the core gave an answer of another kind"),
        }
    }

    /// The core refused an op of a group as it would have refused a client's.
    fn refused(error: &proto::Error) -> Problem {
        let code = u16::try_from(error.code).map_or(Code(0), Code);
        let status = match code {
            Code::INVALID_FIELD | Code::TOO_MANY_ITEMS => StatusCode::BAD_REQUEST,
            Code::UNKNOWN_GROUP | Code::UNKNOWN_USER => StatusCode::NOT_FOUND,
            Code::STORE_FULL => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::CONFLICT,
        };
        Problem {
            status,
            code: code.to_string().to_lowercase(),
            // Operators know `name`, not the path in a message of the protocol.
            field: error
                .field
                .as_deref()
                .map(|field| field.rsplit('.').next().unwrap_or(field).to_owned()),
            message: error.text.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = Text {
            code: self.code,
            field: self.field,
            message: self.message,
        };
        (self.status, Json(Envelope { error })).into_response()
    }
}

/// The core begins its text with the name of the field.
fn field_of(message: &str) -> &str {
    message.split([' ', ':']).next().unwrap_or_default()
}
