//! Traces by OpenTelemetry (OTLP over HTTP), where the configuration names a collector: a span a call, below it one a turn and
//! one a work order. Ids, counts and closed words only: no name, number, question or answer goes out.

use std::time::{Duration, SystemTime};

use aftercall_core::attempt::Disposition;
use aftercall_core::id::AttemptId;
use aftercall_core::time::Timestamp;
use async_trait::async_trait;
use opentelemetry::trace::{
    Span as _, SpanBuilder, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use ureq::Agent;

use crate::store::work_order::Raised;

/// For one batch. A collector that is away costs nothing but its spans.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where spans go: nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct Spans(Option<SdkTracerProvider>);

/// The span of a call that goes on.
#[derive(Debug)]
pub struct CallSpan {
    tracer: SdkTracer,
    context: Context,
    /// When the turn that goes on began.
    turn_since: SystemTime,
}

impl Spans {
    /// To the collector at `url` (`http://host:4318`); empty: to nobody. Headers come from `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// An address that is none.
    pub fn open(url: &str, engine: &str) -> anyhow::Result<Self> {
        if url.is_empty() {
            return Ok(Self::default());
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector(agent.into()))
            .with_timeout(PATIENCE)
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .build()?;
        let resource = Resource::builder_empty()
            .with_service_name("aftercall")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", engine.to_owned()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(Some(provider)))
    }

    /// Begins the span of a call, where spans go anywhere.
    pub fn call(&self, id: &AttemptId, at: Timestamp) -> Option<CallSpan> {
        let tracer = self.0.as_ref()?.tracer("aftercall");
        let span = tracer
            .span_builder("call")
            .with_start_time(at)
            .with_attributes([KeyValue::new("attempt.id", id.0.clone())])
            .start_with_context(&tracer, &Context::new());
        Some(CallSpan {
            tracer,
            context: Context::new().with_span(span),
            turn_since: at.into(),
        })
    }

    /// Sends what waits, and nothing more. Blocks until it is sent, or the collector's patience is over.
    pub fn close(&self) {
        if let Some(Err(error)) = self.0.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

impl CallSpan {
    /// It was answered: the first turn begins.
    pub fn answered(&mut self, at: Timestamp) {
        self.turn_since = at.into();
        let span = self.context.span();
        span.add_event_with_timestamp("answered", at.into(), Vec::new());
    }

    /// A turn is over; the next begins.
    pub fn turn(&mut self, index: u32, at: Timestamp) {
        let builder = self.tracer.span_builder("turn");
        let number = KeyValue::new("turn.index", i64::from(index));
        self.below(builder, self.turn_since, at, vec![number]);
        self.turn_since = at.into();
    }

    /// An order was raised or joined: from what was heard to what is on disk.
    pub fn order(&self, raised: &Raised, heard: Timestamp, stored: Timestamp) {
        let builder = self.tracer.span_builder("order");
        let attributes = vec![
            KeyValue::new("order.id", raised.id.0.clone()),
            KeyValue::new("order.urgency", raised.urgency.to_string()),
        ];
        self.below(builder, heard.into(), stored, attributes);
    }

    /// The call is over.
    pub fn ended(self, disposition: Disposition, at: Timestamp) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("disposition", disposition.to_string()));
        if disposition == Disposition::TrunkFailure {
            span.set_status(Status::error("trunk"));
        }
        span.end_with_timestamp(at.into());
    }

    fn below(
        &self,
        builder: SpanBuilder,
        from: SystemTime,
        to: Timestamp,
        attributes: Vec<KeyValue>,
    ) {
        let mut span = builder
            .with_start_time(from)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &self.context);
        span.end_with_timestamp(to.into());
    }
}

/// Batches go by the HTTP client that everything else here goes by, on the exporter's own thread.
#[derive(Debug)]
struct Collector(Agent);

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body.to_vec());
        let (parts, mut body) = self.0.run(request)?.into_parts();
        let bytes = body.read_to_vec()?;
        Ok(Response::from_parts(parts, bytes.into()))
    }
}
