// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a request asks for, and the head of its answer (RFC 9110, RFC 9112).

use httparse::Status as Parsed;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::Timestamp;

/// A request with a longer head is refused.
pub(super) const REQUEST_MAX: usize = 8192;
/// Headers of a request; more than any client sends by itself.
const HEADERS_MAX: usize = 64;
/// The only page.
const PAGE: &str = "/metrics";
/// Methods that HTTP knows and the page does not have.
const OTHER_METHODS: [&str; 7] = [
    "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// An answer but for the content of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: &'static str,
    /// For people; the page if there is none.
    message: Option<&'static str>,
    /// The head is all that was asked for.
    head_only: bool,
}

impl Answer {
    const fn refusal(status: &'static str, message: &'static str) -> Answer {
        Answer {
            status,
            message: Some(message),
            head_only: false,
        }
    }
}

/// What the answer to these bytes is, once the head of a request is whole.
pub(super) fn answer(bytes: &[u8]) -> Option<Answer> {
    let too_large = Answer::refusal(
        "431 Request Header Fields Too Large",
        "The head of the request is too long.\n",
    );
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Parsed::Complete(_)) => {}
        Ok(Parsed::Partial) if bytes.len() < REQUEST_MAX => return None,
        Ok(Parsed::Partial) | Err(httparse::Error::TooManyHeaders) => return Some(too_large),
        Err(httparse::Error::Version) => {
            return Some(Answer::refusal(
                "505 HTTP Version Not Supported",
                "Only HTTP/1.0 and HTTP/1.1 are spoken here.\n",
            ))
        }
        Err(_) => {
            return Some(Answer::refusal(
                "400 Bad Request",
                "This is no request of HTTP/1.\n",
            ))
        }
    }
    let hosts = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let hosts = hosts.count();
    if hosts > 1 || (hosts == 0 && request.version == Some(1)) {
        return Some(Answer::refusal(
            "400 Bad Request",
            "A request of HTTP/1.1 has one Host.\n",
        ));
    }
    let head_only = request.method == Some("HEAD");
    let method = request.method.unwrap_or_default();
    let found = path(request.path.unwrap_or_default()) == PAGE;
    let answer = match method {
        "GET" | "HEAD" if found => Answer {
            status: "200 OK",
            message: None,
            head_only,
        },
        "GET" | "HEAD" => Answer {
            head_only,
            ..Answer::refusal("404 Not Found", "The page is /metrics.\n")
        },
        _ if OTHER_METHODS.contains(&method) => Answer::refusal(
            "405 Method Not Allowed",
            "Only GET and HEAD are answered.\n",
        ),
        _ => Answer::refusal("501 Not Implemented", "Only GET and HEAD are answered.\n"),
    };
    Some(answer)
}

/// The path of a target, which may be absolute and may have a query.
fn path(target: &str) -> &str {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let target = match scheme {
        Some(scheme) => {
            let rest = &target[scheme.len()..];
            let authority = rest.find(['/', '?']).unwrap_or(rest.len());
            &rest[authority..]
        }
        None => target,
    };
    target.split('?').next().unwrap_or_default()
}

impl Answer {
    /// All of it, as bytes for the connection, which is closed behind it.
    pub(super) fn text(self, page: &mut dyn FnMut() -> String) -> String {
        let (kind, content) = match self.message {
            None => (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                page(),
            ),
            Some(message) => ("text/plain; charset=utf-8", message.to_owned()),
        };
        let allow = match self.status.starts_with("405") {
            true => "Allow: GET, HEAD\r\n",
            false => "",
        };
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&Timestamp::now())
            .map_or(String::new(), |date| format!("Date: {date}\r\n"));
        let head = format!(
            "HTTP/1.1 {}\r\n{date}Content-Type: {kind}\r\nContent-Length: {}\r\n\
             {allow}Connection: close\r\n\r\n",
            self.status,
            content.len()
        );
        if self.head_only {
            head
        } else {
            head + &content
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_paths() {
        for (target, wanted) in [
            ("/metrics", "/metrics"),
            ("/metrics?a=b", "/metrics"),
            ("/metrics?", "/metrics"),
            ("http://localhost:9752/metrics", "/metrics"),
            ("HTTP://localhost/metrics?x=/y", "/metrics"),
            ("http://localhost", ""),
            ("http://localhost?/metrics", ""),
            ("/metrics/", "/metrics/"),
            ("/?/metrics", "/"),
            ("*", "*"),
            ("localhost:80", "localhost:80"),
            ("", ""),
        ] {
            assert_eq!(path(target), wanted, "{target}");
        }
    }

    #[test]
    fn requests_are_read_to_their_end() {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..request.len() {
            assert_eq!(answer(&request[..length]), None, "{length}");
        }
        assert_eq!(answer(request).unwrap().status, "200 OK");
        let long = [&request[..20], &[b' '; REQUEST_MAX]].concat();
        assert!(answer(&long).is_some());
    }
}
