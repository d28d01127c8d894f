//! Every route on one screen, and the OpenAPI document that is made from the same list.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, http::StatusCode, routing::get};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    AppState, Problem, audit, audit_log, auth, calls, do_not_call, drafts, events, feed, figures,
    imports, listen_in, live, messages, observations, pages, patients, pauses, plans, recordings,
    reviews, rota, scripts, second_factor, session, site, sso, staff, system, trends, trunks, why,
    windows, work_orders,
};

/// Largest JSON body: 1 MiB, of who has not signed in yet 4 KiB. A CSV import may have 32 MiB.
const BODY_LIMIT: usize = 1 << 20;
const SIGN_IN_LIMIT: usize = 4 << 10;
const IMPORT_LIMIT: usize = 32 << 20;

/// A body that stops coming for so long is given up.
const BODY_TIME: Duration = Duration::from_secs(30);

fn open() -> OpenApiRouter<AppState> {
    let sign_in = OpenApiRouter::new()
        .routes(routes!(session::open))
        .routes(routes!(sso::ways))
        .routes(routes!(sso::depart))
        .routes(routes!(sso::arrive))
        .layer(DefaultBodyLimit::max(SIGN_IN_LIMIT));
    OpenApiRouter::new()
        .routes(routes!(system::health))
        .routes(routes!(system::metrics))
        .nest("/api/v1", sign_in)
}

fn protected() -> OpenApiRouter<AppState> {
    let import = OpenApiRouter::new()
        .routes(routes!(imports::list, imports::create))
        .layer(DefaultBodyLimit::max(IMPORT_LIMIT));
    OpenApiRouter::new()
        .routes(routes!(session::show, session::end))
        .routes(routes!(session::change_password))
        .routes(routes!(second_factor::begin, second_factor::confirm))
        .routes(routes!(staff::list, staff::add))
        .routes(routes!(staff::change))
        .routes(routes!(site::show))
        .routes(routes!(events::stream))
        .routes(routes!(patients::list, patients::save))
        .routes(routes!(patients::find))
        .routes(routes!(patients::show, patients::change))
        .routes(routes!(patients::set_life))
        .routes(routes!(patients::set_consent))
        .routes(routes!(plans::set_episode_state))
        .routes(routes!(plans::of_patient))
        .routes(routes!(why::show))
        .routes(routes!(why::set_wishes))
        .routes(routes!(plans::list))
        .routes(routes!(observations::list, observations::save))
        .routes(routes!(trends::of_patient))
        .routes(routes!(messages::of_patient))
        .routes(routes!(messages::report))
        .routes(routes!(calls::of_patient))
        .routes(routes!(calls::list))
        .routes(routes!(calls::show))
        .routes(routes!(recordings::listen))
        .routes(routes!(live::list))
        .routes(routes!(listen_in::begin))
        .routes(routes!(listen_in::end))
        .routes(routes!(listen_in::take_over))
        .routes(routes!(listen_in::hand_back))
        .routes(routes!(listen_in::hang_up))
        .routes(routes!(work_orders::list))
        .routes(routes!(work_orders::show))
        .routes(routes!(work_orders::acknowledge))
        .routes(routes!(work_orders::hand_over))
        .routes(routes!(work_orders::spoken))
        .routes(routes!(work_orders::close))
        .routes(routes!(work_orders::reopen))
        .routes(routes!(work_orders::events))
        .routes(routes!(rota::show))
        .routes(routes!(feed::list))
        .routes(routes!(feed::replay))
        .routes(routes!(audit::list))
        .routes(routes!(audit::decide))
        .routes(routes!(audit::show_figures))
        .routes(routes!(pauses::list, pauses::begin))
        .routes(routes!(pauses::end))
        .routes(routes!(
            windows::show,
            windows::set_week,
            windows::reset_week
        ))
        .routes(routes!(windows::reach))
        .routes(routes!(windows::try_out))
        .routes(routes!(windows::close_hour))
        .routes(routes!(windows::open_hour))
        .routes(routes!(trunks::list))
        .routes(routes!(scripts::list))
        .routes(routes!(scripts::prompt))
        .routes(routes!(scripts::show))
        .routes(routes!(scripts::rehearse))
        .routes(routes!(scripts::figures))
        .routes(routes!(drafts::list, drafts::save))
        .routes(routes!(drafts::step))
        .routes(routes!(drafts::prepare))
        .routes(routes!(drafts::sign))
        .routes(routes!(drafts::publish))
        .routes(routes!(reviews::search))
        .routes(routes!(reviews::forms))
        .routes(routes!(reviews::of_call))
        .routes(routes!(reviews::save))
        .routes(routes!(reviews::show_agreement))
        .routes(routes!(reviews::export))
        .routes(routes!(audit_log::list))
        .routes(routes!(figures::show))
        .routes(routes!(figures::sheet))
        .routes(routes!(figures::calls))
        .routes(routes!(audit_log::verify))
        .routes(routes!(do_not_call::list, do_not_call::add))
        .routes(routes!(do_not_call::remove))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(import)
}

/// The whole API. Without state it only describes itself: see [`openapi`].
fn routes() -> (Router<AppState>, Router<AppState>, OpenApi) {
    let (open, mut document) = OpenApiRouter::with_openapi(describe())
        .merge(open())
        .split_for_parts();
    let (protected, paths) = OpenApiRouter::new()
        .nest("/api/v1", protected())
        .split_for_parts();
    document.merge(paths);
    name_operations(&mut document);
    (open, protected, document)
}

/// Handlers are named within their file (`list`, `show`); in the document each name must be the only one.
fn name_operations(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let path = path.trim_start_matches("/api/v1");
        let words = path.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let methods = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{}", words.join("_")));
            }
        }
    }
}

/// The OpenAPI document that `/openapi.json` serves.
pub fn openapi() -> OpenApi {
    routes().2
}

/// The server's routes with their state.
pub fn router(state: AppState) -> Router {
    let (open, protected, document) = routes();
    let document = Json(document);
    open.merge(protected.route_layer(from_fn_with_state(state.clone(), auth::require_right)))
        .route(
            "/openapi.json",
            get(move || async move { document.clone() }),
        )
        .fallback(pages::serve)
        .method_not_allowed_fallback(system::no_method)
        .layer(map_response(guard))
        .layer(RequestBodyTimeoutLayer::new(BODY_TIME))
        .layer(from_fn_with_state(state.clone(), system::count))
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a request handler panicked");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the server failed; its log says why",
            )
            .into_response()
        }))
        .with_state(state)
}

/// A router that answers as whichever was sent last: requests under way end as they began.
pub fn swappable(first: Router) -> (watch::Sender<Router>, Router) {
    let (swap, now) = watch::channel(first);
    let answer = move |request: Request| {
        let router = now.borrow().clone();
        async move {
            let Ok(response) = router.oneshot(request).await;
            response
        }
    };
    (swap, Router::new().fallback(answer))
}

/// No cache, proxy or sniffing browser keeps what was answered, unless it says that it may be kept.
async fn guard(mut response: Response) -> Response {
    use axum::http::{HeaderValue, header};
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn describe() -> OpenApi {
    let mut info = Info::new("aftercall", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("A voice robot that telephones patients after they leave hospital. Failures are RFC 9457 problem details \
              with a `code`; every list is paged by `limit`, `cursor` and `next_cursor`.".to_owned());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("token", bearer)
                .build(),
        ))
        .security(Some([SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]))
        .build()
}
